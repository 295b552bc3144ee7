"""Functions, the vendor's own tools and the choice among them, both ways.

Canonical's free-text tools become functions with one text property (`runtime.protocols.free_text`). What
only this protocol says of a function (`behavior`, `response`) is kept in the request's ``extensions`` under
`tools`, by the function's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from generated.types.gemini import FunctionCallingConfig, FunctionDeclaration
from runtime.canonical import NamedTool, Request, Tool, ToolChoice, ToolMode, ToolSubset
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.complaint import read_field
from runtime.protocols.free_text import PARAMETERS, described, limited
from runtime.protocols.gemini.schema import UnsayableError, parameters_schema
from runtime.protocols.gemini.search import read_search
from runtime.protocols.gemini.vendor_schema import json_schema_of, lower_types
from runtime.protocols.gemini.wire import PROTOCOL, Fields, generation, raw_of, text_of
from runtime.protocols.tool_name import WordRule, declared_again, fit_all

__all__ = ["COMBINE_SINCE", "encode_tool_config", "encode_tools", "read_tool_config", "read_tools", "wire_names"]  # fmt: skip


_NAMES: Final = WordRule(chars="a-zA-Z0-9_.:-", max_chars=64)
_BEGINS: Final = re.compile(r"[a-zA-Z_]")
_DECLARATION: Final = msgspec.json.Decoder(FunctionDeclaration)
_DECLARATIONS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_CALLING: Final = msgspec.json.Decoder(FunctionCallingConfig)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_EXTRAS: Final = msgspec.json.Decoder(dict[str, Fields])
_KEPT: Final = frozenset(FunctionDeclaration.__struct_fields__)
_CALLING_FIELD: Final = "functionCallingConfig"
_MODES: Final = frozenset({"AUTO", "ANY", "NONE"})
_WHOLE_TURN: Final = "includeServerSideToolInvocations"
COMBINE_SINCE: Final = 3
"""The generation from which on functions stand beside the vendor's own tools, and a form of the answer beside either."""


def read_tools(given: Iterable[msgspec.Raw], extensions: Fields) -> tuple[Tool, ...]:
    """Raises InvalidRequest that names the field."""
    tools: list[Tool] = []
    extras: dict[str, Fields] = {}
    for index, raw in enumerate(given):
        path = f"tools[{index}]"
        for kind, value in read_field(_OBJECT, raw, path).items():
            if kind != "functionDeclarations":
                if present(value) is not None:
                    native = raw_of({kind: value})
                    search = read_search(kind)
                    tools.append(Tool(name=kind, native=text_of(native), native_protocol=PROTOCOL, search=search))
                continue
            declared = read_field(_DECLARATIONS, value, f"{path}.{kind}") if present(value) is not None else []
            for place, declaration in enumerate(declared):
                tool, rest = _read(declaration, f"{path}.{kind}[{place}]")
                tools.append(tool)
                if rest:
                    extras[tool.name] = rest
    if extras:
        extensions["tools"] = raw_of(extras)
    return tuple(tools)


def read_tool_config(raw: msgspec.Raw | None, extensions: Fields) -> ToolChoice | None:
    """The choice among tools; what else the field says is kept in ``extensions``."""
    if raw is None:
        return None
    fields = read_field(_OBJECT, raw, "toolConfig")
    calling = present(fields.pop(_CALLING_FIELD, None))
    given = read_field(_CALLING, calling, f"toolConfig.{_CALLING_FIELD}") if calling is not None else None
    mode = (present(given.mode) if given else None) or ""
    if mode and mode not in _MODES and mode != "MODE_UNSPECIFIED":
        fields[_CALLING_FIELD] = raw_of({"mode": mode})
    if fields:
        extensions["toolConfig"] = raw_of(fields)
    names = tuple((present(given.allowedFunctionNames) if given else None) or ())
    match mode:
        case "":
            return None
        case "NONE":
            return ToolMode(mode="none")
        case "ANY" if len(names) == 1:
            return NamedTool(name=names[0])
        case "ANY":
            return ToolSubset(names=names, required=True) if names else ToolMode(mode="required")
        case _:
            return ToolSubset(names=names) if names else ToolMode(mode="auto")


def wire_names(request: Request, called: Iterable[str]) -> dict[str, str]:
    """The client's names of functions, in definitions and in ``called``, to names that the vendor takes."""
    names = [*(tool.name for tool in request.tools if tool.native is None), *called]
    marked = {name: name if _BEGINS.match(name) else f"_{name} " for name in names}  # the blank is repaired away
    fitted = fit_all(marked.values(), _NAMES)
    return {name: fitted[mark] for name, mark in marked.items()}


