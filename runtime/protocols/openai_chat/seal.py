"""Take out of a conversation that is passed through what belongs to another protocol.

Other vendors' thinking state travels through Chat clients in an envelope (`runtime.protocols.seal`), in
``reasoning_details`` and on tool calls. A Chat provider could do nothing with it, and may refuse it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runtime.protocols.openai_chat.reasoning import PROTOCOL, own_pieces, read_pieces
from runtime.protocols.openai_chat.signature import client_signature, extra_for_provider
from runtime.protocols.seal import MARK, unwrap
from runtime.protocols.splice import Fields

__all__ = ["own_only"]

_SUSPECT: Final = b'"' + MARK.encode()
_DETAILS: Final = b'"reasoning_details"'
_EXTRA: Final = b'"extra_content"'
"""Where a seal may be: longer than one begins, and the longer what is looked for, the fewer bytes are looked at."""

_TURNS: Final = msgspec.json.Decoder(list[Fields])
_CALLS: Final = msgspec.json.Decoder(list[Fields])


def own_only(messages: msgspec.Raw, body: bytes = b"") -> msgspec.Raw:
    """A client's ``messages``, of its ``body``, without other protocols' seals; the same object where there is none.

    What cannot be read is left to the provider to complain of; a member's name in escapes is not seen.
    """
    given = body or bytes(messages)
    if given.find(_DETAILS) < 0 and given.find(_EXTRA) < 0:
        return messages
    if given.find(_SUSPECT) < 0:
        return messages
    try:
        turns = [_own_turn(turn) for turn in _TURNS.decode(messages)]
    except (msgspec.DecodeError, RecursionError):
        return messages
    return msgspec.Raw(msgspec.json.encode(turns))


def _own_turn(turn: Fields) -> Fields:
    kept = dict(turn)
    details = turn.get("reasoning_details")
    if details is not None and _SUSPECT in bytes(details):
        own = [raw for raw in own_pieces(bytes(details).decode()) if not _is_foreign(raw)]
        kept["reasoning_details"] = msgspec.Raw(msgspec.json.encode(own))
        if not own:
            del kept["reasoning_details"]
    calls = turn.get("tool_calls")
    if calls is not None and _SUSPECT in bytes(calls):
        kept["tool_calls"] = msgspec.Raw(msgspec.json.encode([_own_call(call) for call in _CALLS.decode(calls)]))
    return kept


def _is_foreign(piece: msgspec.Raw) -> bool:
    sealed = [part.signature or part.data or "" for part in read_pieces(msgspec.Raw(b"[" + bytes(piece) + b"]"))]
    return any(unwrap(text, PROTOCOL)[1] != PROTOCOL for text in sealed)


def _own_call(call: Fields) -> Fields:
    signature = client_signature(call["extra_content"]) if "extra_content" in call else None
    if signature is None or _SUSPECT not in bytes(call["extra_content"]):
        return call
    own = extra_for_provider(signature)
    kept = {name: value for name, value in call.items() if name != "extra_content"}
    return {**kept, "extra_content": msgspec.Raw(own)} if own else kept
