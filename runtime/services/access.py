"""Who may call: the key a call brings against the keys that are good. The same for raw and typed operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping

from runtime.errors import AuthenticationFailed, KeysUnavailable
from runtime.services.key_fields import could_be_kept
from runtime.web.credential import find_key
from runtime.web.key import PUBLIC, KeyRecord, KeyRing
from runtime.web.open_door import demand_no_other_page

__all__ = ["Access"]


class Access:
    """``required`` false lets everybody in, as an operator may choose on loopback, but no page of a site that is not in ``origins``.

    ``now`` gives Unix seconds.

    Attributes:
        unheard: nobody knows which keys are good, and none is said to be wrong.
    """

    def __init__(
        self, keys: KeyRing, now: Callable[[], float], *, required: bool, origins: Collection[str] = ()
    ) -> None:
        self._keys = keys
        self._now = now
        self._required = required
        self._origins = origins
        self._used: dict[str, float] = {}
        self.unheard = False
        self._look_again: Callable[[str], Awaitable[bool] | None] | None = None

    @property
    def required(self) -> bool:
        """Whether anybody is asked for a key."""
        return self._required

    def before_refusing(self, look_again: Callable[[str], Awaitable[bool] | None]) -> None:
        """Await ``look_again`` before a key of this hash is refused because none is known; it may `use` others.

        It says whether what is known then is all there is to know of that hash; None where that is so without a look.
        """
        self._look_again = look_again

    def use(self, keys: KeyRing) -> None:
        """From now on these are the keys that are good."""
        self._keys = keys

    @property
    def good(self) -> Collection[KeyRecord]:
        """The keys that are good."""
        return self._keys.hashes.values()

    def ids_of(self, tenant: str) -> list[str]:
        """The ids of the keys that are good and belong to ``tenant``."""
        return [record.id for record in self._keys.hashes.values() if record.tenant == tenant]

    def take_used(self) -> dict[str, float]:
        """When which keys were used last, by their ids, since this was asked before."""
        used, self._used = self._used, {}
        return used

    async def admit(self, headers: Mapping[str, str], query: Mapping[str, str], scope: str) -> KeyRecord:
        """The record of the key that is presented; nobody's, for a public operation without one.

        Raises AuthenticationFailed without a good key, PermissionDenied when it lacks ``scope`` or no key is asked for and
        a page of another site calls, KeysUnavailable where nobody can tell whether it is good.
        """
        key = self.admitted(headers, query, scope)
        return key if isinstance(key, KeyRecord) else await key

    def admitted(
        self, headers: Mapping[str, str], query: Mapping[str, str], scope: str
    ) -> KeyRecord | Coroutine[object, object, KeyRecord]:
        """`admit`: the record, as nearly always, or what is left of finding it, to be awaited."""
        if scope == PUBLIC:
            return KeyRecord.anonymous()
        if not self._required:
            demand_no_other_page(headers, self._origins)
            return KeyRecord.anonymous()
        presented = find_key(headers, query)
        if presented is None:
            raise AuthenticationFailed("no API key was given; send it as `Authorization: Bearer …` or `x-api-key: …`")
        record = self._keys.recall(presented)
        if record is None:
            digest = self._keys.digest(presented)
            record = self._keys.find(presented, digest)
            if record is None and self._look_again is not None and (look := self._look_again(digest)) is not None:
                return self._admit_after(look, presented, digest, scope)
        return self._let_in(record, scope)

    def _let_in(self, record: KeyRecord | None, scope: str) -> KeyRecord:
        now_s = self._now()
        if record is None or (record.expires_s is not None and now_s >= record.expires_s):
            raise AuthenticationFailed("the API key is not valid", code="invalid_api_key")
        if scope not in record.scopes:
            record.require(scope)
        self._used[record.id] = now_s
        return record

    async def _admit_after(self, look: Awaitable[bool], presented: str, digest: str, scope: str) -> KeyRecord:
        sure = await look
        record = self._keys.find(presented, digest)
        if record is None and not sure and (self.unheard or could_be_kept(presented)):
            raise KeysUnavailable("keys cannot be looked up at the moment; try again", retry_after_s=1)
        return self._let_in(record, scope)
