"""Take out of a conversation that is passed through what the vendor did not sign.

Other vendors' thinking state travels through this protocol's signature field in an envelope (`runtime.protocols.seal`).
The vendor refuses a signature that it did not make, and an empty one.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields
from runtime.protocols.seal import unwrap

__all__ = ["own_only", "unsealed"]

_FOREIGN: Final = re.compile(rb'"(?:signature|data)"[ \t\r\n]*:[ \t\r\n]*"(?:gw1\.|")')
_MESSAGES: Final = msgspec.json.Decoder(list[Fields])
_BLOCKS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS: Final = msgspec.json.Decoder(Fields)
_TEXT: Final = msgspec.json.Decoder(str)
_OPAQUE: Final = MappingProxyType({b'"thinking"': "signature", b'"redacted_thinking"': "data"})


def unsealed(signature: str) -> tuple[str, str]:
    """The seal in a client's ``signature``, and the protocol it belongs to."""
    seal, owner, _ = unwrap(signature, PROTOCOL)
    return seal, owner


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
    seal, owner = unsealed(_TEXT.decode(fields[name]))
    if owner != PROTOCOL or not seal:
        return None
    return msgspec.Raw(msgspec.json.encode({**fields, name: msgspec.Raw(msgspec.json.encode(seal))}))
