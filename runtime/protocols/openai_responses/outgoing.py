"""A canonical request to a provider's, as its quirks and the model's facts want it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from generated.protocols.openai_responses import FACTS
from runtime.canonical import (
    Extensions,
    JsonObject,
    JsonSchema,
    Message,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Text,
)  # fmt: skip
from runtime.catalog import Capability, Certainty, Model
from runtime.errors import InvalidRequest
from runtime.protocols.base import Outgoing, Target
from runtime.protocols.end_user import end_user
from runtime.protocols.field_name import beyond
from runtime.protocols.openai_chat.effort import write_effort
from runtime.protocols.openai_chat.pairing import OPENING, pair
from runtime.protocols.openai_responses.naming import NAMESPACES
from runtime.protocols.openai_responses.request import LOGPROBS, SEALED
from runtime.protocols.openai_responses.search import SAYS, write_search
from runtime.protocols.openai_responses.strictness import fits_strict
from runtime.protocols.openai_responses.toolbox import Toolbox
from runtime.protocols.openai_responses.tools import ADDED, CHOICE, MEMBERS
from runtime.protocols.openai_responses.turns import ItemWriter
from runtime.protocols.openai_responses.wire import PROTOCOL
from runtime.protocols.splice import apply, raw
from runtime.protocols.tool_name import WordRule, fit
from runtime.protocols.unsaid import unsaid
from runtime.protocols.web_search import lost, with_own_search

__all__ = ["head", "write_count", "write_request"]

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_TIER_WORDS: Final = {"standard_only": "default", "standard": "default"}
_VERBOSITIES: Final = frozenset({"low", "medium", "high"})
_CHAINED: Final = frozenset({"previous_response_id", "conversation"})
_OURS: Final = frozenset({NAMESPACES, MEMBERS, ADDED, CHOICE, "include", "reasoning"})
"""Extensions that are written in their place; all others go out as they came."""

_UNSAID: Final = ("name", "document.context", "document.citations", "tool_call.cache", "tool_result.cache")
"""What no item has a place for; nor for other cache marks, where the provider has no spelling for them."""

_COUNTED: Final = (
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text",
    "previous_response_id", "conversation", "truncation",
)  # fmt: skip
_NAME_RULE: Final = WordRule()
_STRINGS: Final = msgspec.json.Decoder(list[str])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_JSON_PROMPT: Final = "Answer with one JSON object, without any other text."
_SCHEMA_PROMPT: Final = "Answer with one JSON object, without any other text, that satisfies this JSON Schema:\n"


def write_request(request: Request, target: Target) -> Outgoing:
    """Raises InvalidRequest for content that this target cannot be given and that must not be left out."""
    if request.choices > 1:
        raise InvalidRequest("This model gives one answer to a request.", param="n", code="unsupported_value")
    searching = with_own_search(request, target, PROTOCOL, write_search)
    losses = lost(request, searching, SAYS)
    request = searching
    toolbox = Toolbox(request, losses)
    fields = _fields(request, target, toolbox, losses)
    body = msgspec.json.encode(apply(target.rules, fields))
    losses += unsaid(request.messages, {*_UNSAID, "cache"} if target.provider.quirks.cache_marks is None else _UNSAID)
    losses += beyond(request.extensions, PROTOCOL)
    return Outgoing(
        *head(target, stream=request.stream),
        body,
        request.stream,
        toolbox.way_back(),
        tuple(losses),
        stop=request.stop,
    )


def write_count(request: Request, target: Target) -> Outgoing | None:
    """The request that counts its input tokens; None where the provider has no such call."""
    path = target.surface.count_tokens
    if path is None:
        return None
    losses: list[str] = []
    fields = _fields(request, target, Toolbox(request, losses), losses)
    body = msgspec.json.encode({name: fields[name] for name in _COUNTED if name in fields})
    return Outgoing(_at(path, target), _headers(stream=False), body, stream=False, losses=tuple(losses))


def head(target: Target, *, stream: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Path and headers of a call."""
    return _at(target.surface.path, target), _headers(stream=stream)


