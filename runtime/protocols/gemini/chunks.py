"""The pieces of a provider's stream as JSON texts, however they are told apart.

The vendor streams server-sent events where the URL asks for them, and one JSON list where it does not; some servers do only
one of the two. What comes first decides. Any split of the bytes gives the same pieces.
"""

from __future__ import annotations

import re
from typing import Final

from runtime.errors import UpstreamProtocolError
from runtime.protocols.framing import MAX_FRAME_BYTES, SseReader

__all__ = ["Chunks"]

_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_OUTSIDE: Final = re.compile(rb'["{}]')
_INSIDE: Final = re.compile(rb'["\\]')


class Chunks:
    """``feed`` and ``close`` as `SseReader`'s, but with the data alone. ``is_list`` is None until it is known."""

    def __init__(self) -> None:
        self.is_list: bool | None = None
        self._head = b""
        self._sse = SseReader()
        self._objects = _Objects()

    def feed(self, data: bytes) -> list[bytes]:
        if self.is_list is None:
            data = self._head + data
            first = data.lstrip(_BLANK)[:1]
            if not first:
                self._head = data
                return []
            self.is_list = first in (b"[", b"{")
            self._head = b""
        if self.is_list:
            return self._objects.feed(data)
        return [frame.data for frame in self._sse.feed(data)]

    def close(self) -> list[bytes]:
        """The last piece, where it lacks its end. Raises UpstreamProtocolError for a list cut within one."""
        if self.is_list:
            self._objects.close()
            return []
        return [frame.data for frame in self._sse.close()]


class _Objects:
    """The objects of a JSON list, or objects that merely follow one another."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._pieces: list[bytes] = []
        self._bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        start = at = 0
        if self._escaped and data:
            at, self._escaped = 1, False
        while match := (_INSIDE if self._in_text else _OUTSIDE).search(data, at):
            at = match.end()
            match match[0]:
                case b'"':
                    self._in_text = not self._in_text
                case b"\\":
                    self._escaped = at == len(data)
                    at += 1
                case b"{":
                    if self._depth == 0:
                        start = at - 1
                    self._depth += 1
                case _:
                    self._depth = max(0, self._depth - 1)
                    if self._depth == 0:
                        found.append(b"".join((*self._pieces, data[start:at])))
                        self._pieces, self._bytes, start = [], 0, at
        if self._depth:
            self._keep(data[start:])
        return found

    def close(self) -> None:
        if self._depth:
            raise UpstreamProtocolError("The provider's stream ended within a piece of the answer.")

    def _keep(self, rest: bytes) -> None:
        self._pieces.append(rest)
        self._bytes += len(rest)
        if self._bytes > MAX_FRAME_BYTES:
            raise UpstreamProtocolError(f"The provider sent a stream event of more than {MAX_FRAME_BYTES:,} bytes.")
