"""Where the next page of a list begins, as its readers are told: a text that says nothing, and that only we can have made.

A row's number says how many rows there are, of everybody. So it is told sealed: under the server's pepper, which all workers
have, so that any of them goes on where another one ended. The same place is the same text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from runtime.errors import InvalidRequest

__all__ = ["Places"]

_TAG_BYTES: Final = 12
_MAX_CHARS: Final = 2048


class Places:
    """Those of one list; ``of`` names it, and the places of another are none here."""

    def __init__(self, pepper: bytes, of: str) -> None:
        self._key = hmac.digest(pepper, f"places in {of}".encode(), "sha256")

    def told(self, place: bytes) -> str:
        """What a reader is told of ``place``."""
        tag = hmac.digest(self._key, place, "sha256")[:_TAG_BYTES]
        return base64.urlsafe_b64encode(tag + self._masked(tag, place)).rstrip(b"=").decode()

    def read(self, told: str, param: str) -> bytes:
        """The place that a reader was ``told``. Raises InvalidRequest, about the parameter ``param``."""
        try:
            if len(told) > _MAX_CHARS:
                raise ValueError
            sealed = base64.b64decode(told.encode("ascii") + b"=" * (-len(told) % 4), b"-_", validate=True)
        except ValueError:
            sealed = b""
        tag = sealed[:_TAG_BYTES]
        place = self._masked(tag, sealed[_TAG_BYTES:])
        if not hmac.compare_digest(tag, hmac.digest(self._key, place, "sha256")[:_TAG_BYTES]):
            raise InvalidRequest(f"{param}: no place of this list; write what the last page said", param=param)
        return place

    def _masked(self, tag: bytes, place: bytes) -> bytes:
        mask = hashlib.shake_256(self._key + tag).digest(len(place))
        return bytes(one ^ other for one, other in zip(place, mask, strict=True))
