"""Tools and the choice among them, both ways.

Canonical's free-text tools become tools with one text property (`runtime.protocols.free_text`).
Fields of a tool that only this protocol has (`defer_loading` and its like) are kept in the request's ``extensions``
under `tools`, by the tool's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from generated.types.anthropic_messages import ReceivedTool, ReceivedToolChoice, ToolChoice
from generated.types.anthropic_messages import Tool as WireTool
from runtime.canonical import NamedTool, Request, Tool, ToolMode, ToolSubset
from runtime.canonical import ToolChoice as CanonicalChoice
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.cache import control
from runtime.protocols.anthropic_messages.client_tools import ClientTool, client_tool
from runtime.protocols.anthropic_messages.content import cache_mark
from runtime.protocols.anthropic_messages.forced_schema import UnforcedError, forced_schema
from runtime.protocols.anthropic_messages.search import read_search
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields, fault, is_object, is_text, read, text_of
from runtime.protocols.free_text import PARAMETERS, described, limited
from runtime.protocols.json_schema import object_schema
from runtime.protocols.tool_name import WordRule, declared_again, fit_all

__all__ = ["NAMES", "decode_tool_choice", "decode_tools", "encode_tool_choice", "encode_tools", "wire_names"]  # fmt: skip

NAMES: Final = WordRule(chars="a-zA-Z0-9_-", max_chars=128)

_TOOLS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TOOL: Final = msgspec.json.Decoder(ReceivedTool)
_CHOICE: Final = msgspec.json.Decoder(ReceivedToolChoice)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_EXTRAS: Final = msgspec.json.Decoder(dict[str, Fields])
_TEXT: Final = msgspec.json.Decoder(str)
_KEPT: Final = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})


def decode_tools(fields: Fields, extensions: Fields) -> tuple[Tool, ...]:
    if "tools" not in fields:
        return ()
    tools: list[Tool] = []
    extras: dict[str, Fields] = {}
    raws = read(_TOOLS, fields["tools"], "tools")
    for index, raw in enumerate(raws):
        path = f"tools.{index}"
        given = read(_TOOL, raw, path)
        kind = present(given.type)
        known = client_tool(kind) if kind else None
        if known is not None:
            tool, rest = _decode_known(given, known, raw)
            tools.append(tool)
            extras[tool.name] = rest
            continue
        if kind is not None and kind != "custom":
            name = present(given.name) or kind
            search = read_search(kind, raw)
            tools.append(Tool(name=name, native=text_of(raw), native_protocol=PROTOCOL, search=search))
            continue
        tool = _decode(given, path)
        tools.append(tool)
        rest = {name: value for name, value in _OBJECT.decode(raw).items() if name not in _KEPT}
        if rest:
            extras[tool.name] = rest
    if extras:
        extensions["tools"] = msgspec.Raw(msgspec.json.encode(extras))
    return tuple(tools)


def decode_tool_choice(fields: Fields) -> tuple[CanonicalChoice | None, bool | None]:
    """The choice, and whether calls may be parallel (None: not said)."""
    if "tool_choice" not in fields:
        return None, None
    given = read(_CHOICE, fields["tool_choice"], "tool_choice")
    disabled = present(given.disable_parallel_tool_use)
    parallel = None if disabled is None else not disabled
    match given.type:
        case "auto":
            return ToolMode(mode="auto"), parallel
        case "any":
            return ToolMode(mode="required"), parallel
        case "none":
            return ToolMode(mode="none"), parallel
        case "tool":
            name = present(given.name)
            if name is None:
                raise fault("tool_choice.name", "Field required")
            return NamedTool(name=name), parallel
        case other:
            raise fault("tool_choice.type", f"'{other}' is not a known choice; known are auto, any, tool and none")


def wire_names(request: Request, called: list[str]) -> dict[str, str]:
    """The client's names of tools, in definitions and in ``called``, to names that the vendor takes."""
    names = [tool.name for tool in request.tools if tool.native is None]
    return fit_all([*names, *called], NAMES)


def encode_tools(request: Request, names: Mapping[str, str], losses: list[str]) -> list[WireTool | msgspec.Raw]:
    """The tools that may be called. Other vendors' own tools are left out, and told of in ``losses``."""
    raw = request.extensions.get(PROTOCOL, {}).get("tools")
    extras = _EXTRAS.decode(raw) if raw is not None else {}
    choice = request.tool_choice
    tools: list[WireTool | msgspec.Raw] = []
    again = declared_again(request.tools)
    for index, tool in enumerate(request.tools):
        if isinstance(choice, ToolSubset) and tool.name not in choice.names:
            continue
        if index in again:  # which the vendor refuses
            losses.append(f"tools[{index}]")
            continue
        if tool.native is not None:
            if tool.native_protocol == PROTOCOL and not _is_function(tool.name, request):
                tools.append(msgspec.Raw(tool.native.encode()))
            else:
                losses.append(f"tools[{index}]")
            continue
        if limited(tool):
            losses.append(f"tools[{index}].format")
        wire = _encode(tool, names, index, losses)
        more = extras.get(tool.name)
        tools.append(_with(wire, more) if more else wire)
    return tools


