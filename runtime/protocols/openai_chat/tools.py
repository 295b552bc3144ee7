"""Tools and the choice among them, as a Chat provider takes them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.canonical import (
    NamedTool,
    Request,
    Tool,
    ToolMode,
    ToolSubset,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.free_text import PARAMETERS, described, limited
from runtime.protocols.json_schema import EMPTY_OBJECT
from runtime.protocols.openai_chat.parts import write_mark
from runtime.protocols.openai_chat.reasoning import PROTOCOL
from runtime.protocols.openai_chat.turns import Wording
from runtime.protocols.openai_schema import NotStrictError, strict_schema
from runtime.protocols.tool_name import WordRule

__all__ = ["NAMES", "strictly", "write_tools"]

NAMES: Final = WordRule()
"""Letters, digits, underscore and dash, at most 64."""


def write_tools(request: Request, wording: Wording) -> dict[str, Any]:
    """Nothing at all without tools: an empty list, or a choice of nothing, is refused by many."""
    known = [(index, tool) for index, tool in enumerate(request.tools) if tool.native is None]
    wording.losses.extend(
        f"tools[{index}]"
        for index, tool in enumerate(request.tools)
        if tool.native is not None and (tool.search is None or tool.native_protocol != PROTOCOL)
    )
    if not known:
        return {}
    said: dict[str, Any] = {"tools": [_tool(tool, f"tools[{index}]", wording) for index, tool in known]}
    choice = _choice(request, wording)
    if choice is not None:
        said["tool_choice"] = choice
    if request.parallel_tool_calls is not None:
        said["parallel_tool_calls"] = request.parallel_tool_calls
    return said


def _tool(tool: Tool, path: str, wording: Wording) -> dict[str, Any]:
    told: dict[str, Any] = {"name": wording.names[tool.name]}
    custom = tool.custom and wording.quirks.custom_tools
    description = tool.description if custom else described(tool)
    if description is not None:
        told["description"] = description
    if custom:
        if tool.format is not None:
            told["format"] = msgspec.Raw(tool.format.encode())
        if tool.cache is not None:
            wording.losses.append(f"{path}.cache")
        return {"type": "custom", "custom": told}
    if limited(tool):
        wording.losses.append(f"{path}.format")
    parameters, strict = (PARAMETERS, None) if tool.custom else (tool.parameters, tool.strict)
    if strict:
        parameters, strict = strictly(parameters or EMPTY_OBJECT, f"{path}", "parameters", wording.losses)
    if parameters is not None:
        told["parameters"] = msgspec.Raw(parameters.encode())
    if strict is not None:
        told["strict"] = strict
    written: dict[str, Any] = {"type": "function", "function": told}
    if wording.quirks.cache_marks == "cache_control":  # the vendor's own mark has no place on a tool
        write_mark(written, tool.cache, "cache_control")
    elif tool.cache is not None:
        wording.losses.append(f"{path}.cache")
    return written


def strictly(schema: str, path: str, field: str, losses: list[str]) -> tuple[str, bool]:
    """``schema`` as strict mode takes it, and whether that could be: strictness goes before the schema's meaning does."""
    try:
        return strict_schema(schema), True
    except NotStrictError as error:
        losses.append(f"{path}.{field}.{error.path}" if error.path else f"{path}.strict")
        return schema, False
    except ValueError as error:
        place = f"{path}.{field}"
        raise InvalidRequest(f"'{place}' is no JSON Schema: {error}.", param=place, code="invalid_value") from None


def _choice(request: Request, wording: Wording) -> Any:
    custom = {tool.name for tool in request.tools if tool.custom} if wording.quirks.custom_tools else set[str]()

    def named(name: str) -> dict[str, Any]:
        kind = "custom" if name in custom else "function"
        return {"type": kind, kind: {"name": wording.names[name]}}

    hosted = {
        tool.name for tool in request.tools if tool.native is not None
    }  # left out, so nobody can be told to call it
    match request.tool_choice:
        case ToolMode(mode=mode):
            return mode
        case NamedTool(name=name):
            if name in hosted:
                wording.losses.append("tool_choice")
                return None
            return named(name)
        case ToolSubset(names=names, required=required):
            kept = [named(name) for name in names if name not in hosted]
            if len(kept) < len(names):
                wording.losses.append("tool_choice")
            tools = {"mode": "required" if required else "auto", "tools": kept}
            return {"type": "allowed_tools", "allowed_tools": tools} if kept else "none"
        case None:
            return None
