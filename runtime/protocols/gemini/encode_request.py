"""The canonical request to a provider that speaks this protocol.

Nothing is sent that the provider is known to refuse: what cannot be said is left out and named in ``losses``, unless leaving
it out would change what the client asked for. Parameter rules are about the request's own top-level fields.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import msgspec

from generated.protocols.gemini import FACTS
from generated.types.gemini import Content, Part
from runtime.canonical import JsonObject, JsonSchema, Request, ToolCall
from runtime.catalog import Capability, Certainty
from runtime.errors import InvalidRequest
from runtime.protocols.base import Outgoing, Target
from runtime.protocols.field_name import beyond
from runtime.protocols.gemini.schema import UnsayableError, answer_schema
from runtime.protocols.gemini.search import SAYS, write_search
from runtime.protocols.gemini.thinking import plan_thinking
from runtime.protocols.gemini.tools import COMBINE_SINCE, encode_tool_config, encode_tools, wire_names
from runtime.protocols.gemini.turns import write_prompt
from runtime.protocols.gemini.wire import PROTOCOL, Fields, generation, pure, raw_of
from runtime.protocols.splice import apply
from runtime.protocols.tool_name import way_back
from runtime.protocols.unsaid import labels, unsaid
from runtime.protocols.web_search import lost, with_own_search

__all__ = ["HEADERS", "encode_count", "encode_request", "path_of"]

HEADERS: Final = (("content-type", "application/json"),)

_TIERS: Final = MappingProxyType({"default": "standard", "flex": "flex", "priority": "priority"})
_MAX_STOPS: Final = 5
_WORDS: Final = MappingProxyType(
    {
        "temperature": "temperature", "topP": "top_p", "topK": "top_k", "presencePenalty": "presence_penalty",
        "frequencyPenalty": "frequency_penalty",
    }
)  # fmt: skip
"""The vendor's settings in canonical words."""
_VERTEX: Final = "aiplatform.googleapis.com"
"""In the address of the vendor's other service, which knows fewer fields."""

_ANY_OBJECT: Final = "Answer with one JSON object and nothing else: no words around it, no code fence."
_THIS_OBJECT: Final = "Answer with JSON that fits this schema and nothing else: no words around it, no code fence.\n"
_SEEDS: Final = range(-(2**31), 2**31)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_MERGED: Final = frozenset({"tools", "toolConfig", "generationConfig", "continuationToken"})
"""Fields of the client's own that are put together with what is said here, or go nowhere."""
_UNSAID: Final = ("name", "cache", "text.citations", "document.title", "document.context", "document.citations")


def encode_request(request: Request, target: Target) -> Outgoing:
    """Raises InvalidRequest for what cannot be said to this target and must not be left out."""
    searching = with_own_search(request, target, PROTOCOL, write_search)
    losses = [*_plain_losses(request), *lost(request, searching, SAYS)]
    request = searching
    called = [part.name for message in request.messages for part in message.content if isinstance(part, ToolCall)]
    names = wire_names(request, called)
    fields = _body(request, target, names, losses)
    return Outgoing(
        path=path_of(target.surface.path, target, stream=request.stream),
        headers=HEADERS,
        body=msgspec.json.encode(apply(target.rules, fields)),
        stream=request.stream,
        tool_names=way_back(names),
        losses=tuple(dict.fromkeys(losses)),
        custom_tools=frozenset(names[tool.name] for tool in request.tools if tool.custom),
        choices=request.choices,
    )


def encode_count(request: Request, target: Target) -> Outgoing | None:
    """The same prompt, asked only for its length; None where the provider does not count."""
    if target.surface.count_tokens is None:
        return None
    outgoing = encode_request(msgspec.structs.replace(request, choices=1, stream=False), target)
    whole = {"model": raw_of(f"models/{pure(target.model.id)}"), **_OBJECT.decode(outgoing.body)}
    body = msgspec.json.encode({"generateContentRequest": whole})
    return msgspec.structs.replace(outgoing, path=path_of(target.surface.count_tokens, target, stream=False), body=body)


def path_of(path: str, target: Target, *, stream: bool) -> str:
    """``path`` with its model and, where it has a place for one, its action."""
    model = pure(target.model.id)
    if model.startswith("tunedModels/"):  # a collection beside that of the vendor's own models
        path = path.replace("models/{model}", "{model}")
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return path.replace("{model}", quote(model, safe="/")).replace("{action}", action)


