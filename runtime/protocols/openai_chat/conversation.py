"""A client's Chat messages to canonical ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from generated.types.openai_chat import (
    AssistantMessage,
    CustomToolCall,
    DeveloperMessage,
    FunctionMessage,
    FunctionToolCall,
    RefusalPart,
    SystemMessage,
    ToolMessage,
    UserMessage,
)  # fmt: skip
from generated.types.openai_chat import Message as WireMessage
from runtime.canonical import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.openai_chat.parts import read_content, read_mark, read_shown
from runtime.protocols.openai_chat.reasoning import PROTOCOL, read_client_details
from runtime.protocols.openai_chat.signature import client_signature

__all__ = ["read_messages"]


def read_messages(wire: Sequence[WireMessage]) -> tuple[Message, ...]:
    """The conversation. Neighbouring tool messages become one: they answer one turn."""
    reader = _Reader()
    for index, message in enumerate(wire):
        reader.read(message, f"messages[{index}]")
    return tuple(reader.messages)


class _Reader:
    """Remembers the calls, so that a result learns its tool's name, and old calls without ids find their results."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._names: dict[str, str] = {}
        self._legacy_calls = 0
        self._legacy_id = "call_0"

    def read(self, wire: WireMessage, path: str) -> None:
        match wire:
            case SystemMessage():
                self._plain("system", wire, path)
            case DeveloperMessage():
                self._plain("developer", wire, path)
            case UserMessage():
                self._plain("user", wire, path)
            case AssistantMessage():
                content = _signed(_said(wire, path), self._called(wire), wire)
                self.messages.append(Message(role="assistant", content=content, name=wire.name or None))
            case ToolMessage():
                mark = read_mark(wire.cache_control)
                content = read_content(wire.content, f"{path}.content")
                self._result(wire.tool_call_id, wire.name or None, _for_result(content, path), mark)
            case FunctionMessage():
                content = read_content(wire.content, f"{path}.content")
                self._result(self._legacy_id, wire.name, _for_result(content, path), None)

    def _plain(self, role: Any, wire: SystemMessage | DeveloperMessage | UserMessage, path: str) -> None:
        mark = read_mark(wire.cache_control) if wire.cache_control else None
        content = read_content(wire.content, f"{path}.content", mark)
        self.messages.append(Message(role=role, content=content, name=wire.name or None))

    def _called(self, wire: AssistantMessage) -> list[ToolCall]:
        calls: list[ToolCall] = []
        for call in wire.tool_calls or ():
            match call:
                case FunctionToolCall(id=id_, function=function):
                    calls.append(ToolCall(id=id_, name=function.name, arguments=function.arguments or ""))
                case CustomToolCall(id=id_, custom=custom):
                    calls.append(ToolCall(id=id_, name=custom.name, arguments=custom.input or "", custom=True))
        if wire.function_call:
            self._legacy_id = f"call_{self._legacy_calls}"
            self._legacy_calls += 1
            function = wire.function_call
            calls.append(ToolCall(id=self._legacy_id, name=function.name, arguments=function.arguments or ""))
        self._names.update({call.id: call.name for call in calls})
        return calls

    def _result(self, call_id: str, name: str | None, content: tuple[Any, ...], mark: Any) -> None:
        result = ToolResult(call_id=call_id, name=name or self._names.get(call_id), content=content, cache=mark)
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "tool":
            self.messages[-1] = msgspec.structs.replace(last, content=(*last.content, result))
        else:
            self.messages.append(Message(role="tool", content=(result,)))


def _said(wire: AssistantMessage, path: str) -> list[Part]:
    """What an assistant turn holds before its calls: thinking, then words."""
    text = wire.reasoning_content or wire.reasoning or ""
    details = msgspec.Raw(msgspec.json.encode(wire.reasoning_details)) if wire.reasoning_details else None
    parts: list[Part] = list(read_client_details(text, details))
    mark = read_mark(wire.cache_control)
    if isinstance(wire.content, list):
        refusals = [part for part in wire.content if isinstance(part, RefusalPart)]
        texts = [part for part in wire.content if not isinstance(part, RefusalPart)]
        parts += read_content(texts, f"{path}.content", mark)
        parts += [Refusal(text=part.refusal) for part in refusals if part.refusal]
    else:
        parts += read_content(wire.content, f"{path}.content", mark)
    if wire.refusal:
        parts.append(Refusal(text=wire.refusal))
    parts += read_shown(wire.images, f"{path}.images")
    if wire.audio:
        json = msgspec.json.encode({"id": wire.audio.id}).decode()
        parts.append(Native(protocol=PROTOCOL, block="audio", json=json))
    return parts


def _signed(said: list[Part], calls: list[ToolCall], wire: AssistantMessage) -> tuple[Part, ...]:
    """The turn with calls' signatures directly before them. One that came among the thinking, too, counts once."""
    content: list[Part] = []
    for call, given in zip_longest(calls, wire.tool_calls or ()):
        signature = client_signature(given.extra_content) if given else None
        if signature is not None:
            said = _without(said, signature)
            content.append(signature)
        content.append(call)
    return (*said, *content)


def _without(parts: list[Part], signature: Reasoning) -> list[Part]:
    at = next((at for at, part in enumerate(parts) if part == signature), None)
    return parts if at is None else parts[:at] + parts[at + 1 :]


def _for_result(content: tuple[Text | Image | Audio | Document, ...], path: str) -> tuple[Text | Image | Document, ...]:
    for index, part in enumerate(content):
        if isinstance(part, Audio):
            place = f"{path}.content[{index}].type"
            raise InvalidRequest("A tool's result cannot hold sound.", param=place, code="invalid_value")
    return tuple(part for part in content if not isinstance(part, Audio))
