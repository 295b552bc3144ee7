"""Who may call: the key a call brings against the keys that are good. The same for raw and typed operations."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.errors import AuthenticationFailed
from runtime.web.credential import find_key
from runtime.web.key import PUBLIC, KeyRecord, KeyRing

__all__ = ["Access"]


class Access:
    """``required`` false lets everybody in, as an operator may choose on loopback."""

    def __init__(self, keys: KeyRing, *, required: bool) -> None:
        self._keys = keys
        self._required = required

    def check(self, headers: Mapping[str, str], query: Mapping[str, str], scope: str) -> KeyRecord:
        """The record of the key that is presented; nobody's, for a public operation without one.

        Raises AuthenticationFailed without a good key, PermissionDenied when it lacks ``scope``.
        """
        if not self._required or scope == PUBLIC:
            return KeyRecord.anonymous()
        presented = find_key(headers, query)
        if presented is None:
            raise AuthenticationFailed("no API key was given; send it as `Authorization: Bearer …` or `x-api-key: …`")
        record = self._keys.lookup(presented)
        if record is None:
            raise AuthenticationFailed("the API key is not valid", code="invalid_api_key")
        record.require(scope)
        return record
