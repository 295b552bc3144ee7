"""Canonical messages to a provider's input items."""

from __future__ import annotations

from typing import Any, Final

import msgspec

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
from runtime.catalog import Quirks
from runtime.errors import InvalidRequest
from runtime.protocols.arguments import as_object
from runtime.protocols.openai_chat.pairing import is_absent
from runtime.protocols.openai_responses.conversation import PHASE
from runtime.protocols.openai_responses.parts import (
    annotation_json,
    write_document,
    write_image,
    write_mark,
    write_text,
)
from runtime.protocols.openai_responses.seal import own_item
from runtime.protocols.openai_responses.toolbox import Toolbox
from runtime.protocols.openai_responses.wire import PROTOCOL
from runtime.protocols.tool_name import WordRule, fit

__all__ = ["ItemWriter"]

_CALL_ID: Final = WordRule()


class _Phase(msgspec.Struct):
    phase: str | None = None


_PHASE: Final = msgspec.json.Decoder(_Phase)


class ItemWriter:
    """Writes one conversation. ``stored``: the vendor may keep items, so that one without sealed state can be named by its id."""

    def __init__(self, toolbox: Toolbox, quirks: Quirks, losses: list[str], *, stored: bool) -> None:
        self._toolbox = toolbox
        self._quirks = quirks
        self._losses = losses
        self._stored = stored
        self._custom: dict[str, bool] = {}  # of calls, by their ids
        self.items: list[Any] = []

    def write(self, message: Message, path: str) -> None:
        match message.role:
            case "assistant":
                self._assistant(message, path)
            case "tool":
                self._results(message, path)
            case role:
                known = "system" if role == "developer" and not self._quirks.developer_role else role
                content = self._content(message.content, path)
                if content:
                    self.items.append({"type": "message", "role": known, "content": content})

    # -- what the client and its tools say

    def _content(self, parts: tuple[Part, ...], path: str) -> str | list[dict[str, Any]]:
        """Plain text as a string, all else as parts."""
        match parts:
            case (Text(text=text, cache=cache),) if cache is None or self._quirks.cache_marks is None:
                return text
            case _:
                written = [self._part(part, f"{path}.content[{index}]") for index, part in enumerate(parts)]
                return [part for part in written if part is not None]

    def _part(self, part: Part, path: str) -> dict[str, Any] | None:
        match part:
            case Text(text=text):
                written = write_text(text)
            case Image():
                written = write_image(part)
            case Document():
                written = write_document(part)
            case Audio():
                raise InvalidRequest("This model takes no sound.", param=path)
            case Refusal(text=text):
                return write_text(text)
            case _:  # another protocol's own blocks have no meaning here
                self._losses.append(path)
                return None
        return written if self._quirks.cache_marks is None else write_mark(written, part.cache)

    def _results(self, message: Message, path: str) -> None:
        for index, result in enumerate(message.content):
            if not isinstance(result, ToolResult):
                continue
            place = f"{path}.content[{index}]"
            kind = "custom_tool_call" if self._custom.get(result.call_id, result.custom) else "function_call"
            output = self._content(result.content, place)
            self.items.append(
                {"type": f"{kind}_output", "call_id": self._call_id(result.call_id), "output": output or ""}
            )
            if result.is_error and not is_absent(result):
                self._losses.append(f"{place}.is_error")

    # -- what the model said

    def _assistant(self, message: Message, path: str) -> None:
        """Words that follow one another are one item; what stands between them keeps its place."""
        words: list[Text | Refusal] = []
        phase: str | None = None
        for index, part in enumerate(message.content):
            if isinstance(part, Text | Refusal):
                words.append(part)
                continue
            self._words(words, phase)
            words, phase = [], None
            if isinstance(part, Native) and part.protocol == PROTOCOL and part.block == PHASE:
                phase = _PHASE.decode(part.json).phase
            else:
                self._other(part, f"{path}.content[{index}]")
        self._words(words, phase)

    def _words(self, words: list[Text | Refusal], phase: str | None) -> None:
        if not words:
            return
        marked = {} if phase is None else {"phase": phase}
        item: dict[str, Any] = {"type": "message", "role": "assistant", **marked}
        match words:
            case [Text(text=text, citations=())]:
                self.items.append({**item, "content": text})
            case _:
                content = [_said(part) for part in words]
                id_ = f"msg_{len(self.items)}"
                self.items.append({**item, "id": id_, "status": "completed", "content": content})

    def _other(self, part: Part, path: str) -> None:
        match part:
            case Reasoning():
                self._reasoning(part, path)
            case ToolCall():
                self._call(part)
            case Native(protocol=protocol, block=block, json=json) if protocol == PROTOCOL and block != PHASE:
                self.items.append(msgspec.Raw(json.encode()))
            case _:
                self._losses.append(path)

    def _reasoning(self, part: Reasoning, path: str) -> None:
        """Sealed by the vendor: the item as it was. Other thinking only where the provider wants all of it back."""
        own = own_item(part)
        if own is not None and (self._stored or "encrypted_content" in own[1]):
            id_ = own[0] or f"rs_{len(self.items)}"
            self.items.append({"type": "reasoning", "id": id_, **own[1]})
        elif part.text and self._quirks.replay_reasoning:
            content = [{"type": "reasoning_text", "text": part.text}]
            self.items.append({"type": "reasoning", "id": f"rs_{len(self.items)}", "summary": [], "content": content})
        else:
            self._losses.append(path)

    def _call(self, call: ToolCall) -> None:
        named = {"call_id": self._call_id(call.id), **self._toolbox.named(call.name)}
        self._custom[call.id] = call.custom
        if call.custom:
            self.items.append({"type": "custom_tool_call", **named, "input": call.arguments})
        else:
            self.items.append({"type": "function_call", **named, "arguments": as_object(call.arguments).decode()})

    def _call_id(self, id_: str) -> str:
        """The id as the provider takes it: the same for a call, its results, and every later turn."""
        pattern = self._quirks.tool_call_id
        return fit(id_, _CALL_ID if pattern is None else WordRule.of(pattern))


def _said(part: Text | Refusal) -> dict[str, Any]:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    notes = (annotation_json(citation, 0, len(part.text)) for citation in part.citations)
    annotations = [msgspec.Raw(note) for note in notes if note is not None]
    return {"type": "output_text", "text": part.text, "annotations": annotations}
