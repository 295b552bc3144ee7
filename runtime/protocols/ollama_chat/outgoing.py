"""A canonical request to an Ollama provider's, as the model's facts want it; and what passes through to one."""

from __future__ import annotations

from typing import Any

import msgspec

from generated.protocols.ollama_chat import FACTS
from runtime.canonical import JsonObject, JsonSchema, NamedTool, Request, Tool, ToolMode, ToolSubset
from runtime.catalog import Capability, Certainty
from runtime.errors import InvalidRequest
from runtime.protocols.base import Envelope, Outgoing, Target
from runtime.protocols.field_name import beyond
from runtime.protocols.free_text import PARAMETERS, described, limited
from runtime.protocols.json_schema import object_schema
from runtime.protocols.ollama_chat.request import OPTION, read_request
from runtime.protocols.ollama_chat.thinking import write_think
from runtime.protocols.ollama_chat.turns import write_messages
from runtime.protocols.ollama_chat.wire import PROTOCOL
from runtime.protocols.splice import apply, raw, rewrite
from runtime.protocols.unsaid import labels, unsaid

__all__ = ["pass_request", "write_request"]


def write_request(request: Request, target: Target) -> Outgoing:
    """Raises InvalidRequest for content that this target cannot be given and that must not be left out."""
    if request.choices != 1:
        raise InvalidRequest("This model gives one answer at a time.", param="n", code="unsupported_value")
    losses: list[str] = []
    kept = request.extensions.get(PROTOCOL, {})
    anywhere = target.provider.quirks.system_anywhere
    said: dict[str, Any] = {
        "model": target.model.id,
        "messages": write_messages(request.messages, losses, system_anywhere=anywhere),
        "tools": _tools(request, losses) or None,
        "stream": request.stream,
        "format": _format(request, target, losses),
        "think": write_think(request.reasoning, target.model, losses),
        "options": _options(request, target, losses)
        | {name.removeprefix(OPTION): value for name, value in kept.items() if name.startswith(OPTION)}
        or None,
        **_logprobs(request, losses),
    }
    fields = {name: raw(value) for name, value in said.items() if value is not None}
    fields.update((name, value) for name, value in kept.items() if not name.startswith(OPTION))
    body = msgspec.json.encode(apply(target.rules, fields))
    losses += _unsaid(request)
    custom = frozenset(tool.name for tool in request.tools if tool.custom)
    path, headers = _head(target, stream=request.stream)
    return Outgoing(path, headers, body, request.stream, losses=tuple(losses), custom_tools=custom)


def pass_request(envelope: Envelope, target: Target) -> Outgoing:
    """The model's name and the parameter rules change it; where the provider wants instructions at the front, messages, too."""
    fields = envelope.fields
    if not target.provider.quirks.system_anywhere and "messages" in fields:
        messages = write_messages(read_request(envelope).messages, [], system_anywhere=False)
        fields = {**fields, "messages": msgspec.Raw(msgspec.json.encode(messages))}
    path, headers = _head(target, stream=envelope.stream)
    return Outgoing(path, headers, rewrite(envelope, target, fields), envelope.stream)


def _head(target: Target, *, stream: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    accept = "application/x-ndjson" if stream else "application/json"
    path = target.surface.path.replace("{model}", target.model.id)
    return path, (("content-type", "application/json"), ("accept", accept))


def _tools(request: Request, losses: list[str]) -> list[dict[str, Any]]:
    """Those that may be called. Which must be called cannot be said; but what must not be is left out."""
    allowed: tuple[str, ...] | None = None
    match request.tool_choice:
        case ToolMode(mode="none"):
            return []
        case ToolMode(mode="required"):
            losses.append("tool_choice")
        case NamedTool(name=name):
            allowed = (name,) if any(tool.name == name and tool.native is None for tool in request.tools) else None
            losses.append("tool_choice")
        case ToolSubset(names=allowed, required=required):
            losses.extend(("tool_choice",) if required else ())
        case _:
            pass
    losses.extend(f"tools[{index}]" for index, tool in enumerate(request.tools) if tool.native is not None)
    if request.parallel_tool_calls is False:
        losses.append("parallel_tool_calls")
    return [
        _tool(tool, index, losses)
        for index, tool in enumerate(request.tools)
        if tool.native is None and (allowed is None or tool.name in allowed)
    ]


def _tool(tool: Tool, index: int, losses: list[str]) -> dict[str, Any]:
    if tool.strict:
        losses.append(f"tools[{index}].strict")
    if tool.cache is not None:
        losses.append(f"tools[{index}].cache")
    told: dict[str, Any] = {"name": tool.name}
    if limited(tool):
        losses.append(f"tools[{index}].format")
    description = described(tool)
    if description is not None:
        told["description"] = description
    told["parameters"] = msgspec.Raw(PARAMETERS.encode()) if tool.custom else _parameters(tool, index)
    return {"type": "function", "function": told}


def _parameters(tool: Tool, index: int) -> msgspec.Raw:
    try:
        return msgspec.Raw(object_schema(tool.parameters).encode())
    except ValueError as error:
        param = f"tools[{index}].parameters"
        raise InvalidRequest(f"The tool's schema cannot be read: {error}.", param=param) from None


def _format(request: Request, target: Target, losses: list[str]) -> Any:
    wanted, certainty = request.response_format, target.model.certainty
    if isinstance(wanted, JsonSchema):
        if certainty(Capability.JSON_SCHEMA) is not Certainty.DENIED:
            return msgspec.Raw(wanted.schema.encode())
        losses.append("response_format")
    elif isinstance(wanted, JsonObject) and certainty(Capability.JSON_OBJECT) is Certainty.DENIED:
        losses.append("response_format")
    return "json" if wanted is not None and certainty(Capability.JSON_OBJECT) is not Certainty.DENIED else None


def _options(request: Request, target: Target, losses: list[str]) -> dict[str, Any]:
    sampling, most, allowed = request.sampling, request.max_output_tokens, target.model.limits.max_output
    if most is not None and allowed is not None and most > allowed:
        most = allowed
        losses.append("max_output_tokens")
    if sampling.logit_bias:
        losses.append("sampling.logit_bias")
    options = {
        "num_predict": most,
        "stop": list(request.stop) or None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
    }
    return {name: value for name, value in options.items() if value is not None}


def _logprobs(request: Request, losses: list[str]) -> dict[str, Any]:
    wanted = request.top_logprobs
    if wanted is None:
        return {}
    most = int(FACTS.ranges["top_logprobs"].max or wanted)
    if wanted > most:
        losses.append("top_logprobs")
    return {"logprobs": True, "top_logprobs": min(wanted, most) or None}


def _unsaid(request: Request) -> list[str]:
    """What the client said and this protocol has no word for."""
    said = {
        **labels(request.response_format),
        "verbosity": request.verbosity,
        "cache": request.cache,
        "cache_key": request.cache_key,
        "service_tier": request.service_tier,
        "user": request.user,
        "metadata": request.metadata,
        "store": request.store,
    }
    return [
        *(name for name, value in said.items() if value),
        *unsaid(request.messages, ("name", "cache", "text.citations", "document.citations")),
        *beyond(request.extensions, PROTOCOL),
    ]
