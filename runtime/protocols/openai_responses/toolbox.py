"""Tools and the choice among them as this protocol writes them: to a provider, and as an answer repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runtime.canonical import Extensions, NamedTool, Request, Tool, ToolMode, ToolSubset
from runtime.protocols.openai_responses.naming import Member, joined, key_of, members_of
from runtime.protocols.openai_responses.strictness import fits_strict
from runtime.protocols.openai_responses.tools import ADDED, CHOICE, MEMBERS
from runtime.protocols.openai_responses.wire import PROTOCOL, Fields
from runtime.protocols.tool_name import WordRule, fit_all, tool_names, way_back

__all__ = ["Toolbox"]

_NAME_RULE: Final = WordRule()
"""Letters, digits, underscore and dash, at most 64."""

_EXTRAS: Final = msgspec.json.Decoder(dict[str, Fields])
_ADDED: Final = msgspec.json.Decoder(list[str])


class _Grammar(msgspec.Struct):
    syntax: str | None = None
    definition: str | None = None


class _Format(msgspec.Struct):
    type: str = ""
    grammar: _Grammar | None = None


class _Hosted(msgspec.Struct):
    """What a choice says of a tool that the vendor runs."""

    type: str = ""


_HOSTED: Final = msgspec.json.Decoder(_Hosted)
_FORMAT: Final = msgspec.json.Decoder(_Format)


class Toolbox:
    """The tools of one request, under the names that the provider takes."""

    def __init__(self, request: Request, losses: list[str]) -> None:
        kept: Extensions = request.extensions.get(PROTOCOL, {})
        self._request = request
        self._kept = kept
        self._losses = losses
        self._members = members_of(request)
        self._extras = _EXTRAS.decode(kept[MEMBERS]) if MEMBERS in kept else {}
        self._added = set(_ADDED.decode(kept[ADDED])) if ADDED in kept else set[str]()
        self._names = fit_all((name for name in tool_names(request) if name not in self._members), _NAME_RULE)
        self.custom = frozenset(tool.name for tool in request.tools if tool.custom)

    def named(self, name: str) -> dict[str, Any]:
        """The members that name a tool in a call."""
        member = self._members.get(name)
        if member is None:
            return {"name": self._names[name]}
        return {"name": member.name, "namespace": member.namespace} if member.namespace else {"name": member.name}

    def way_back(self) -> dict[str, str]:
        """The provider's name to the client's, for those that differ. Grouped tools are looked up by `key_of`."""
        grouped = {
            key_of(member.namespace, member.name): name
            for name, member in self._members.items()
            if not member.namespace or joined(member.namespace, member.name) != name
        }
        return {**way_back(self._names), **grouped}

    def tools(self) -> list[Any]:
        """All that are to be declared. Tools that came as items are declared by their items."""
        written: list[Any] = []
        groups: dict[str, list[Any]] = {}
        for index, tool in enumerate(self._request.tools):
            if tool.native is not None:
                if tool.native_protocol == PROTOCOL:
                    written.append(msgspec.Raw(tool.native.encode()))
                else:
                    self._losses.append(f"tools[{index}]")
            elif tool.name not in self._added:
                member = self._members.get(tool.name)
                if member is None or not member.namespace:
                    written.append(self._tool(tool, self.named(tool.name)["name"], index))
                    continue
                if member.namespace not in groups:
                    groups[member.namespace] = []
                    written.append(_group(member, groups[member.namespace]))
                groups[member.namespace].append(self._tool(tool, member.name, index))
        return written

    def choice(self) -> Any:
        """None where nothing is said."""
        if CHOICE in self._kept:
            return self._kept[CHOICE]
        match self._request.tool_choice:
            case ToolMode(mode=mode):
                return mode
            case NamedTool(name=name):
                tools = self._references((name,))
                if tools and "name" not in tools[0]:  # no form for one hosted tool knows them all
                    return {"type": "allowed_tools", "mode": "required", "tools": tools}
                return tools[0] if tools else None
            case ToolSubset(names=names, required=required):
                tools = self._references(names)
                mode = "required" if required else "auto"
                return {"type": "allowed_tools", "mode": mode, "tools": tools} if tools else "none"
            case None:
                return None

    def _references(self, names: tuple[str, ...]) -> list[dict[str, Any]]:
        """What names tools in a choice; other vendors' own are not declared here, so nobody can be told to call them."""
        tools = [reference for name in names if (reference := self._reference(name))]
        if len(tools) < len(names):
            self._losses.append("tool_choice")
        return tools

    def _reference(self, name: str) -> dict[str, Any] | None:
        hosted = [tool for tool in self._request.tools if tool.name == name and tool.native is not None]
        if hosted and not any(tool.name == name and tool.native is None for tool in self._request.tools):
            own = next((tool.native for tool in hosted if tool.native_protocol == PROTOCOL), None)
            return {"type": _HOSTED.decode(own).type} if own else None
        return {"type": "custom" if name in self.custom else "function", "name": self.named(name)["name"]}

    def _tool(self, tool: Tool, name: str, index: int) -> dict[str, Any]:
        written: dict[str, Any] = {"type": "custom" if tool.custom else "function", "name": name}
        if tool.description is not None:
            written["description"] = tool.description
        if tool.custom:
            if tool.format is not None:
                written["format"] = _flat(tool.format)
        else:
            written["parameters"] = None if tool.parameters is None else msgspec.Raw(tool.parameters.encode())
            written["strict"] = bool(tool.strict) and fits_strict(tool.parameters)
            if tool.strict and not written["strict"]:
                self._losses.append(f"tools[{index}].strict")
        if tool.cache is not None:
            self._losses.append(f"tools[{index}].cache")
        return {**written, **self._extras.get(tool.name, {})}


def _group(member: Member, tools: list[Any]) -> Mapping[str, Any]:
    return {"type": "namespace", "name": member.namespace, "description": member.description, "tools": tools}


def _flat(format_: str) -> Any:
    """The format as this protocol has it: a grammar stands beside its type. One of another form is the provider's to judge."""
    try:
        found = _FORMAT.decode(format_)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.Raw(format_.encode())
    if found.grammar is None:
        return msgspec.Raw(format_.encode())
    return {"type": "grammar", "syntax": found.grammar.syntax, "definition": found.grammar.definition}
