"""What nearly every piece of a provider's stream is: more text of one candidate, and counts.

Read for itself, at a part of the cost of reading a whole answer. Anything that stands beside it, or is written in an odd way,
makes `read_plain` say None, and the piece is read as any other. That must be all the difference it makes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.gemini import UsageMetadata

__all__ = ["PlainCandidate", "PlainPart", "PlainPiece", "Renaming", "read_plain"]

_KEY: Final = b'"modelVersion"'


class PlainPart(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[PlainPart]
    role: str = ""


class PlainCandidate(msgspec.Struct, forbid_unknown_fields=True):
    content: _Content
    index: int = 0
    safetyRatings: msgspec.Raw = msgspec.Raw()  # noqa: N815 — the vendor's name; nobody reads it


class PlainPiece(msgspec.Struct, forbid_unknown_fields=True):
    candidates: list[PlainCandidate]
    modelVersion: str = ""  # noqa: N815
    responseId: str = ""  # noqa: N815
    usageMetadata: UsageMetadata | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


_PIECE: Final = msgspec.json.Decoder(PlainPiece)


def read_plain(data: bytes) -> PlainPiece | None:
    """The piece in ``data``, which is UTF-8; None for one that is more than a candidate's text and counts, or less."""
    try:
        piece = _PIECE.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return piece if len(piece.candidates) == 1 else None


class Renaming:
    """Puts ``model``, as JSON, in the place of the provider's name for it, without taking a piece apart."""

    __slots__ = ("_member", "_model", "_name")

    def __init__(self, model: msgspec.Raw) -> None:
        self._model = b"%b:%b" % (_KEY, bytes(model))
        self._name = ""
        self._member = b""

    def apply(self, data: bytes, name: str) -> bytes | None:
        """``data``, a plain piece that calls the model ``name``; None where that stands there in an odd way.

        No text can hold the member's name in its quotes: they would be escaped in it.
        """
        found = data.count(_KEY)
        if not found or not name:
            return None if found or name else data
        if name != self._name:
            self._name, self._member = name, b"%b:%b" % (_KEY, msgspec.json.encode(name))
        renamed = data.replace(self._member, self._model) if found == 1 else data
        return None if renamed == data and (found > 1 or data.find(self._member) < 0) else renamed
