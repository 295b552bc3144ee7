"""Client keys a page at a time: those of the configuration by their ids, then those that were made here, the oldest first.

A page begins behind a key and not behind a number of keys, so that one which is made or deleted meanwhile moves none of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from runtime.services.keyring import GoodKeys
from runtime.stores.keys import SqlKeys, StoredKey
from runtime.web.key import KeyRecord
from runtime.web.place import Places

__all__ = ["KeyPages", "PageOfKeys"]

Place: TypeAlias = tuple[float | None, str]
"""When a key was made, None for one of the configuration, and its id."""

_PLACE: Final[msgspec.json.Decoder[Place]] = msgspec.json.Decoder(Place)


class PageOfKeys(msgspec.Struct, frozen=True, kw_only=True):
    """``configured`` have their hashes before them. ``after`` is where the next page begins, None at the end; ``total`` is of all pages."""

    configured: Sequence[tuple[str, KeyRecord]]
    stored: Sequence[StoredKey]
    after: str | None
    total: int


class KeyPages:
    """``pepper`` seals where pages begin, and ``of`` names the list."""

    def __init__(self, store: SqlKeys, good: GoodKeys, pepper: bytes, of: str) -> None:
        self._store = store
        self._good = good
        self._places = Places(pepper, of)

    async def page(self, tenant: str | None, limit: int, after: str | None) -> PageOfKeys:
        """At most ``limit`` keys of ``tenant``, of everybody with None. Raises InvalidRequest, StoreError."""
        made_s, id_ = (None, "") if after is None else _PLACE.decode(self._places.read(after, "after"))
        known = sorted(
            (record.id, hash_, record)
            for hash_, record in self._good.configured.hashes.items()
            if tenant in {None, record.tenant}
        )
        left = [] if made_s is not None else [each for each in known if each[0] > id_]
        room = max(0, limit - len(left))
        page = await self._store.page(tenant, limit=room, after=None if made_s is None else (made_s, id_))
        following: Place | None = page.after
        if len(left) > limit or (page.more and not room):
            following = (None, left[limit - 1][0])
        return PageOfKeys(
            configured=[(hash_, record) for _, hash_, record in left[:limit]],
            stored=page.keys,
            after=None if following is None else self._places.told(msgspec.json.encode(following)),
            total=len(known) + page.total,
        )
