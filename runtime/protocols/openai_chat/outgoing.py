"""A canonical request to a Chat provider's, as its quirks and the model's facts want it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from generated.protocols.openai_chat import FACTS
from runtime.canonical import Extensions, JsonObject, JsonSchema, Message, Request, Text
from runtime.catalog import Capability, Certainty
from runtime.protocols.base import Outgoing, Target
from runtime.protocols.end_user import end_user
from runtime.protocols.field_name import beyond
from runtime.protocols.openai_chat.effort import write_effort
from runtime.protocols.openai_chat.parts import write_mark
from runtime.protocols.openai_chat.reasoning import PROTOCOL
from runtime.protocols.openai_chat.request import LEGACY_FIELDS
from runtime.protocols.openai_chat.search import SAYS, options_of, write_search
from runtime.protocols.openai_chat.tools import NAMES, strictly, write_tools
from runtime.protocols.openai_chat.turns import Wording, write_messages
from runtime.protocols.splice import apply, raw
from runtime.protocols.tool_name import fit, fit_all, tool_names, way_back
from runtime.protocols.unsaid import unsaid, words_alone
from runtime.protocols.web_search import lost, with_own_search

__all__ = ["head", "write_request"]

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_TIER_WORDS: Final = {"standard_only": "default", "standard": "default"}
_BOUNDED: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_MOST_STOPS: Final = 4
"""More are refused."""
_WHOLE: Final = (("content-type", "application/json"), ("accept", "application/json"))
_STREAMED: Final = (("content-type", "application/json"), ("accept", "text/event-stream"))
_UNSAID: Final = frozenset({"text.citations", "document.context", "document.citations", "tool_call.cache"})
_UNSAID_UNMARKED: Final = _UNSAID | {"cache"}

_SCHEMA_PROMPT: Final = "Answer with one JSON object, without any other text, that satisfies this JSON Schema:\n"
_JSON_PROMPT: Final = "Answer with one JSON object, without any other text."


def write_request(request: Request, target: Target) -> Outgoing:
    """Raises InvalidRequest for content that this target cannot be given and that must not be left out."""
    kept = request.extensions.get(PROTOCOL, {})
    simple = words_alone(request.messages)
    losses: list[str] = []
    if request.tools:
        searching = with_own_search(request, target, PROTOCOL, write_search)
        losses = lost(request, searching, SAYS)
        request = searching
    unnamed = simple and not request.tools and request.tool_choice is None
    names = {} if unnamed else fit_all(tool_names(request), NAMES)
    wording = Wording(quirks=target.provider.quirks, names=names, losses=losses)
    messages, response_format = _format(request, target, losses)
    said: dict[str, Any] = {"model": target.model.id, "messages": write_messages(messages, wording, simple=simple)}
    if request.stream:
        said |= _streaming(target, kept)
    if request.tools:
        said |= write_tools(request, wording)
        options = options_of(request.tools)
        if options is not None:
            said["web_search_options"] = options
    _limits(said, request, target, kept, losses)
    _drawing(said, request)
    if response_format is not None:
        said["response_format"] = response_format
    effort = write_effort(request.reasoning, target.model, losses, request.tools)
    if effort is not None:
        said["reasoning_effort"] = effort
    if request.verbosity is not None:
        said["verbosity"] = request.verbosity
    _account(said, request, kept, losses)
    if request.cache is not None:
        _cache_all(said, request, target, losses)
    if kept:
        said |= {name: value for name, value in kept.items() if name not in said and name not in LEGACY_FIELDS}
    if target.rules:
        said = apply(target.rules, {name: raw(value) for name, value in said.items()})
    body = msgspec.json.encode(said)
    if not simple:
        losses += unsaid(request.messages, _UNSAID if _marks(wording) else _UNSAID_UNMARKED)
    losses += beyond(request.extensions, PROTOCOL)
    return Outgoing(
        *head(target, stream=request.stream), body, request.stream, way_back(names), tuple(losses),
        _wrapped(request, wording),
        unasked_usage=request.stream and not request.include_usage,
    )  # fmt: skip


def head(target: Target, *, stream: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Path and headers of a call."""
    return target.surface.path.replace("{model}", target.model.id), _STREAMED if stream else _WHOLE


def _wrapped(request: Request, wording: Wording) -> frozenset[str]:
    """Free-text tools that go as functions, by their names there."""
    if not request.tools or wording.quirks.custom_tools:
        return frozenset()
    return frozenset(wording.names[tool.name] for tool in request.tools if tool.custom)


def _streaming(target: Target, kept: Extensions) -> dict[str, Any]:
    """Usage is always asked for, whether the client wants to see it or not: the bill depends on it."""
    if not target.provider.quirks.stream_usage:
        return {"stream": True}
    options: dict[str, Any] = {"include_usage": True}
    if "stream_options" in kept:
        options = {**msgspec.json.decode(kept["stream_options"], type=dict[str, Any]), **options}
    return {"stream": True, "stream_options": options}


