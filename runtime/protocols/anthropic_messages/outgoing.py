"""A canonical part on its way into a client's stream: what block it becomes, and its deltas' JSON.

One class per kind. A lane says nothing of indexes or order; the encoder asks for pieces when its turn has come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias

import msgspec
from typing_extensions import override

from generated.types.anthropic_messages import RedactedThinkingBlock, TextBlock, ThinkingBlock, ToolUseBlock
from runtime.canonical import Delta, Image, Native, Reasoning, Refusal, Text, ToolCall
from runtime.protocols.anthropic_messages.response import wire_citation
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields
from runtime.protocols.seal import wrap

__all__ = ["Lane", "lane_of"]

StartBlock: TypeAlias = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | msgspec.Raw

_EMPTY_INPUT: Final = b"{}"
_FIELDS: Final = msgspec.json.Decoder(Fields)


class Lane:
    """``eager`` blocks start at once; others with their first piece. ``held`` are deltas that wait for their turn."""

    is_call: ClassVar[bool] = False

    def __init__(self, *, eager: bool = False) -> None:
        self.eager = eager
        self.open = False
        self.ended = False
        self.held: list[Delta] = []

    def block(self) -> StartBlock | None:
        """The block as it starts, or None when nothing of the part is said to this client."""
        return None

    def first(self) -> list[bytes]:
        """Pieces that come with the part's start."""
        return []

    def pieces(self, delta: Delta) -> list[bytes]:  # noqa: ARG002 — a lane of nothing has no use for it
        return []

    def last(self) -> list[bytes]:
        """Pieces that can be said only at the end."""
        return []


def lane_of(part: Text | Reasoning | Refusal | ToolCall | Image | Native) -> Lane:
    match part:
        case Text():
            return _TextLane(part)
        case Refusal(text=text):
            return _TextLane(Text(text=text))
        case Reasoning():
            return _RedactedLane(part) if part.redacted else _ThinkingLane(part)
        case ToolCall():
            return _CustomLane(part) if part.custom else _CallLane(part)
        case Native(protocol=protocol):
            return _NativeLane(part) if protocol == PROTOCOL else Lane()
        case Image():  # answers of this protocol have no place for one
            return Lane()


class _TextLane(Lane):
    def __init__(self, part: Text) -> None:
        super().__init__()
        self._part = part

    @override
    def block(self) -> StartBlock:
        return TextBlock(text="")

    @override
    def first(self) -> list[bytes]:
        cited = [_citation(wire_citation(found)) for found in self._part.citations]
        return [*([_text(self._part.text)] if self._part.text else []), *cited]

    @override
    def pieces(self, delta: Delta) -> list[bytes]:
        pieces = [_text(delta.text)] if delta.text else []
        if delta.citation is not None:
            pieces.append(_citation(wire_citation(delta.citation)))
        return pieces


class _ThinkingLane(Lane):
    def __init__(self, part: Reasoning) -> None:
        super().__init__()
        self._part = part
        self._seal = part.seal or ""

    @override
    def block(self) -> StartBlock:
        return ThinkingBlock(thinking="", signature="")

    @override
    def first(self) -> list[bytes]:
        return [_thinking(self._part.text)] if self._part.text else []

    @override
    def pieces(self, delta: Delta) -> list[bytes]:
        self._seal += delta.seal or ""
        return [_thinking(delta.text)] if delta.text else []

    @override
    def last(self) -> list[bytes]:
        if not self._seal:
            return []
        return [
            b'{"type":"signature_delta","signature":'
            + _json(wrap(self._seal, self._part.sealed_by or "", PROTOCOL))
            + b"}"
        ]


class _RedactedLane(Lane):
    """All of it stands in the block's start, so it can start only at the end."""

    def __init__(self, part: Reasoning) -> None:
        super().__init__()
        self._part = part
        self._seal = part.seal or ""

    @override
    def pieces(self, delta: Delta) -> list[bytes]:
        self._seal += delta.seal or ""
        return []

    @override
    def last(self) -> list[bytes]:
        self.eager = bool(self._seal)
        return []

    @override
    def block(self) -> StartBlock:
        return RedactedThinkingBlock(data=wrap(self._seal, self._part.sealed_by or "", PROTOCOL))


class _CallLane(Lane):
    is_call = True

    def __init__(self, part: ToolCall) -> None:
        super().__init__(eager=True)
        self._part = part

    @override
    def block(self) -> StartBlock:
        return ToolUseBlock(id=self._part.id, name=self._part.name, input=msgspec.Raw(_EMPTY_INPUT))

    @override
    def first(self) -> list[bytes]:
        return [_input(self._part.arguments)] if self._part.arguments else []

    @override
    def pieces(self, delta: Delta) -> list[bytes]:
        return [_input(delta.text)] if delta.text else []


class _CustomLane(_CallLane):
    """Free text, as the one property of an object."""

    @override
    def first(self) -> list[bytes]:
        return [_input('{"input":"' + _inside(self._part.arguments))]

    @override
    def pieces(self, delta: Delta) -> list[bytes]:
        return [_input(_inside(delta.text))] if delta.text else []

    @override
    def last(self) -> list[bytes]:
        return [_input('"}')]


class _NativeLane(Lane):
    """The vendor's own block, whole; input comes as a delta, as clients expect it."""

    def __init__(self, part: Native) -> None:
        super().__init__(eager=True)
        self._fields = _FIELDS.decode(part.json)
        self._input = self._fields.get("input")
        if self._input is not None:
            self._fields["input"] = msgspec.Raw(_EMPTY_INPUT)

    @override
    def block(self) -> StartBlock:
        return msgspec.Raw(msgspec.json.encode(self._fields))

    @override
    def first(self) -> list[bytes]:
        if self._input is None or bytes(self._input) == _EMPTY_INPUT:
            return []
        return [_input(str(memoryview(self._input), "utf-8"))]


def _piece(kind: bytes, name: bytes) -> Callable[[str], bytes]:
    head = b'{"type":"' + kind + b'","' + name + b'":'
    return lambda text: head + _json(text) + b"}"


_text: Final = _piece(b"text_delta", b"text")
_thinking: Final = _piece(b"thinking_delta", b"thinking")
_input: Final = _piece(b"input_json_delta", b"partial_json")


def _citation(found: msgspec.Raw) -> bytes:
    return b'{"type":"citations_delta","citation":' + bytes(found) + b"}"


def _inside(text: str) -> str:
    """``text`` as it stands between the quotes of a JSON string."""
    return _json(text)[1:-1].decode()


def _json(text: str) -> bytes:
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape and UTF-8 cannot say
        return msgspec.json.encode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
