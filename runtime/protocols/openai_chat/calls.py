"""The tool calls of one streamed choice: which delta belongs to which call, whatever servers do to ids and indexes."""

from __future__ import annotations

import msgspec

from generated.types.openai_chat import ToolCallDelta
from runtime.canonical import Delta, Event, PartEnded, PartStarted, Reasoning, ToolCall
from runtime.errors import UpstreamProtocolError
from runtime.protocols.base import Outgoing
from runtime.protocols.free_text import unwrapped
from runtime.protocols.openai_chat.answer import arguments_text, made_id
from runtime.protocols.openai_chat.halves import Joiner
from runtime.protocols.openai_chat.signature import provider_signature

__all__ = ["Calls"]


class _Call:
    """One call. It starts for the client once its name is known; until then its arguments are held back."""

    __slots__ = ("arguments", "custom", "ended", "id", "joiner", "name", "part", "signature", "wrapped")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.custom = False
        self.arguments: list[str] = []
        self.part: int | None = None
        self.ended = False
        self.joiner = Joiner()
        self.signature: Reasoning | None = None
        self.wrapped = False
        """It stands for the call of a free-text tool, whose text is known only when the arguments are complete."""


class Calls:
    """All calls of a choice, in order of their first delta."""

    def __init__(self, choice: int, response_id: str, outgoing: Outgoing) -> None:
        self._choice = choice
        self._response_id = response_id
        self._outgoing = outgoing
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def take(self, wire: ToolCallDelta, next_part: int, events: list[Event], *, marked: bool) -> int:
        """Add a delta; the number of the next part is given and given back."""
        name, text, custom = _read(wire)
        call = self._call(wire, name, text)
        if call is None:
            self.settle(events)
            call = self._new(wire)
        call.custom = call.custom or custom
        call.id = call.id or wire.id or ""
        call.name = call.name or name
        call.signature = call.signature or provider_signature(wire.extra_content)
        text = call.joiner.add(text, marked=marked)
        if call.ended:
            if text.strip():
                raise UpstreamProtocolError("The provider continued a tool call whose arguments were complete.")
            return next_part
        if text:
            call.arguments.append(text)
        if call.part is not None:
            if text and not call.wrapped:
                events.append(Delta(index=call.part, text=text, choice=self._choice))
            return next_part
        if not call.name:
            return next_part
        return self._start(call, next_part, events)

    def settle(self, events: list[Event]) -> None:
        """End the calls whose arguments are complete JSON: nothing can follow in them. Others may go on, interleaved."""
        for call in self._calls:
            if call.part is not None and not call.ended and not call.custom and _is_complete("".join(call.arguments)):
                self._end(call, events)

    def close(self, events: list[Event]) -> None:
        """End all. Raises UpstreamProtocolError for a call that never got a name."""
        for call in self._calls:
            if call.part is None:
                raise UpstreamProtocolError("The provider streamed a tool call without a name.")
            if not call.ended:
                rest = call.joiner.rest()
                if rest and call.wrapped:
                    call.arguments.append(rest)
                elif rest:
                    events.append(Delta(index=call.part, text=rest, choice=self._choice))
                self._end(call, events)

    def _call(self, wire: ToolCallDelta, name: str, text: str) -> _Call | None:
        """The call that a delta continues; None when it begins one.

        The index decides, unless another call shows: some servers give every call index 0. Without an index the id decides;
        without both it is the last call.
        """
        if wire.index is None or wire.index is msgspec.UNSET:
            if wire.id:
                return next((call for call in self._calls if call.id == wire.id), None)
            return self._calls[-1] if self._calls and not (name and self._calls[-1].name) else None
        call = self._by_index.get(wire.index)
        return None if call is not None and name and call.name and _is_another(call, wire, text) else call

    def _new(self, wire: ToolCallDelta) -> _Call:
        call = _Call()
        self._calls.append(call)
        if isinstance(wire.index, int):
            self._by_index[wire.index] = call
        return call

    def _start(self, call: _Call, part: int, events: list[Event]) -> int:
        """Begin the call, behind its signature; back comes the number of the next part."""
        if call.signature is not None:
            events += [
                PartStarted(index=part, part=call.signature, choice=self._choice),
                PartEnded(index=part, choice=self._choice),
            ]
            part += 1
        call.part = part
        call.id = call.id or made_id(self._response_id, self._choice, self._calls.index(call))
        name = self._outgoing.tool_names.get(call.name, call.name)
        call.wrapped = not call.custom and call.name in self._outgoing.custom_tools
        begun = ToolCall(id=call.id, name=name, custom=call.custom or call.wrapped)
        events.append(PartStarted(index=part, part=begun, choice=self._choice))
        held = "".join(call.arguments)
        if held and not call.wrapped:
            events.append(Delta(index=part, text=held, choice=self._choice))
        return part + 1

    def _end(self, call: _Call, events: list[Event]) -> None:
        call.ended = True
        text = unwrapped("".join(call.arguments)) if call.wrapped else ""
        if text:
            events.append(Delta(index=call.part or 0, text=text, choice=self._choice))
        events.append(PartEnded(index=call.part or 0, choice=self._choice))


def _read(wire: ToolCallDelta) -> tuple[str, str, bool]:
    """Name, more of the arguments, and whether it is a custom tool's call."""
    if wire.function:
        return wire.function.name or "", arguments_text(wire.function.arguments), False
    if wire.custom:
        return wire.custom.name or "", wire.custom.input or "", True
    return "", "", wire.type == "custom"


def _is_another(call: _Call, wire: ToolCallDelta, text: str) -> bool:
    """Whether a delta with a name is not about ``call``: it has another id, or none and more than ``call`` has room for."""
    if wire.id:
        return bool(call.id) and wire.id != call.id
    return bool(text.strip()) and not call.custom and _is_complete("".join(call.arguments))


def _is_complete(arguments: str) -> bool:
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        msgspec.json.decode(arguments.encode("utf-8", "replace"), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