def _is_function(name: str, request: Request) -> bool:
    return any(tool.native is None and tool.name == name for tool in request.tools)


def encode_tool_choice(
    request: Request,
    tools: list[WireTool | msgspec.Raw],
    names: Mapping[str, str],
    *,
    thinking: bool,
    losses: list[str],
) -> ToolChoice | None:
    """None where nothing needs saying, which keeps the vendor's cache of the conversation valid."""
    if not tools:
        return None
    choice = _choice(request, names, losses)
    if thinking and choice.type in {"any", "tool"}:  # a model that thinks decides for itself whether it calls
        losses.append("tool_choice")
        choice = ToolChoice(type="auto")
    if request.parallel_tool_calls is not None and choice.type != "none":
        choice.disable_parallel_tool_use = not request.parallel_tool_calls
    said = request.tool_choice is not None and not isinstance(request.tool_choice, ToolSubset)
    if choice.type == "auto" and not said and request.parallel_tool_calls is not False:
        return None
    return choice


def _decode(given: ReceivedTool, path: str) -> Tool:
    name = present(given.name)
    if not name:
        raise fault(f"{path}.name", "Field required")
    schema = present(given.input_schema)
    if schema is not None and not is_object(schema):
        raise fault(f"{path}.input_schema", "Input should be an object")
    return Tool(
        name=name,
        description=_description(given),
        parameters=None if schema is None else text_of(schema),
        strict=present(given.strict),
        cache=cache_mark(given.cache_control),
    )


def _decode_known(given: ReceivedTool, known: ClientTool, raw: msgspec.Raw) -> tuple[Tool, Fields]:
    """A tool that clients run, with its schema; and what the vendor is told instead: its type and settings."""
    tool = Tool(
        name=present(given.name) or known.name,
        description=known.description,
        parameters=known.parameters,
        cache=cache_mark(given.cache_control),
    )
    fields = _OBJECT.decode(raw)
    return tool, {name: value for name, value in fields.items() if name not in {"name", "cache_control"}}


def _description(given: ReceivedTool) -> str | None:
    raw = present(given.description)
    if raw is None:
        return None
    return _TEXT.decode(raw) if is_text(raw) else text_of(raw)


def _encode(tool: Tool, names: Mapping[str, str], index: int, losses: list[str]) -> WireTool:
    wire = WireTool(name=names[tool.name], input_schema=msgspec.Raw(PARAMETERS.encode()))
    description = described(tool)
    if description is not None:
        wire.description = description
    if not tool.custom:
        strict = bool(tool.strict)
        try:
            schema = object_schema(tool.parameters)
            if strict:
                schema, strict = _strictly(schema)
                losses += [] if strict else [f"tools[{index}].strict"]
            wire.input_schema = msgspec.Raw(schema.encode())
        except ValueError as error:
            message = f"The schema of the tool '{tool.name}' cannot be told to this model: {error}."
            raise InvalidRequest(message, param=f"tools[{index}].parameters") from None
        if tool.strict is not None:
            wire.strict = strict
    if tool.cache is not None:
        wire.cache_control = control(tool.cache)
    return wire


def _strictly(schema: str) -> tuple[str, bool]:
    """``schema`` as it can be forced, and whether that could be: strictness goes before the schema's meaning does."""
    try:
        return forced_schema(schema), True
    except UnforcedError:
        return schema, False


def _with(wire: WireTool, extras: Fields) -> msgspec.Raw:
    if "type" in extras:  # the vendor knows the rest of it
        told = _OBJECT.decode(msgspec.json.encode(wire))
        own = {name: told[name] for name in ("name", "cache_control") if name in told}
        return msgspec.Raw(msgspec.json.encode({"type": extras["type"], **own, **extras}))
    return msgspec.Raw(msgspec.json.encode({**_OBJECT.decode(msgspec.json.encode(wire)), **extras}))


def _choice(request: Request, names: Mapping[str, str], losses: list[str]) -> ToolChoice:
    match request.tool_choice:
        case None | ToolMode(mode="auto"):
            return ToolChoice(type="auto")
        case ToolMode(mode="none"):
            return ToolChoice(type="none")
        case ToolMode():
            return ToolChoice(type="any")
        case ToolSubset(required=required):
            return ToolChoice(type="any" if required else "auto")
        case NamedTool(name=name):
            native = {tool.name for tool in request.tools if tool.native_protocol == PROTOCOL}
            if name in native:
                return ToolChoice(type="tool", name=name)
            if name in {tool.name for tool in request.tools if tool.native is None}:
                return ToolChoice(type="tool", name=names[name])
            losses.append("tool_choice")
            return ToolChoice(type="auto")
