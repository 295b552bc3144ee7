"""One file out of a form (RFC 7578), as it arrives: piece by piece, whatever the pieces are, and never more in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from runtime.errors import InvalidRequest, UnsupportedMedia

__all__ = ["FormFile", "boundary_of"]

HEAD_BYTES: Final = 8 << 10
PARTS: Final = 16

_NAME: Final = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="?(?P<name>[^";\r\n]*)"?', re.IGNORECASE)
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"(?P<quoted>[^"]{1,70})"|(?P<plain>[^\s;"]{1,70}))', re.IGNORECASE)

_State = Literal["between", "delimiter", "head", "file", "other", "end"]


def boundary_of(content_type: str) -> str:
    """What stands between the parts. Raises UnsupportedMedia for what is no form."""
    found = _BOUNDARY.search(content_type)
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data" or found is None:
        raise UnsupportedMedia("that is no form: send `multipart/form-data` with its boundary")
    return found["quoted"] or found["plain"]


class FormFile:
    """Gives the bytes of the part ``name``. What it raises is InvalidRequest."""

    def __init__(self, boundary: str, name: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._name = name
        self._wanted = name.encode()
        self._buffer = bytearray(b"\r\n")  # the first delimiter may stand at the very beginning
        self._state: _State = "between"
        self._parts = 0
        self._found = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What of the file is certain after ``data``."""
        self._buffer += data
        moved = True
        while moved:
            if self._state in {"between", "file", "other"}:
                piece, moved = self._until_delimiter()
                if piece and self._state == "file":
                    yield piece
                self._state = "delimiter" if moved else self._state
            elif self._state == "delimiter":
                moved = self._after_delimiter()
            elif self._state == "head":
                moved = self._after_head()
            else:
                self._buffer.clear()
                return

    def finish(self) -> None:
        """That was all. Raises InvalidRequest for a form that ends too early, or has no such part."""
        if self._state != "end":
            raise InvalidRequest("the form ends too early", param=self._name)
        if not self._found:
            raise InvalidRequest(f"the form has no part `{self._name}`", param=self._name)

    def _until_delimiter(self) -> tuple[bytes, bool]:
        at = self._buffer.find(self._delimiter)
        end = at if at >= 0 else max(0, len(self._buffer) - len(self._delimiter) + 1)
        piece = bytes(self._buffer[:end])
        del self._buffer[: end + len(self._delimiter) if at >= 0 else end]
        return piece, at >= 0

    def _after_delimiter(self) -> bool:
        if len(self._buffer) < 2:
            return False
        follows = bytes(self._buffer[:2])
        if follows == b"--":
            self._state = "end"
        elif follows == b"\r\n":  # and stays: a head may be empty
            self._state = "head"
        else:
            raise InvalidRequest("the form cannot be read: its boundary stands inside a part", param=self._name)
        return True

    def _after_head(self) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise InvalidRequest("the form cannot be read: the head of a part is too long", param=self._name)
            return False
        head = bytes(self._buffer[:at])
        del self._buffer[: at + 4]
        self._parts += 1
        if self._parts > PARTS:
            raise InvalidRequest(f"the form has more than {PARTS} parts", param=self._name)
        named = _NAME.search(head)
        wanted = named is not None and named["name"] == self._wanted
        if wanted and self._found:
            raise InvalidRequest("the form brings several files", param=self._name)
        self._found = self._found or wanted
        self._state = "file" if wanted else "other"
        return True