def _body(request: Request, target: Target, names: dict[str, str], losses: list[str]) -> Fields:
    model = pure(target.model.id)
    prefill = target.model.certainty(Capability.PREFILL) is Certainty.STATED
    prompt = write_prompt(request.messages, names, model, prefill=prefill)
    losses += prompt.losses
    tools = encode_tools(request, names, model, losses)
    functions = any(bytes(tool).startswith(b'{"functionDeclarations"') for tool in tools)
    mixed = functions and len(tools) > 1 and _VERTEX not in target.provider.base_url
    tool_config = encode_tool_config(request, names, functions=functions, mixed=mixed, losses=losses)
    own = request.extensions.get(PROTOCOL, {})
    words = _words(request, model) if tools else ""
    if words:
        losses.append("response_format")
    config = _generation_config(request, target, losses, formed=not words)
    tier = _TIERS.get(request.service_tier or "")
    body: dict[str, object] = {"contents": prompt.contents}
    system = _instructed(prompt.system, words) if words else prompt.system
    body |= {"systemInstruction": system} if system else {}
    body |= {"tools": tools} if tools else {}
    body |= {"toolConfig": tool_config} if tool_config else {}
    body |= {"generationConfig": config} if config else {}
    body |= {"serviceTier": tier} if tier else {}
    body |= {"store": request.store} if request.store is not None else {}
    body |= {name: value for name, value in own.items() if name not in _MERGED}
    return _OBJECT.decode(msgspec.json.encode(body))


def _words(request: Request, model: str) -> str:
    """How JSON is asked for where a form beside tools is refused, as it is before Gemini 3; "" where it is not."""
    if (generation(model) or COMBINE_SINCE) >= COMBINE_SINCE:
        return ""
    match request.response_format:
        case None:
            return ""
        case JsonObject():
            return _ANY_OBJECT
        case JsonSchema(schema=schema):
            return _THIS_OBJECT + schema


def _instructed(system: Content | None, words: str) -> Content:
    """``words`` behind the instructions."""
    before = (system.parts or []) if system else []
    return Content(role="user", parts=[*before, raw_of(Part(text=words))])


def _generation_config(
    request: Request, target: Target, losses: list[str], *, formed: bool = True
) -> dict[str, object]:
    """``formed``: the form of the answer is told here."""
    own = request.extensions.get(PROTOCOL, {}).get("generationConfig")
    rest: dict[str, object] = dict(_OBJECT.decode(own)) if own is not None else {}
    config = _sampling(request, losses)
    stop = [word for word in request.stop if word]
    if len(stop) != len(request.stop) or len(stop) > _MAX_STOPS:
        losses.append("stop")
    config |= {"stopSequences": stop[:_MAX_STOPS]} if stop else {}
    config |= {"candidateCount": request.choices} if request.choices > 1 else {}
    most, wanted = target.model.limits.max_output, request.max_output_tokens
    if wanted is not None:
        config["maxOutputTokens"] = wanted if most is None else min(wanted, most)
        losses += ["max_output_tokens"] if config["maxOutputTokens"] != wanted else []
    if request.top_logprobs is not None:
        config["responseLogprobs"] = True
        config |= {"logprobs": _clamped("logprobs", request.top_logprobs)} if request.top_logprobs else {}
        losses += ["top_logprobs"] if config.get("logprobs", 0) != request.top_logprobs else []
    config |= _form(request) if formed else {}
    if "thinkingConfig" not in rest:
        thinking = plan_thinking(request.reasoning, target.model, losses)
        config |= {"thinkingConfig": thinking} if thinking else {}
    return {**rest, **config}


def _sampling(request: Request, losses: list[str]) -> dict[str, object]:
    sampling = request.sampling
    said: dict[str, float | None] = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
    }
    config: dict[str, object] = {name: _clamped(name, value) for name, value in said.items() if value is not None}
    losses += [f"sampling.{_WORDS[name]}" for name in config if config[name] != said[name]]
    if sampling.seed is not None:
        if sampling.seed in _SEEDS:
            config["seed"] = sampling.seed
        else:
            losses.append("sampling.seed")
    return config


def _clamped(name: str, value: float) -> float:
    bounds = FACTS.ranges.get(name)
    if bounds is None:
        return value
    low = value if bounds.min is None else max(value, bounds.min)
    return low if bounds.max is None else min(low, bounds.max)


def _form(request: Request) -> dict[str, object]:
    match request.response_format:
        case None:
            return {}
        case JsonObject():
            return {"responseMimeType": "application/json"}
        case JsonSchema(schema=schema):
            try:
                cleaned = answer_schema(schema)
            except UnsayableError as fault:
                place = f"response_format.schema.{fault.path}" if fault.path else "response_format.schema"
                message = f"The schema of the answer cannot be told to this model: at '{place}', {fault}."
                raise InvalidRequest(message, param=place, code="unsupported_value") from None
            return {"responseMimeType": "application/json", "responseJsonSchema": msgspec.Raw(cleaned.encode())}


def _plain_losses(request: Request) -> list[str]:
    sampling = request.sampling
    own = request.extensions.get(PROTOCOL, {})
    said = {
        "sampling.logit_bias": sampling.logit_bias,
        "sampling.min_p": sampling.min_p,
        **labels(request.response_format),
        "parallel_tool_calls": True if request.parallel_tool_calls is False and request.tools else None,
        "verbosity": request.verbosity,
        "cache": request.cache,
        "cache_key": request.cache_key,
        "user": request.user,
        "metadata": (request.metadata or None) if "labels" not in own else None,
        "service_tier": request.service_tier if request.service_tier not in {*_TIERS, "auto"} else None,
    }
    losses = [name for name, value in said.items() if value is not None]
    losses += unsaid(request.messages, _UNSAID)
    losses += beyond(request.extensions, PROTOCOL)
    return losses
