"""A client's chat request to a canonical one, and the fields that `ollama_generate` has in common with it."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from generated.types.ollama_chat import ChatRequest, Options, Tool
from runtime.canonical import (
    Effort,
    Extensions,
    JsonObject,
    JsonSchema,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Sampling,
)  # fmt: skip
from runtime.canonical import Tool as CanonicalTool
from runtime.errors import InvalidRequest
from runtime.protocols.absent import NULL, is_null
from runtime.protocols.base import Envelope
from runtime.protocols.complaint import read_body, read_field
from runtime.protocols.ollama_chat.conversation import read_messages
from runtime.protocols.ollama_chat.wire import PROTOCOL
from runtime.protocols.splice import Fields

__all__ = ["OPTION", "Settings", "read_request", "read_settings"]

OPTION: Final = "options."
"""Before the name of a runner's setting that no other protocol has, in the request's extensions."""

_OWN: Final = frozenset({"keep_alive", "truncate", "shift"})
_KNOWN: Final = frozenset(ChatRequest.__struct_encode_fields__)
_REQUEST: Final = msgspec.json.Decoder(ChatRequest)
_OPTIONS: Final = msgspec.json.Decoder(Options)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_CANONICAL_OPTIONS: Final = frozenset(Options.__struct_encode_fields__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of a request but its conversation and its tools."""

    max_output_tokens: int | None
    stop: tuple[str, ...]
    sampling: Sampling
    top_logprobs: int | None
    response_format: ResponseFormat | None
    reasoning: ReasoningConfig | None
    extensions: dict[str, Extensions]


def read_request(envelope: Envelope) -> Request:
    """The whole request. Raises InvalidRequest that names the field at fault."""
    wire = read_body(_REQUEST, envelope)
    if not wire.messages:
        raise InvalidRequest(
            "The field 'messages' must not be empty: only an Ollama provider can be asked to load a model.",
            param="messages",
            code="missing_required_parameter",
        )
    settings = read_settings(envelope.fields, wire.think, bool(wire.logprobs), wire.top_logprobs or 0)
    return Request(
        model=envelope.model,
        messages=read_messages(wire.messages),
        tools=tuple(_tool(tool, index) for index, tool in enumerate(wire.tools or ())),
        max_output_tokens=settings.max_output_tokens,
        stop=settings.stop,
        sampling=settings.sampling,
        top_logprobs=settings.top_logprobs,
        response_format=settings.response_format,
        reasoning=settings.reasoning,
        stream=envelope.stream,
        include_usage=envelope.stream,
        extensions=settings.extensions,
        unknown=tuple(name for name in envelope.fields if name not in _KNOWN),
    )


def read_settings(
    fields: Fields, think: bool | str | msgspec.UnsetType | None, logprobs: bool, top_logprobs: int
) -> Settings:
    """Raises InvalidRequest that names the field at fault."""
    given = fields.get("options", NULL)
    options = Options() if is_null(given) else read_field(_OPTIONS, given, "options")
    more = {} if is_null(given) else _FIELDS.decode(given)
    limit = _said(options.num_predict)
    own = {name: fields[name] for name in fields if name in _OWN and not is_null(fields[name])}
    own |= {
        OPTION + name: value for name, value in more.items() if name not in _CANONICAL_OPTIONS and not is_null(value)
    }
    return Settings(
        max_output_tokens=None
        if limit is None or limit < 0
        else limit,  # -1 and -2 stand for "as much as there is room"
        stop=_stop(options),
        sampling=Sampling(
            temperature=_said(options.temperature),
            top_p=_said(options.top_p),
            top_k=_said(options.top_k),
            min_p=_said(options.min_p),
            presence_penalty=_said(options.presence_penalty),
            frequency_penalty=_said(options.frequency_penalty),
            seed=_said(options.seed),
        ),
        top_logprobs=top_logprobs if logprobs else None,
        response_format=_format(fields.get("format", NULL)),
        reasoning=_reasoning(think),
        extensions={PROTOCOL: own} if own else {},
    )


def _said(value: Any) -> Any:
    """None for what is absent; everything else as it is: zero counts."""
    return None if value is msgspec.UNSET else value


def _stop(options: Options) -> tuple[str, ...]:
    given = options.stop or ()
    return tuple(text for text in ((given,) if isinstance(given, str) else given) if text)


def _format(given: msgspec.Raw) -> ResponseFormat | None:
    text = bytes(given).decode()
    if text in {"null", '""'}:
        return None
    if text == '"json"':
        return JsonObject()
    if not text.startswith("{"):
        raise InvalidRequest(
            "The field 'format' must be the word \"json\" or a JSON Schema.", param="format", code="invalid_value"
        )
    return JsonSchema(schema=text)


def _reasoning(think: bool | str | msgspec.UnsetType | None) -> ReasoningConfig | None:
    match think:
        case None | msgspec.UNSET | "":
            return None
        case True:
            return ReasoningConfig(mode="adaptive")
        case False | "none":
            return ReasoningConfig(mode="off")
        case str() as word if word in get_args(Effort):
            return msgspec.convert({"effort": word}, ReasoningConfig)
        case _:
            raise InvalidRequest(
                "The field 'think' must be true, false, or one of low, medium, high and max.",
                param="think",
                code="invalid_value",
            )


def _tool(wire: Tool, index: int) -> CanonicalTool:
    function, path = wire.function, f"tools[{index}].function.parameters"
    parameters = function.parameters
    schema = None
    if isinstance(parameters, msgspec.Raw) and not is_null(parameters):
        schema = bytes(parameters).decode()
        if not schema.startswith("{"):
            raise InvalidRequest(f"The field '{path}' must be an object.", param=path, code="invalid_type")
    return CanonicalTool(name=function.name, description=function.description or None, parameters=schema)
