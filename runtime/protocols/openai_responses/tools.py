"""Tools and the choice among them, as clients send them.

Members of a tool that only this protocol has (`defer_loading` and its like) are kept in the request's ``extensions`` as
`tools.members`, by the tool's canonical name. Tools that the vendor runs are kept whole and go to no other protocol.
"""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.openai_responses import GrammarFormat, ResponseTool, ResponseToolChoice
from runtime.canonical import Extensions, NamedTool, Tool, ToolChoice, ToolMode, ToolSubset
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.openai_responses.naming import Naming
from runtime.protocols.openai_responses.search import read_search
from runtime.protocols.openai_responses.wire import PROTOCOL, Fields, encode, is_text, missing, read, text_of, wrong

__all__ = ["ADDED", "CHOICE", "MEMBERS", "ToolReader", "read_choice"]

MEMBERS: Final = "tools.members"
ADDED: Final = "tools.added"
"""The extension that names the tools which came as items of the conversation."""

CHOICE: Final = "tool_choice"

_TOOL: Final = msgspec.json.Decoder(ResponseTool)
_CHOICE: Final = msgspec.json.Decoder(ResponseToolChoice)
_FORMAT: Final = msgspec.json.Decoder(GrammarFormat)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_TEXT: Final = msgspec.json.Decoder(str)
_KNOWN: Final = frozenset({"type", "name", "description", "parameters", "strict", "format", "function"})


class _Inner(ResponseTool, kw_only=True):
    type: str = "function"


class _Nest(msgspec.Struct):
    """Not of the vendor: Chat's form of a function."""

    function: _Inner


_NEST: Final = msgspec.json.Decoder(_Nest)


class ToolReader:
    """Collects the tools of one request: those of `tools`, and those that came as items of the conversation."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._members: dict[str, Fields] = {}
        self._added: list[str] = []
        self.tools: list[Tool] = []

    def read(self, raws: list[msgspec.Raw], path: str, *, added: bool = False) -> None:
        """``added``: they came as an item, which itself goes to the vendor again."""
        known = {tool.name for tool in self.tools if tool.native is None}
        for index, raw in enumerate(raws):
            for tool in self._read(raw, f"{path}[{index}]", ""):
                if added and (tool.name in known or tool.native is not None):
                    continue
                self.tools.append(tool)
                if added:
                    self._added.append(tool.name)

    def keep(self, extensions: Extensions) -> None:
        if self._members:
            extensions[MEMBERS] = msgspec.Raw(encode(self._members))
        if self._added:
            extensions[ADDED] = msgspec.Raw(encode(self._added))

    def _read(self, raw: msgspec.Raw, path: str, namespace: str) -> list[Tool]:
        wire = read(_TOOL, raw, path)
        match wire.type:
            case "function":
                return [self._function(wire, raw, path, namespace)]
            case "custom":
                return [self._custom(wire, raw, path, namespace)]
            case "namespace" if not namespace:
                name = _name(wire, path)
                self._naming.describe(name, present(wire.description) or "")
                return [
                    tool
                    for index, inner in enumerate(wire.tools or ())
                    for tool in self._read(inner, f"{path}.tools[{index}]", name)
                ]
            case kind:  # the vendor's own; a new kind is no fault of the client's
                name, search = present(wire.name) or kind, read_search(kind, raw)
                return [Tool(name=name, native=text_of(raw), native_protocol=PROTOCOL, search=search)]

    def _function(self, wire: ResponseTool, raw: msgspec.Raw, path: str, namespace: str) -> Tool:
        if not present(wire.name):
            try:
                wire = _NEST.decode(raw).function
            except msgspec.ValidationError:
                raise missing(f"{path}.name") from None
        name = self._naming.canonical(namespace, _name(wire, path))
        self._keep(name, raw)
        return Tool(
            name=name,
            description=present(wire.description),
            parameters=_object(wire.parameters, f"{path}.parameters"),
            strict=present(wire.strict),
        )

    def _custom(self, wire: ResponseTool, raw: msgspec.Raw, path: str, namespace: str) -> Tool:
        name = self._naming.canonical(namespace, _name(wire, path))
        self._keep(name, raw)
        format_ = _grammar(wire.format, f"{path}.format")
        return Tool(name=name, description=present(wire.description), custom=True, format=format_)

    def _keep(self, name: str, raw: msgspec.Raw) -> None:
        rest = {key: value for key, value in _FIELDS.decode(raw).items() if key not in _KNOWN}
        if rest:
            self._members[name] = rest


def read_choice(raw: msgspec.Raw | msgspec.UnsetType, naming: Naming, extensions: Extensions) -> ToolChoice | None:
    """The choice. One that names a tool of the vendor's is kept for this protocol only."""
    given = present(raw)
    if given is None:
        return None
    if is_text(given):
        match _TEXT.decode(given):
            case "auto" | "none" | "required" as mode:
                return ToolMode(mode=mode)
            case other:
                raise wrong(CHOICE, f"'{other}' is no tool choice; known are auto, none and required.")
    choice = read(_CHOICE, given, CHOICE)
    match choice.type:
        case "function" | "custom":
            name = present(choice.name)
            if not name:
                raise missing("tool_choice.name")
            return NamedTool(name=naming.chosen(name))
        case "allowed_tools":
            return _subset(choice, given, naming, extensions)
        case _:
            extensions[CHOICE] = given
            return None


def _subset(
    choice: ResponseToolChoice, given: msgspec.Raw, naming: Naming, extensions: Extensions
) -> ToolChoice | None:
    tools = [
        read(_CHOICE, tool, f"tool_choice.tools[{index}]") for index, tool in enumerate(choice.tools or ())
    ]  # fmt: skip
    names: list[str] = []
    for index, tool in enumerate(tools):
        if tool.type not in {"function", "custom"}:
            extensions[CHOICE] = given
            continue
        name = present(tool.name)
        if not name:
            raise missing(f"tool_choice.tools[{index}].name")
        names.append(naming.chosen(name))
    return ToolSubset(names=tuple(names), required=choice.mode == "required") if names else None


def _name(wire: ResponseTool, path: str) -> str:
    name = present(wire.name)
    if not name:
        raise missing(f"{path}.name")
    return name


def _object(value: msgspec.Raw | msgspec.UnsetType, path: str) -> str | None:
    """An object's JSON text as it came; None when it is absent or null."""
    raw = present(value)
    if raw is None:
        return None
    text = text_of(raw)
    if not text.startswith("{"):
        raise InvalidRequest(f"The field '{path}' must be an object.", param=path, code="invalid_type")
    return text


def _grammar(value: msgspec.Raw | msgspec.UnsetType, path: str) -> str | None:
    """The format in its canonical form, which is Chat's: a grammar stands in an object of its own."""
    raw = present(value)
    if raw is None:
        return None
    found = read(_FORMAT, raw, path)
    if found.type != "grammar":
        return text_of(raw)
    inner = {"syntax": present(found.syntax), "definition": present(found.definition)}
    return encode({"type": "grammar", "grammar": inner}).decode()