def _at(path: str, target: Target) -> str:
    return path.replace("{model}", target.model.id)


def _headers(*, stream: bool) -> tuple[tuple[str, str], ...]:
    return ("content-type", "application/json"), ("accept", "text/event-stream" if stream else "application/json")


def _fields(request: Request, target: Target, toolbox: Toolbox, losses: list[str]) -> dict[str, msgspec.Raw]:
    kept = request.extensions.get(PROTOCOL, {})
    chained = not _CHAINED.isdisjoint(kept)
    store = request.store if request.store is not None or chained else False
    messages, text = _text(request, target, losses)
    instructions, messages = _instructions(messages)
    writer = ItemWriter(toolbox, target.provider.quirks, losses, stored=store is not False)
    for index, message in enumerate(messages if chained else pair(messages)):  # a chain holds calls that we never see
        writer.write(message, f"messages[{index + bool(instructions)}]")
    if not writer.items and not chained:
        writer.write(OPENING, "messages")
    tools = toolbox.tools()
    said: dict[str, Any] = {
        "model": target.model.id,
        "instructions": instructions,
        "input": writer.items,
        "stream": True if request.stream else None,
        "tools": tools or None,
        "tool_choice": toolbox.choice() if tools else None,
        "parallel_tool_calls": request.parallel_tool_calls if tools else None,
        **_limits(request, target, losses),
        "text": text,
        "reasoning": _reasoning(request, target, kept, losses),
        "include": _include(request, target.model, kept) or None,
        "store": store,
        **_account(request, losses),
    }
    if request.cache is not None:
        losses.append("cache")
    fields = {name: raw(value) for name, value in said.items() if value is not None}
    for name, value in kept.items():
        if name == "background":  # the answer would come by another call
            losses.append(name)
        elif name not in fields and name not in _OURS and (name != "stream_options" or request.stream):
            fields[name] = value
    return fields


def _instructions(messages: tuple[Message, ...]) -> tuple[str | None, tuple[Message, ...]]:
    """Plain system text at the front goes to its own field; all other instructions keep their place."""
    match messages:
        case (Message(role="system", name=None, content=(Text(text=text, cache=None),)), *rest) if text:
            return text, tuple(rest)
        case _:
            return None, messages


def _limits(request: Request, target: Target, losses: list[str]) -> dict[str, Any]:
    sampling = request.sampling
    beyond = ("top_k", "min_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias")
    losses.extend(f"sampling.{name}" for name in beyond if getattr(sampling, name) is not None)
    return {
        "max_output_tokens": _most(request.max_output_tokens, target.model.limits.max_output, losses),
        "temperature": _within("temperature", sampling.temperature, losses),
        "top_p": _within("top_p", sampling.top_p, losses),
        "top_logprobs": request.top_logprobs or None,
    }


def _most(wanted: int | None, allowed: int | None, losses: list[str]) -> int | None:
    if wanted is None:
        return None
    most = max(wanted, int(FACTS.ranges["max_output_tokens"].min or 0))
    if allowed is not None:
        most = min(most, allowed)
    if most != wanted:
        losses.append("max_output_tokens")
    return most


def _within(name: str, value: float | None, losses: list[str]) -> float | None:
    bounds = FACTS.ranges[name]
    if value is None or bounds.min is None or bounds.max is None or bounds.min <= value <= bounds.max:
        return value
    losses.append(f"sampling.{name}")
    return min(max(value, bounds.min), bounds.max)


def _account(request: Request, losses: list[str]) -> dict[str, Any]:
    tier = _TIER_WORDS.get(request.service_tier or "", request.service_tier)
    if tier is not None and tier not in _TIERS:
        losses.append("service_tier")
        tier = None
    return {
        "service_tier": tier,
        "user": None if request.user is None else end_user(request.user),
        "metadata": request.metadata or None,
        "prompt_cache_key": request.cache_key,
    }


