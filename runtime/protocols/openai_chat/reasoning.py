"""Thinking on Chat's wire: readable in ``reasoning_content``, sealed in ``reasoning_details``.

Chat itself has no place for thinking. Compatible servers show it in ``reasoning_content`` or ``reasoning``; sealed pieces
travel in ``reasoning_details``, which careful clients send back. A seal of another protocol goes to such a client in
that field, in the envelope of `runtime.protocols.seal`, and finds its way back through it. A seal reaches only the
protocol it belongs to, and a Chat provider only where its quirks say that it wants thinking back. A seal of this protocol
is the JSON text of the pieces; that of a call's signature is another (`signature`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.canonical import Reasoning
from runtime.protocols.seal import MARK, unwrap, wrap

__all__ = ["PROTOCOL", "Detail", "Details", "own_pieces", "read_client_details", "read_details", "read_pieces", "write_details"]  # fmt: skip

PROTOCOL: Final = "openai_chat"


class Detail(msgspec.Struct):
    """One piece as servers send it. ``index`` joins the pieces of one stretch of thinking in a stream."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    id: str | None = None
    index: int | None = None


_DETAILS: Final = msgspec.json.Decoder(list[Detail])
_RAW_PIECES: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Details:
    """The pieces of one stretch of thinking, as a stream brings them."""

    def __init__(self) -> None:
        self._pieces: dict[int, Detail] = {}

    def add(self, pieces: list[Detail]) -> None:
        for piece in pieces:
            index = piece.index if piece.index is not None else len(self._pieces)
            known = self._pieces.get(index)
            if known is None:
                self._pieces[index] = piece
                continue
            known.text = _more(known.text, piece.text)
            known.summary = _more(known.summary, piece.summary)
            known.data = _more(known.data, piece.data)
            known.signature = piece.signature or known.signature

    def seal(self) -> str | None:
        """The whole as one seal of this protocol; None when nothing in it is sealed. Empties the collection."""
        pieces, self._pieces = list(self._pieces.values()), {}
        return _seal(pieces)


def read_pieces(details: msgspec.Raw) -> list[Detail]:
    """The pieces; none where the field holds something else."""
    try:
        return _DETAILS.decode(details)
    except msgspec.DecodeError:
        return []


def read_details(text: str, details: msgspec.Raw | None) -> list[Reasoning]:
    """The thinking of a provider's message: ``text`` is its readable field's, ``details`` its sealed pieces."""
    return _own(text, read_pieces(details) if details is not None else [])


def read_client_details(text: str, details: msgspec.Raw | None) -> list[Reasoning]:
    """The same of a message that a client sends back: pieces in an envelope belong to the protocol that it names."""
    pieces = read_pieces(details) if details is not None else []
    foreign = [piece for piece in pieces if _is_foreign(piece)]
    if not foreign:
        return _own(text, pieces)
    own = [piece for piece in pieces if not _is_foreign(piece)]
    return [*map(_foreign, foreign), *_own("", own)]


def write_details(parts: list[Reasoning], *, foreign: bool) -> list[Any]:
    """``reasoning_details`` for sealed ``parts``. ``foreign``: also those of other protocols, for clients to keep."""
    pieces: list[Any] = []
    for part in parts:
        if part.seal is None:
            continue
        if part.sealed_by == PROTOCOL:
            pieces += own_pieces(part.seal)
        elif foreign:
            envelope = wrap(part.seal, part.sealed_by or "", PROTOCOL, redacted=part.redacted)
            hidden = part.redacted or not part.text
            shown = {"type": "reasoning.text", "text": part.text, "signature": envelope}
            pieces.append({"type": "reasoning.encrypted", "data": envelope} if hidden else shown)
    return pieces


def own_pieces(seal: str) -> list[msgspec.Raw]:
    """The pieces in a seal of this protocol; none in what is none: a client may name any owner for anything."""
    try:
        return _RAW_PIECES.decode(seal)
    except (msgspec.DecodeError, RecursionError):
        return []


def _own(text: str, pieces: list[Detail]) -> list[Reasoning]:
    readable = text or "".join(piece.text or piece.summary or "" for piece in pieces)
    seal = _seal(pieces)
    if not readable and seal is None:
        return []
    return [Reasoning(text=readable, seal=seal, sealed_by=PROTOCOL if seal else None)]


def _is_foreign(piece: Detail) -> bool:
    return (piece.signature or piece.data or "").startswith(MARK)


def _foreign(piece: Detail) -> Reasoning:
    seal, owner, redacted = unwrap(piece.signature or piece.data or "", PROTOCOL)
    return Reasoning(text=piece.text or "", seal=seal, sealed_by=owner, redacted=redacted)


def _seal(pieces: list[Detail]) -> str | None:
    if not any(piece.signature or piece.data for piece in pieces):
        return None
    shown = [
        {name: value for name, value in msgspec.structs.asdict(piece).items() if value is not None} for piece in pieces
    ]
    return msgspec.json.encode(shown).decode()


def _more(known: str | None, more: str | None) -> str | None:
    return more if known is None else known if more is None else known + more
