"""A client's input items to canonical messages.

What one assistant turn is made of (thinking, words, calls, the vendor's own items) becomes one message; so do neighbouring
results of calls. A call and its result belong together by ``call_id`` and kind.
"""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.openai_responses import InputItem
from runtime.canonical import Audio, Document, Image, Message, Native, Part, Refusal, Role, Text, ToolCall, ToolResult
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.openai_responses.naming import Naming
from runtime.protocols.openai_responses.parts import read_content
from runtime.protocols.openai_responses.seal import read_client
from runtime.protocols.openai_responses.tools import ToolReader
from runtime.protocols.openai_responses.wire import PROTOCOL, encode, is_list, is_text, missing, read, text_of, wrong

__all__ = ["NATIVE_ITEMS", "PHASE", "phase_mark", "read_input"]

NATIVE_ITEMS: Final = frozenset({
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction",
    "compaction_trigger", "computer_call", "computer_call_output", "configuration_update", "file_search_call",
    "image_generation_call", "item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request",
    "mcp_approval_response", "mcp_call", "mcp_list_tools", "program", "program_output", "shell_call", "shell_call_output",
    "tool_search_call", "tool_search_output", "web_search_call",
})  # fmt: skip
"""Items that mean something to this protocol only."""

PHASE: Final = "phase"
"""A native block of ours: what phase the words behind it are of, which the vendor wants told again."""

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: Final = msgspec.json.Decoder(InputItem)
_TEXT: Final = msgspec.json.Decoder(str)


def read_input(raw: msgspec.Raw | msgspec.UnsetType, naming: Naming, tools: ToolReader) -> tuple[Message, ...]:
    """The conversation: a text, one item, or items. Tools that came as items go to ``tools``."""
    given = present(raw)
    if given is None:
        return ()
    if is_text(given):
        return (Message(role="user", content=(Text(text=_TEXT.decode(given)),)),)
    reader = _Reader(naming, tools)
    if is_list(given):
        items = read(_ITEMS, given, "input")
        for index, item in enumerate(items):
            reader.read(item, f"input[{index}]")
    else:
        reader.read(given, "input")
    return tuple(reader.messages)


def phase_mark(phase: str) -> Native:
    return Native(protocol=PROTOCOL, block=PHASE, json=encode({"phase": phase}).decode())


class _Reader:
    """Remembers the calls, so that a result learns its tool's name."""

    def __init__(self, naming: Naming, tools: ToolReader) -> None:
        self.messages: list[Message] = []
        self._naming = naming
        self._tools = tools
        self._names: dict[tuple[str, str], str] = {}

    def read(self, raw: msgspec.Raw, path: str) -> None:
        item = read(_ITEM, raw, path)
        match present(item.type):
            case None if present(item.role) is None and item.id:
                self._say(Native(protocol=PROTOCOL, block="item_reference", json=text_of(raw)))
            case None | "message":
                self._message(item, path)
            case "reasoning":
                thinking = read_client(item, path)
                if thinking is not None:
                    self._say(thinking)
            case "function_call":
                self._call(item, path, _arguments(item.arguments, f"{path}.arguments"), custom=False)
            case "custom_tool_call":
                self._call(item, path, present(item.input) or "", custom=True)
            case "function_call_output" | "custom_tool_call_output" as kind:
                self._result(item, path, kind.removesuffix("_output"))
            case kind if kind in NATIVE_ITEMS:
                if kind in {"additional_tools", "tool_search_output"}:
                    self._tools.read(item.tools or [], f"{path}.tools", added=True)
                self._say(Native(protocol=PROTOCOL, block=kind, json=text_of(raw)))
            case kind:
                raise wrong(f"{path}.type", f"'{kind}' is no type of input item that is known here.")

    def _message(self, item: InputItem, path: str) -> None:
        match item.role:
            case "user" | "system" | "developer" as role:
                content = read_content(item.content, f"{path}.content")
                self.messages.append(Message(role=role, content=content))
            case "assistant":
                content = read_content(item.content, f"{path}.content")
                phase = present(item.phase)
                if phase and content:
                    self._say(phase_mark(phase))
                self._say(*content)
            case None | msgspec.UNSET:
                raise missing(f"{path}.role")
            case other:
                what = f"'{other}' is no role; known are user, system, developer and assistant."
                raise wrong(f"{path}.role", what)

    def _call(self, item: InputItem, path: str, arguments: str, *, custom: bool) -> None:
        id_, name = present(item.call_id), present(item.name)
        if not id_:
            raise missing(f"{path}.call_id")
        if not name:
            raise missing(f"{path}.name")
        canonical = self._naming.canonical(present(item.namespace) or "", name)
        self._names["custom_tool_call" if custom else "function_call", id_] = canonical
        self._say(ToolCall(id=id_, name=canonical, arguments=arguments, custom=custom))

    def _result(self, item: InputItem, path: str, call: str) -> None:
        id_ = present(item.call_id)
        if not id_:
            raise missing(f"{path}.call_id")
        if present(item.output) is None:
            raise missing(f"{path}.output")
        content = _for_result(read_content(item.output, f"{path}.output"), f"{path}.output")
        called = self._names.get((call, id_))
        custom = called is None and call == "custom_tool_call"
        name = called or present(item.name)
        self._append("tool", ToolResult(call_id=id_, name=name, content=content, custom=custom))

    def _say(self, *parts: Part) -> None:
        if parts:
            self._append("assistant", *parts)

    def _append(self, role: Role, *parts: Part) -> None:
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == role:
            self.messages[-1] = msgspec.structs.replace(last, content=(*last.content, *parts))
        else:
            self.messages.append(Message(role=role, content=parts))


def _arguments(value: msgspec.Raw | msgspec.UnsetType, path: str) -> str:
    """The JSON text of a call's arguments; some clients send the object itself."""
    raw = present(value)
    if raw is None:
        return ""
    return read(_TEXT, raw, path) if is_text(raw) else text_of(raw)


def _for_result(content: tuple[Part, ...], path: str) -> tuple[Text | Image | Document, ...]:
    kept: list[Text | Image | Document] = []
    for index, part in enumerate(content):
        match part:
            case Text() | Image() | Document():
                kept.append(part)
            case Refusal(text=text):
                kept.append(Text(text=text))
            case Audio():
                place = f"{path}[{index}].type"
                raise InvalidRequest("A tool's result cannot hold sound.", param=place, code="invalid_value")
            case _:
                continue
    return tuple(kept)