def encode_tools(request: Request, names: Mapping[str, str], model: str, losses: list[str]) -> list[msgspec.Raw]:
    """The functions that may be called, in one tool, then the vendor's own tools.

    Models before Gemini 3 refuse both in one request: the vendor's own are then left out.
    """
    raw = request.extensions.get(PROTOCOL, {}).get("tools")
    extras = _EXTRAS.decode(raw) if raw is not None else {}
    choice, own_mode = request.tool_choice, _own_mode(request)
    declarations: list[msgspec.Raw] = []
    natives: list[tuple[int, str]] = []
    again = declared_again(request.tools)
    for index, tool in enumerate(request.tools):
        if index in again:  # which the vendor refuses
            losses.append(f"tools[{index}]")
        elif tool.native is not None:
            if tool.native_protocol == PROTOCOL:
                natives.append((index, tool.native))
            else:
                losses.append(f"tools[{index}]")
        elif not isinstance(choice, ToolSubset) or choice.required or own_mode or tool.name in choice.names:
            if limited(tool):
                losses.append(f"tools[{index}].format")
            losses += [f"tools[{index}].{name}" for name in ("strict", "cache") if getattr(tool, name)]
            declared = raw_of(_declare(tool, names, f"tools[{index}]"))
            more = extras.get(tool.name)
            declarations.append(raw_of({**_OBJECT.decode(declared), **more}) if more else declared)
    if declarations and natives and (generation(model) or COMBINE_SINCE) < COMBINE_SINCE:
        losses += [f"tools[{index}]" for index, _ in natives]
        natives = []
    functions = [raw_of({"functionDeclarations": declarations})] if declarations else []
    return [*functions, *(msgspec.Raw(native.encode()) for _, native in natives)]


def encode_tool_config(
    request: Request, names: Mapping[str, str], *, functions: bool, mixed: bool, losses: list[str]
) -> Fields:
    """``mixed``: functions stand beside the vendor's own tools. It then wants to show what it ran, and has no AUTO."""
    own = request.extensions.get(PROTOCOL, {}).get("toolConfig")
    config = _OBJECT.decode(own) if own is not None else {}
    config.pop(_CALLING_FIELD, None)
    if not functions:
        return config
    auto = _own_mode(request) or ("VALIDATED" if mixed else "AUTO")
    if mixed:
        config.setdefault(_WHOLE_TURN, msgspec.Raw(b"true"))
    known = {tool.name for tool in request.tools if tool.native is None}
    match request.tool_choice:
        case None:
            return config
        case ToolMode(mode="none"):
            calling = FunctionCallingConfig(mode="NONE")
        case ToolMode(mode="required"):
            calling = FunctionCallingConfig(mode="ANY")
        case NamedTool(name=name) if name in known:
            calling = FunctionCallingConfig(mode="ANY", allowedFunctionNames=[names[name]])
        case ToolSubset(names=allowed, required=True) if known & set(allowed):
            allowed_names = [names[name] for name in allowed if name in known]
            calling = FunctionCallingConfig(mode="ANY", allowedFunctionNames=allowed_names)
        case ToolMode():
            calling = FunctionCallingConfig(mode=auto)
        case ToolSubset(names=allowed, required=False):
            calling = FunctionCallingConfig(mode=auto)
            allowed_names = [names[name] for name in allowed if name in known]
            if calling.mode != "AUTO" and allowed_names:
                calling.allowedFunctionNames = allowed_names
        case _:
            losses.append("tool_choice")
            calling = FunctionCallingConfig(mode="VALIDATED" if mixed else "AUTO")
    return {**config, _CALLING_FIELD: raw_of(calling)}


def _own_mode(request: Request) -> str | None:
    """The vendor's own word for how functions are chosen, where a client of this protocol used one that nobody else has."""
    raw = request.extensions.get(PROTOCOL, {}).get("toolConfig")
    calling = _OBJECT.decode(raw).get(_CALLING_FIELD) if raw is not None else None
    return present(_CALLING.decode(calling).mode) if calling is not None else None


def _read(raw: msgspec.Raw, path: str) -> tuple[Tool, Fields]:
    given = read_field(_DECLARATION, raw, path)
    name = present(given.name)
    if not name:
        raise InvalidRequest(f"The field '{path}.name' is required.", param=f"{path}.name")
    schema, own = present(given.parametersJsonSchema), present(given.parameters)
    parameters: str | None = None
    if schema is not None:
        parameters = lower_types(schema, f"{path}.parametersJsonSchema")
    elif own is not None:
        parameters = json_schema_of(own, f"{path}.parameters")
    rest = {key: value for key, value in _OBJECT.decode(raw).items() if key not in _KEPT and present(value) is not None}
    return Tool(name=name, description=present(given.description), parameters=parameters), rest


def _declare(tool: Tool, names: Mapping[str, str], path: str) -> FunctionDeclaration:
    wire = FunctionDeclaration(name=names[tool.name])
    description = described(tool)
    if description is not None:
        wire.description = description
    if tool.custom:
        wire.parametersJsonSchema = msgspec.Raw(PARAMETERS.encode())
        return wire
    try:
        schema = parameters_schema(tool.parameters)
    except UnsayableError as fault:
        place = f"{path}.parameters.{fault.path}" if fault.path else f"{path}.parameters"
        message = f"The schema of the tool '{tool.name}' cannot be told to this model: at '{place}', {fault}."
        raise InvalidRequest(message, param=place, code="unsupported_value") from None
    if schema is not None:
        wire.parametersJsonSchema = msgspec.Raw(schema.encode())
    return wire
