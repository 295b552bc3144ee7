"""A client's request to a canonical one."""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.openai_responses import ReasoningOptions, ResponseRequest, TextFormat
from runtime.canonical import (
    Extensions,
    JsonObject,
    JsonSchema,
    Message,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Sampling,
    Text,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.absent import is_null, present
from runtime.protocols.base import Envelope
from runtime.protocols.openai_responses.conversation import read_input
from runtime.protocols.openai_responses.naming import Naming
from runtime.protocols.openai_responses.tools import ToolReader, read_choice
from runtime.protocols.openai_responses.wire import PROTOCOL, encode, missing, read, text_of

__all__ = ["LOGPROBS", "SEALED", "read_request"]

SEALED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"

_EXTENSIONS: Final = frozenset({
    "access_programs", "background", "client_metadata", "context_management", "conversation", "image", "max_tool_calls",
    "moderation", "previous_response_id", "prompt_cache_options", "prompt_cache_retention", "safety_identifier",
    "stream_options", "truncation",
})  # fmt: skip
"""Fields that only this protocol has, kept as they came."""

_KNOWN: Final = frozenset(ResponseRequest.__struct_encode_fields__)
_REQUEST: Final = msgspec.json.Decoder(ResponseRequest)


def read_request(envelope: Envelope) -> Request:
    """The whole request. Raises InvalidRequest with the field's path, as the vendor writes it."""
    wire = read(_REQUEST, envelope.body or encode(envelope.fields))
    if present(wire.prompt) is not None:
        raise InvalidRequest(
            "A stored prompt template cannot be translated; send its text as 'input'.",
            param="prompt",
            code="unsupported",
        )
    kept = _kept(envelope)
    if present(wire.input) is None and not {"previous_response_id", "conversation"} & kept.keys():
        raise missing("input")
    naming = Naming()
    tools = ToolReader(naming)
    tools.read(wire.tools or [], "tools")
    messages = (*_instructions(wire), *read_input(wire.input, naming, tools))
    choice = read_choice(wire.tool_choice, naming, kept)
    naming.keep(kept)
    tools.keep(kept)
    logprobs = _included(wire, kept)
    options = wire.text or None
    return Request(
        model=envelope.model,
        messages=messages,
        tools=tuple(tools.tools),
        tool_choice=choice,
        parallel_tool_calls=present(wire.parallel_tool_calls),
        max_output_tokens=present(wire.max_output_tokens),
        sampling=Sampling(temperature=present(wire.temperature), top_p=present(wire.top_p)),
        top_logprobs=(wire.top_logprobs or 0) if logprobs or wire.top_logprobs else None,
        response_format=_format(options.format or None) if options else None,
        reasoning=_reasoning(wire.reasoning or None, kept),
        verbosity=(options.verbosity or None) if options else None,
        stream=envelope.stream,
        cache_key=wire.prompt_cache_key or None,
        service_tier=wire.service_tier or None,
        user=wire.user or None,
        metadata=wire.metadata or {},
        store=present(wire.store),
        extensions={PROTOCOL: kept} if kept else {},
        unknown=tuple(name for name in envelope.fields if name not in _KNOWN),
    )


def _kept(envelope: Envelope) -> Extensions:
    return {
        name: value
        for name, value in envelope.fields.items()
        if (name in _EXTENSIONS or name not in _KNOWN) and not is_null(value)
    }


def _instructions(wire: ResponseRequest) -> tuple[Message, ...]:
    return (Message(role="system", content=(Text(text=wire.instructions),)),) if wire.instructions else ()


def _included(wire: ResponseRequest, kept: Extensions) -> bool:
    """Whether log probabilities are wanted. What else is, but for sealed thinking, is kept for this protocol."""
    wanted = wire.include or []
    rest = [word for word in wanted if word not in {SEALED, LOGPROBS}]
    if rest:
        kept["include"] = msgspec.Raw(encode(rest))
    return LOGPROBS in wanted


def _format(wire: TextFormat | None) -> ResponseFormat | None:
    if wire is None or wire.type == "text":
        return None
    if wire.type == "json_object":
        return JsonObject()
    schema = present(wire.schema)
    if schema is None:
        raise missing("text.format.schema")
    text = text_of(schema)
    if not text.startswith("{"):
        path = "text.format.schema"
        raise InvalidRequest(f"The field '{path}' must be an object.", param=path, code="invalid_type")
    name, description = wire.name or None, wire.description or None
    return JsonSchema(schema=text, name=name, description=description, strict=present(wire.strict))


def _reasoning(wire: ReasoningOptions | None, kept: Extensions) -> ReasoningConfig | None:
    """Effort is canonical, and whether thinking is to be shown; the rest is kept for this protocol."""
    if wire is None:
        return None
    summary = wire.summary or wire.generate_summary or None
    rest = {"summary": summary, "mode": wire.mode or None, "context": wire.context or None}
    said = {name: value for name, value in rest.items() if value is not None}
    if said.keys() - {"summary"} or summary not in {None, "auto"}:
        kept["reasoning"] = msgspec.Raw(encode(said))
    display = "summarized" if summary else None
    if wire.effort == "none":
        return ReasoningConfig(mode="off", display=display)
    effort = wire.effort or None
    return ReasoningConfig(effort=effort, display=display) if effort or display else None