def _limits(said: dict[str, Any], request: Request, target: Target, kept: Extensions, losses: list[str]) -> None:
    sampling = request.sampling
    if sampling.top_k is not None and "top_k" not in kept:
        losses.append("sampling.top_k")
    if sampling.min_p is not None and "min_p" not in kept:
        losses.append("sampling.min_p")
    most = request.max_output_tokens
    if most is not None:
        said[target.provider.quirks.max_tokens_field or "max_tokens"] = _most(most, target, losses)
    if request.stop:
        said["stop"] = request.stop[:_MOST_STOPS]
        if len(request.stop) > _MOST_STOPS:
            losses.append("stop")
    for name in _BOUNDED:
        value = getattr(sampling, name)
        if value is not None:
            said[name] = _within(name, value, losses)


def _drawing(said: dict[str, Any], request: Request) -> None:
    sampling = request.sampling
    if sampling.seed is not None:
        said["seed"] = sampling.seed
    if sampling.logit_bias is not None:
        said["logit_bias"] = sampling.logit_bias
    if request.choices != 1:
        said["n"] = request.choices
    if request.top_logprobs is not None:
        said["logprobs"] = True
        if request.top_logprobs:
            said["top_logprobs"] = request.top_logprobs


def _most(most: int, target: Target, losses: list[str]) -> int:
    allowed = target.model.limits.max_output
    if allowed is not None and most > allowed:
        most = allowed
        losses.append("max_output_tokens")
    if most < 1:  # another dialect's way to fill a cache without an answer
        most = 1
        losses.append("max_output_tokens")
    return most


def _within(name: str, value: float, losses: list[str]) -> float:
    bounds = FACTS.ranges[name]
    if bounds.min is None or bounds.max is None or bounds.min <= value <= bounds.max:
        return value
    losses.append(f"sampling.{name}")
    return min(max(value, bounds.min), bounds.max)


def _account(said: dict[str, Any], request: Request, kept: Extensions, losses: list[str]) -> None:
    """The vendor refuses metadata of an answer that it is not to keep: they go where it is, or where a Chat client said them."""
    tier = request.service_tier
    if tier is not None:
        tier = _TIER_WORDS.get(tier, tier)
        if tier in _TIERS:
            said["service_tier"] = tier
        else:
            losses.append("service_tier")
    if request.user is not None:
        said["user"] = end_user(request.user)
    if request.metadata and request.store:
        said["metadata"] = request.metadata
    elif request.metadata and "metadata" not in kept:
        losses.append("metadata")
    if request.store is not None:
        said["store"] = request.store
    if request.cache_key is not None:
        said["prompt_cache_key"] = request.cache_key


def _marks(wording: Wording) -> bool:
    """Whether parts can carry a mark: they are parts, and the provider has a spelling for it."""
    return wording.quirks.cache_marks is not None and not wording.quirks.text_only_content


def _cache_all(said: dict[str, Any], request: Request, target: Target, losses: list[str]) -> None:
    if target.provider.quirks.cache_marks == "cache_control":
        write_mark(said, request.cache, "cache_control")
    else:
        losses.append("cache")


def _format(request: Request, target: Target, losses: list[str]) -> tuple[tuple[Message, ...], dict[str, Any] | None]:
    """The wanted shape, as far as the model knows it; the rest is said in words.

    Chat's JSON mode is refused unless some message speaks of JSON, so a sentence is added where none does.
    """
    wanted = request.response_format
    if wanted is None:
        return request.messages, None
    lacks = {
        capability
        for capability in (Capability.JSON_OBJECT, Capability.JSON_SCHEMA)
        if target.model.certainty(capability) is Certainty.DENIED
    }
    if isinstance(wanted, JsonObject):
        prompt = "" if _speaks_of_json(request.messages) else _JSON_PROMPT
    elif Capability.JSON_SCHEMA not in lacks:
        return request.messages, {"type": "json_schema", "json_schema": _named_schema(wanted, losses)}
    else:
        losses.append("response_format")
        prompt = _SCHEMA_PROMPT + wanted.schema
    messages = _instructed(request.messages, prompt) if prompt else request.messages
    return messages, None if Capability.JSON_OBJECT in lacks else {"type": "json_object"}


def _named_schema(wanted: JsonSchema, losses: list[str]) -> dict[str, Any]:
    """The vendor insists on a name. A schema that strict mode cannot say goes without `strict`."""
    schema, strict = wanted.schema, wanted.strict
    if strict:
        schema, strict = strictly(schema, "response_format", "schema", losses)
    named: dict[str, Any] = {"name": fit(wanted.name or "response", NAMES), "schema": msgspec.Raw(schema.encode())}
    if wanted.description is not None:
        named["description"] = wanted.description
    if strict is not None and strict == wanted.strict:
        named["strict"] = strict
    return named


def _speaks_of_json(messages: tuple[Message, ...]) -> bool:
    return any(
        isinstance(part, Text) and "json" in part.text.lower() for message in messages for part in message.content
    )


def _instructed(messages: tuple[Message, ...], prompt: str) -> tuple[Message, ...]:
    """``prompt`` behind the instructions at the front."""
    at = next((index for index, message in enumerate(messages) if message.role not in {"system", "developer"}), 0)
    return (*messages[:at], Message(role="system", content=(Text(text=prompt),)), *messages[at:])
