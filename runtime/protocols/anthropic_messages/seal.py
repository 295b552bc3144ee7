"""Carry other vendors' opaque thinking state through this protocol's signature field, and bring it home.

Signatures of this protocol travel byte for byte. One that belongs to another protocol goes to clients in an envelope
that says whose it is, so that it finds its way back to that vendor and to no other.

A conversation that is passed through may hold thinking that this gateway made out of another vendor's: `own_only` takes it
out, since the vendor refuses a signature that it did not make, and an empty one.
"""

from __future__ import annotations

import base64
import binascii
import re
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields

__all__ = ["MARK", "own_only", "unwrap", "wrap"]

MARK: Final = "gw1."

_FOREIGN: Final = re.compile(rb'"(?:signature|data)"[ \t\r\n]*:[ \t\r\n]*"(?:gw1\.|")')
_MESSAGES: Final = msgspec.json.Decoder(list[Fields])
_BLOCKS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS: Final = msgspec.json.Decoder(Fields)
_TEXT: Final = msgspec.json.Decoder(str)
_OPAQUE: Final = MappingProxyType({b'"thinking"': "signature", b'"redacted_thinking"': "data"})


def wrap(seal: str, sealed_by: str) -> str:
    """``seal`` as a client of this protocol gets it."""
    if sealed_by == PROTOCOL and not seal.startswith(MARK):
        return seal
    return f"{MARK}{sealed_by}.{base64.b64encode(seal.encode()).decode()}"


def unwrap(signature: str) -> tuple[str, str]:
    """The seal in a client's ``signature``, and the protocol it belongs to."""
    if signature.startswith(MARK):
        protocol, dot, data = signature.removeprefix(MARK).partition(".")
        try:
            if dot and protocol:
                return base64.b64decode(data, validate=True).decode(), protocol
        except (binascii.Error, UnicodeDecodeError):
            pass
    return signature, PROTOCOL


def own_only(messages: msgspec.Raw) -> msgspec.Raw:
    """A client's ``messages`` without thinking that the vendor did not sign; the same object where there is none.

    A turn of nothing else goes, too. What cannot be read is left to the vendor to complain of.
    """
    if not _FOREIGN.search(memoryview(messages)):
        return messages
    try:
        turns = _MESSAGES.decode(messages)
        kept = [turn for turn in (_own_turn(turn) for turn in turns) if turn is not None]
    except (msgspec.DecodeError, RecursionError):
        return messages
    return msgspec.Raw(msgspec.json.encode(kept))


def _own_turn(turn: Fields) -> Fields | None:
    content = turn.get("content")
    if content is None or not _FOREIGN.search(memoryview(content)) or bytes(memoryview(content)[:1]) != b"[":
        return turn
    blocks = [block for block in (_own_block(block) for block in _BLOCKS.decode(content)) if block is not None]
    return {**turn, "content": msgspec.Raw(msgspec.json.encode(blocks))} if blocks else None


def _own_block(block: msgspec.Raw) -> msgspec.Raw | None:
    if not _FOREIGN.search(memoryview(block)):
        return block
    fields = _FIELDS.decode(block)
    name = _OPAQUE.get(bytes(fields.get("type", b"")))
    if name is None or name not in fields:
        return block
    seal, owner = unwrap(_TEXT.decode(fields[name]))
    if owner != PROTOCOL or not seal:
        return None
    return msgspec.Raw(msgspec.json.encode({**fields, name: msgspec.Raw(msgspec.json.encode(seal))}))
