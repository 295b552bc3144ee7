"""A client's Chat request to a canonical one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from generated.types.openai_chat import (
    AllowedTools,
    ChatCompletionRequest,
    CustomTool,
    FunctionDefinition,
    FunctionTool,
    JsonSchemaFormat,
    NamedCustom,
    NamedFunction,
    ToolReference,
)  # fmt: skip
from runtime.canonical import (
    Extensions,
    JsonObject,
    JsonSchema,
    NamedTool,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
    ToolMode,
    ToolSubset,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.absent import NULL
from runtime.protocols.base import Envelope
from runtime.protocols.complaint import read_body
from runtime.protocols.openai_chat.conversation import read_messages
from runtime.protocols.openai_chat.parts import read_mark
from runtime.protocols.openai_chat.reasoning import PROTOCOL
from runtime.protocols.openai_chat.search import read_search

__all__ = ["LEGACY_FIELDS", "read_request"]

_EXTENSIONS: Final = frozenset({
    "audio", "metadata", "min_p", "modalities", "moderation", "prediction", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "top_k",
})  # fmt: skip
"""Fields that only Chat has, kept as they came. `top_k`, `min_p` and `metadata` are canonical too: the vendor lacks them, or
takes them with `store` only, so they go to a Chat provider where a Chat client said them."""

LEGACY_FIELDS: Final = frozenset({"functions", "function_call"})
"""Kept to know that the client is of the old kind, whose answers carry a ``function_call``; never sent on."""

_KNOWN: Final = frozenset(ChatCompletionRequest.__struct_encode_fields__)
_CANONICAL: Final = _KNOWN - _EXTENSIONS - LEGACY_FIELDS
_NOTHING: Final = (None, msgspec.UNSET)
_REQUEST: Final = msgspec.json.Decoder(ChatCompletionRequest)


def read_request(envelope: Envelope) -> Request:
    """The whole request. Raises InvalidRequest with the field's path, as the vendor writes it."""
    wire = read_body(_REQUEST, envelope)
    effort, options = wire.reasoning_effort or None, wire.stream_options or None
    messages = read_messages(wire.messages)
    tools = _tools(wire)
    most = wire.max_tokens if wire.max_completion_tokens in _NOTHING else wire.max_completion_tokens
    kept, unknown = _beside(envelope, obfuscation=options is not None and options.include_obfuscation not in _NOTHING)
    return Request(
        envelope.model,
        messages,
        tools,
        _tool_choice(wire) if wire.tool_choice or wire.function_call else None,
        _said(wire.parallel_tool_calls),
        _said(most),
        (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
        _sampling(wire),
        wire.n or 1,
        (wire.top_logprobs or 0) if wire.logprobs else None,
        _format(wire) if wire.response_format else None,
        None if effort is None else ReasoningConfig(mode="off") if effort == "none" else ReasoningConfig(effort=effort),
        wire.verbosity or None,
        envelope.stream,
        bool(options and options.include_usage),
        read_mark(wire.cache_control),
        cache_key=wire.prompt_cache_key or None,
        service_tier=wire.service_tier or None,
        user=wire.user or None,
        metadata=wire.metadata or {},
        store=_said(wire.store),
        extensions=kept,
        unknown=unknown,
    )  # by place where there are too many for CPython to take by name without a dict


def _sampling(wire: ChatCompletionRequest) -> Sampling:
    return Sampling(
        _said(wire.temperature),
        _said(wire.top_p),
        _said(wire.top_k),
        _said(wire.min_p),
        _said(wire.presence_penalty),
        _said(wire.frequency_penalty),
        _said(wire.seed),
        _said(wire.logit_bias),
    )


def _said(value: Any) -> Any:
    """None for what is absent; everything else as it is: zero and false count."""
    return None if value is msgspec.UNSET else value


def _beside(envelope: Envelope, *, obfuscation: bool) -> tuple[dict[str, Extensions], tuple[str, ...]]:
    """What has no canonical word: Chat's own fields, and those nobody knows, which are listed too."""
    names = envelope.fields.keys()
    if names <= _CANONICAL and not obfuscation:
        return {}, ()
    kept: Extensions = {
        name: value
        for name, value in envelope.fields.items()
        if (name not in _CANONICAL or (name == "stream_options" and obfuscation)) and value != NULL
    }
    return {PROTOCOL: kept} if kept else {}, tuple(name for name in names if name not in _KNOWN)


def _tools(wire: ChatCompletionRequest) -> tuple[Tool, ...]:
    if not (wire.tools or wire.functions or wire.web_search_options is not msgspec.UNSET):
        return ()
    tools: list[Tool] = []
    for index, tool in enumerate(wire.tools or ()):
        match tool:
            case FunctionTool(function=function, cache_control=control):
                path = f"tools[{index}].function"
                tools.append(msgspec.structs.replace(_function(function, path), cache=read_mark(control)))
            case CustomTool(custom=custom):
                format_ = _text(custom.format, f"tools[{index}].custom.format")
                tools.append(
                    Tool(name=custom.name, description=custom.description or None, custom=True, format=format_)
                )
    tools += [_function(function, f"functions[{index}]") for index, function in enumerate(wire.functions or ())]
    return (*tools, *read_search(wire.web_search_options))


def _function(function: FunctionDefinition, path: str) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or None,
        parameters=_text(function.parameters, f"{path}.parameters"),
        strict=_said(function.strict),
    )


def _text(value: msgspec.Raw | msgspec.UnsetType, path: str) -> str | None:
    """An object's JSON text as it came; None when it is absent or null."""
    if not isinstance(value, msgspec.Raw) or value == NULL:
        return None
    text = bytes(value).decode()
    if not text.startswith("{"):
        raise InvalidRequest(f"The field '{path}' must be an object.", param=path, code="invalid_type")
    return text


def _tool_choice(wire: ChatCompletionRequest) -> ToolChoice | None:
    match wire.tool_choice or wire.function_call:
        case "auto" | "none" | "required" as mode:
            return ToolMode(mode=mode)
        case NamedFunction(function=tool) | NamedCustom(custom=tool):
            return NamedTool(name=tool.name)
        case AllowedTools(allowed_tools=subset):
            names = tuple(_referred(tool, index) for index, tool in enumerate(subset.tools))
            return ToolSubset(names=names, required=subset.mode == "required")
        case None | msgspec.UNSET:
            return None
        case named:  # the deprecated form
            return NamedTool(name=named.name)


def _referred(tool: ToolReference, index: int) -> str:
    named = tool.function or tool.custom
    name = named.name if named else tool.name
    if not name:
        path = f"tool_choice.allowed_tools.tools[{index}].function.name"
        raise InvalidRequest(f"The field '{path}' is required.", param=path, code="missing_required_parameter")
    return name


def _format(wire: ChatCompletionRequest) -> ResponseFormat | None:
    match wire.response_format:
        case JsonSchemaFormat(json_schema=named):
            schema = _text(named.schema, "response_format.json_schema.schema")
            return JsonSchema(
                schema=schema or "{}",
                name=named.name,
                description=named.description or None,
                strict=_said(named.strict),
            )
        case None | msgspec.UNSET:
            return None
        case other:
            return JsonObject() if other.__struct_config__.tag == "json_object" else None
