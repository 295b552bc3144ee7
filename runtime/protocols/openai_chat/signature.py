"""The signature of a tool call: ``extra_content.google.thought_signature``, which Google's Chat endpoint wants back.

Canonical says it as thinking without text, sealed, directly before the call. Some clients keep this field and drop
``reasoning_details``; so another protocol's seal that stands there is carried here, too, in its envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from runtime.canonical import Part, Reasoning, ToolCall
from runtime.protocols.openai_chat.reasoning import PROTOCOL
from runtime.protocols.seal import unwrap, wrap

__all__ = ["before_calls", "client_signature", "extra_for_client", "extra_for_provider", "provider_signature"]

_OWN: Final = "signature."
"""Begins a seal of this protocol that is a call's signature; another seal of this protocol is a JSON array."""


class _Google(msgspec.Struct, frozen=True):
    thought_signature: str = ""


class _Extra(msgspec.Struct):
    google: _Google = _Google()


_EXTRA: Final = msgspec.json.Decoder(_Extra)


def provider_signature(extra: msgspec.Raw | msgspec.UnsetType) -> Reasoning | None:
    """The signature that a provider put on a call: its own, whatever it looks like."""
    signature = _read(extra)
    return Reasoning(seal=_OWN + signature, sealed_by=PROTOCOL) if signature else None


def client_signature(extra: msgspec.Raw | msgspec.UnsetType) -> Reasoning | None:
    """The signature on a call that a client sends back, as the protocol's that it belongs to."""
    signature = _read(extra)
    if not signature:
        return None
    seal, owner, redacted = unwrap(signature, PROTOCOL)
    return Reasoning(seal=_OWN + seal if owner == PROTOCOL else seal, sealed_by=owner, redacted=redacted)


def extra_for_client(part: Reasoning) -> bytes | None:
    """The JSON of a call's ``extra_content`` for thinking that stands before it; None where that has no place there."""
    if part.text or not part.seal:
        return None
    if part.sealed_by == PROTOCOL:
        return _write(wrap(part.seal[len(_OWN) :], PROTOCOL, PROTOCOL)) if part.seal.startswith(_OWN) else None
    return _write(wrap(part.seal, part.sealed_by or "", PROTOCOL, redacted=part.redacted))


def extra_for_provider(part: Reasoning) -> bytes | None:
    """The same for a provider, which gets no other protocol's."""
    own = part.sealed_by == PROTOCOL and not part.text and part.seal and part.seal.startswith(_OWN)
    return _write(part.seal[len(_OWN) :]) if own and part.seal else None


def before_calls(parts: Sequence[Part]) -> list[tuple[ToolCall, Reasoning | None]]:
    """Each call with the thinking directly before it."""
    pairs: list[tuple[ToolCall, Reasoning | None]] = []
    last: Part | None = None
    for part in parts:
        if isinstance(part, ToolCall):
            pairs.append((part, last if isinstance(last, Reasoning) else None))
        last = part
    return pairs


def _read(extra: msgspec.Raw | msgspec.UnsetType) -> str:
    if not isinstance(extra, msgspec.Raw):
        return ""
    try:
        return _EXTRA.decode(extra).google.thought_signature
    except msgspec.DecodeError:
        return ""  # another server's extras, or none: null


def _write(signature: str) -> bytes:
    return msgspec.json.encode({"google": {"thought_signature": signature}})