def _reasoning(request: Request, target: Target, kept: Extensions, losses: list[str]) -> dict[str, Any] | None:
    """Effort as far as the model knows it. A summary is asked for where the client wants to see thinking.

    Effort and tools together are no matter here, whatever the model's facts say of another protocol.
    """
    wanted = request.reasoning
    effort = write_effort(wanted, target.model, losses)
    said: dict[str, Any] = {} if effort is None else {"effort": effort}
    if target.model.certainty(Capability.REASONING) is not Certainty.DENIED and "reasoning" not in losses:
        if "reasoning" in kept:
            said.update(_OBJECT.decode(kept["reasoning"]))
        elif _shows(wanted):
            said["summary"] = "auto"
    return said or None


def _shows(wanted: ReasoningConfig | None) -> bool:
    if wanted is None or wanted.mode == "off":
        return wanted is not None and wanted.display == "summarized"
    return wanted.display == "summarized" or (wanted.mode is not None and wanted.display is None)


def _include(request: Request, model: Model, kept: Extensions) -> list[str]:
    """Sealed thinking is asked for only from models that may think: the vendor refuses the wish for others."""
    certainty = model.certainty(Capability.REASONING)
    thinks = certainty is Certainty.STATED or (certainty is Certainty.ASSUMED and request.reasoning is not None)
    sealed = [SEALED] if thinks else []
    logprobs = [LOGPROBS] if request.top_logprobs is not None else []
    return [*sealed, *logprobs, *(_STRINGS.decode(kept["include"]) if "include" in kept else [])]


def _text(request: Request, target: Target, losses: list[str]) -> tuple[tuple[Message, ...], dict[str, Any] | None]:
    """The wanted shape, as far as the model knows it; the rest is said in words.

    JSON mode is refused unless some message speaks of JSON, so a sentence is added where none does.
    """
    messages, format_ = _format(request.messages, request.response_format, target.model, losses)
    said: dict[str, Any] = {} if format_ is None else {"format": format_}
    if request.verbosity in _VERBOSITIES:
        said["verbosity"] = request.verbosity
    elif request.verbosity is not None:
        losses.append("verbosity")
    return messages, said or None


def _format(
    messages: tuple[Message, ...], wanted: ResponseFormat | None, model: Model, losses: list[str]
) -> tuple[tuple[Message, ...], dict[str, Any] | None]:
    lacks = {
        capability
        for capability in (Capability.JSON_OBJECT, Capability.JSON_SCHEMA)
        if model.certainty(capability) is Certainty.DENIED
    }
    if wanted is None:
        return messages, None
    if isinstance(wanted, JsonObject):
        prompt = "" if _speaks_of_json(messages) else _JSON_PROMPT
    elif Capability.JSON_SCHEMA not in lacks:
        return messages, _schema(wanted, losses)
    else:
        losses.append("response_format")
        prompt = _SCHEMA_PROMPT + wanted.schema
    messages = _instructed(messages, prompt) if prompt else messages
    return messages, None if Capability.JSON_OBJECT in lacks else {"type": "json_object"}


def _schema(wanted: JsonSchema, losses: list[str]) -> dict[str, Any]:
    """The vendor insists on a name, and refuses a strict schema that is not one."""
    said: dict[str, Any] = {
        "type": "json_schema",
        "name": fit(wanted.name or "response", _NAME_RULE),
        "schema": msgspec.Raw(wanted.schema.encode()),
    }
    if wanted.description is not None:
        said["description"] = wanted.description
    said["strict"] = bool(wanted.strict) and fits_strict(wanted.schema)
    if wanted.strict and not said["strict"]:
        losses.append("response_format.strict")
    return said


def _speaks_of_json(messages: tuple[Message, ...]) -> bool:
    return any(
        isinstance(part, Text) and "json" in part.text.lower() for message in messages for part in message.content
    )


def _instructed(messages: tuple[Message, ...], prompt: str) -> tuple[Message, ...]:
    """``prompt`` behind the instructions at the front."""
    at = next((index for index, message in enumerate(messages) if message.role not in {"system", "developer"}), 0)
    return (*messages[:at], Message(role="system", content=(Text(text=prompt),)), *messages[at:])
