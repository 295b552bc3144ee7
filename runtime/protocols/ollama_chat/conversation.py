"""A client's chat messages to canonical ones.

Calls and results often come without ids here: each result is given to the call it answers, by its id, else by its tool's
name, else by its place. Calls without an id get one from where they stand, so that the next turn finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from generated.types.ollama_chat import Message as WireMessage
from runtime.canonical import Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from runtime.errors import InvalidRequest
from runtime.protocols.ollama_chat.wire import arguments_text, read_picture

__all__ = ["read_messages", "read_words"]

_ROLES: Final[dict[str, Literal["system", "developer", "user"]]] = {
    "system": "system", "developer": "developer", "user": "user",
}  # fmt: skip


def read_messages(wire: Sequence[WireMessage]) -> tuple[Message, ...]:
    """The conversation. Neighbouring tool messages become one: they answer one turn."""
    reader = _Reader()
    for index, message in enumerate(wire):
        reader.read(message, index)
    return tuple(reader.messages)


def read_words(
    text: str | msgspec.UnsetType | None, images: list[str] | msgspec.UnsetType | None, path: str
) -> tuple[Text | Image, ...]:
    """A text and the pictures that go with it. ``path`` is that of ``images``."""
    said = (Text(text=text),) if text else ()
    shown = (Image(source=read_picture(data, f"{path}[{index}]")) for index, data in enumerate(images or ()))
    return (*said, *shown)


class _Reader:
    """Remembers the calls that wait for their results."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._waiting: list[ToolCall] = []
        self._names: dict[str, str] = {}

    def read(self, wire: WireMessage, index: int) -> None:
        content = read_words(wire.content, wire.images, f"messages[{index}].images")
        if wire.role == "tool":
            self._result(wire, index, content)
            return
        if wire.role == "assistant":
            self.messages.append(Message(role="assistant", content=self._turn(wire, index, content)))
            return
        role = _ROLES.get(wire.role)
        if role is None:
            path = f"messages[{index}].role"
            message = f"The field '{path}' must be system, user, assistant or tool, not {wire.role!r}."
            raise InvalidRequest(message, param=path, code="invalid_value")
        self.messages.append(Message(role=role, content=content))

    def _turn(self, wire: WireMessage, index: int, content: tuple[Part, ...]) -> tuple[Part, ...]:
        thinking = (Reasoning(text=wire.thinking),) if wire.thinking else ()
        calls = [
            ToolCall(
                id=call.id or f"call_{index}_{place}",
                name=call.function.name,
                arguments=arguments_text(call.function.arguments),
            )
            for place, call in enumerate(wire.tool_calls or ())
        ]
        self._waiting = list(calls)
        self._names.update({call.id: call.name for call in calls})
        return (*thinking, *content, *calls)

    def _result(self, wire: WireMessage, index: int, content: tuple[Text | Image, ...]) -> None:
        name = wire.tool_name or wire.name or None
        call_id = wire.tool_call_id or self._answered(name) or f"call_{index}"
        self._waiting = [call for call in self._waiting if call.id != call_id]
        result = ToolResult(call_id=call_id, name=name or self._names.get(call_id), content=content)
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "tool":
            self.messages[-1] = msgspec.structs.replace(last, content=(*last.content, result))
        else:
            self.messages.append(Message(role="tool", content=(result,)))

    def _answered(self, name: str | None) -> str | None:
        """The id of the call that a result without one answers: the next of its tool, else the next of all."""
        same = next((call.id for call in self._waiting if call.name == name), None)
        return same or next((call.id for call in self._waiting), None)
