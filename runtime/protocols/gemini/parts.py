"""Canonical parts of an answer to the parts that a client of this protocol gets; in streams and whole answers alike."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from generated.types.gemini import FunctionCall, Part
from runtime.canonical import Image, Native, Reasoning, Refusal, Text, ToolCall
from runtime.canonical import Part as Said
from runtime.protocols.absent import present
from runtime.protocols.base import Answer
from runtime.protocols.free_text import wrapped
from runtime.protocols.gemini.media import write_media
from runtime.protocols.gemini.signature import foreign_signature, kind_of
from runtime.protocols.gemini.wire import PROTOCOL, compact_object

__all__ = ["Speaker", "shows_thoughts", "write_parts"]

WirePart = Part | msgspec.Raw


def shows_thoughts(answer: Answer) -> bool:
    """Whether the client asked to see the model think."""
    if answer.request is None:
        return True
    reasoning = answer.request.reasoning
    return reasoning is not None and reasoning.display == "summarized"


def write_parts(content: Sequence[Said], *, shown: bool) -> list[WirePart]:
    """All parts of a whole answer."""
    speaker = Speaker(shown=shown)
    parts: list[WirePart] = []
    for said in content:
        match said:
            case Text(text=text) | Refusal(text=text):
                parts += [Part(text=text)] if text else []
            case Reasoning():
                parts += speaker.thinking(said, said.text if shown else "", parts[-1] if parts else None)
            case _:
                parts += speaker.whole(said)
    return [*parts, *speaker.rest()]


class Speaker:
    """What one choice has still to say: a call's signature comes before its call."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._for_calls: list[str] = []

    def thinking(self, part: Reasoning, text: str, last: WirePart | None = None) -> list[WirePart]:
        """Thinking that is over. ``text`` is what of it is still to be said; ``last`` may take a signature of its own."""
        kind, signature = kind_of(part)
        match kind:
            case "call":
                self._for_calls.append(signature)
                return []
            case "text" | "data":
                if isinstance(last, Part) and _is_open(last):
                    last.thoughtSignature = signature
                    return []
                return [Part(text="", thoughtSignature=signature)]
            case "thought":
                return [Part(text=text, thought=True, thoughtSignature=signature)]
            case _ if part.seal:
                hidden = "" if self._shown else part.text
                return [Part(text=text, thought=True, thoughtSignature=foreign_signature(part, hidden=hidden))]
            case _:
                return [Part(text=text, thought=True)] if text else []

    def whole(self, part: Said) -> list[WirePart]:
        """A part that is said at once."""
        match part:
            case ToolCall():
                args = msgspec.Raw(wrapped(part.arguments).encode()) if part.custom else compact_object(part.arguments)
                wire = Part(functionCall=FunctionCall(id=part.id, name=part.name, args=args))
                if self._for_calls:
                    wire.thoughtSignature = self._for_calls.pop(0)
                return [wire]
            case Image():
                return [write_media(part)]
            case Native(protocol=protocol, json=json) if protocol == PROTOCOL:
                return [msgspec.Raw(json.encode())]
            case _:
                return []

    def rest(self) -> list[WirePart]:
        """Signatures whose calls never came."""
        return [Part(text="", thoughtSignature=signature) for signature in self._for_calls]


def _is_open(part: Part) -> bool:
    says = present(part.text) is not None and not present(part.thought)
    return (says or bool(present(part.inlineData))) and not present(part.thoughtSignature)
