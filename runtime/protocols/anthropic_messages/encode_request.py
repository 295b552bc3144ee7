"""The canonical request to a provider that speaks this protocol.

Nothing is sent that the provider is known to refuse: what cannot be said is left out and named in ``losses``, unless
leaving it out would change what the client asked for. A JSON object without a schema is asked for in words, as is a
schema where the model is known not to take one, or that cannot be forced: a form for "any object" does not exist here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, cast
from urllib.parse import quote

import msgspec

from generated.protocols.anthropic_messages import FACTS
from generated.types.anthropic_messages import CacheControl, TextBlock
from runtime.canonical import JsonObject, JsonSchema, Request, Sampling, ToolCall
from runtime.catalog import Capability, Certainty
from runtime.errors import InvalidRequest
from runtime.protocols.anthropic_messages.cache import Marked, control, thin_out
from runtime.protocols.anthropic_messages.forced_schema import UnforcedError, forced_schema
from runtime.protocols.anthropic_messages.headers import request_headers, takes_sampling
from runtime.protocols.anthropic_messages.search import SAYS, write_search
from runtime.protocols.anthropic_messages.thinking import Plan, plan_thinking
from runtime.protocols.anthropic_messages.tools import encode_tool_choice, encode_tools, wire_names
from runtime.protocols.anthropic_messages.turns import Prompt, write_prompt
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields
from runtime.protocols.base import Outgoing, Target
from runtime.protocols.field_name import beyond
from runtime.protocols.splice import apply
from runtime.protocols.tool_name import way_back
from runtime.protocols.unsaid import labels, unsaid, words_alone
from runtime.protocols.web_search import lost, with_own_search

__all__ = ["TIERS_OUT", "encode_count", "encode_request", "path_of"]

TIERS_OUT: Final = MappingProxyType({"auto": "auto", "priority": "auto", "default": "standard_only"})

_MAX_USER_CHARS: Final = 256
_ANY_OBJECT: Final = "Answer with one JSON object and nothing else: no words around it, no code fence."
_THIS_OBJECT: Final = "Answer with JSON that fits this schema and nothing else: no words around it, no code fence.\n"
_COUNTED: Final = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed",
        "context_management", "mcp_servers",
    }
)  # fmt: skip
_REWRITTEN: Final = frozenset({"tools", "thinking", "output_config"})
"""Own fields of a client of this protocol that are told in the request's own words."""
_UNSAID: Final = frozenset({"name", "image.detail"})
_UNSAMPLED: Final = ("presence_penalty", "frequency_penalty", "seed", "logit_bias", "min_p")
_NOTHING: Final = (None,) * len(_UNSAMPLED)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_EDITS: Final = msgspec.json.Decoder(list[Fields])


def encode_request(request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
    """Raises InvalidRequest for what cannot be said to this target and must not be left out."""
    if request.choices > 1:
        raise InvalidRequest("This model gives one answer per request.", param="n", code="unsupported_value")
    simple = words_alone(request.messages)
    losses = _plain_losses(request, simple=simple)
    if request.tools:
        searching = with_own_search(request, target, PROTOCOL, write_search)
        losses += lost(request, searching, SAYS)
        request = searching
    max_tokens = _max_tokens(request, target)
    if request.max_output_tokens is not None and request.max_output_tokens != max_tokens:
        losses.append("max_output_tokens")
    plan = plan_thinking(request, target.model, max_tokens)
    names = {} if simple and not request.tools else _names(request)
    fields, prompt = _body(request, target, plan, max_tokens, names, losses, simple=simple)
    body = msgspec.json.encode(fields)
    if target.rules:
        body = msgspec.json.encode(apply(target.rules, _OBJECT.decode(body)))
    return Outgoing(
        path_of(target.surface.path, target),
        request_headers(target, headers, pinned=True),
        body,
        request.stream,
        way_back(names),
        tuple(dict.fromkeys((*plan.losses, *losses, *prompt.losses))),
        frozenset([names[tool.name] for tool in request.tools if tool.custom]) if request.tools else frozenset(),
    )


def encode_count(request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing | None:
    """The same prompt, asked only for its length; None where the provider does not count."""
    if target.surface.count_tokens is None:
        return None
    outgoing = encode_request(msgspec.structs.replace(request, choices=1, stream=False), target, headers)
    fields = _OBJECT.decode(outgoing.body)
    counted = {name: value for name, value in fields.items() if name in _COUNTED}
    return msgspec.structs.replace(
        outgoing, path=path_of(target.surface.count_tokens, target), body=msgspec.json.encode(counted)
    )


def path_of(path: str, target: Target) -> str:
    return path.replace("{model}", quote(target.model.id, safe="")) if "{" in path else path


def _body(
    request: Request,
    target: Target,
    plan: Plan,
    max_tokens: int,
    names: dict[str, str],
    losses: list[str],
    *,
    simple: bool,
) -> tuple[dict[str, object], Prompt]:
    prefill = target.model.certainty(Capability.PREFILL) is not Certainty.DENIED and not plan.on
    old = takes_sampling(target)  # the same version of the protocol that refuses the one refuses both
    prompt = write_prompt(
        request.messages,
        names,
        system_anywhere=target.provider.quirks.system_anywhere,
        prefill=prefill,
        documents_by_model=old,
        simple=simple,
    )
    words, form = _form(request, target, losses)
    system = [*prompt.system, TextBlock(text=words)] if words else prompt.system
    tools = encode_tools(request, names, losses) if request.tools else []
    choice = encode_tool_choice(request, tools, names, thinking=plan.on, losses=losses) if tools else None
    marked = [] if simple and not tools else _marked(tools, system, *[turn.content for turn in prompt.turns])
    if marked and thin_out(marked, top_level=request.cache is not None):
        losses.append("cache")
    body: dict[str, object] = {"model": target.model.id, "max_tokens": max_tokens}
    if system:
        body["system"] = system
    if tools:
        body["tools"] = tools
    if choice:
        body["tool_choice"] = choice
    if plan.thinking:
        body["thinking"] = plan.thinking
    body["messages"] = prompt.turns
    _settings(body, request, sampling=old and not plan.on, losses=losses)
    own = request.extensions.get(PROTOCOL, {})
    if plan.effort is not None or form is not None or own:
        body |= _output_config(plan, form, own)
    if own:
        own = {name: value for name, value in own.items() if name not in _REWRITTEN}
        body |= own if plan.on else _without_thinking_edits(own)
    return body, prompt


def _settings(body: dict[str, object], request: Request, *, sampling: bool, losses: list[str]) -> None:
    if request.stop:
        stop = [word for word in request.stop if word.strip()]
        if stop:
            body["stop_sequences"] = stop
        if len(stop) < len(request.stop):
            losses.append("stop")
    _sampling(body, request.sampling, allowed=sampling, losses=losses)
    if request.cache:
        body["cache_control"] = control(request.cache)
    if request.user is not None:
        if len(request.user) <= _MAX_USER_CHARS:
            body["metadata"] = {"user_id": request.user}
        else:
            losses.append("user")
    if request.service_tier is not None:
        tier = TIERS_OUT.get(request.service_tier)
        if tier:
            body["service_tier"] = tier
        else:
            losses.append("service_tier")
    if request.stream:
        body["stream"] = True


def _sampling(body: dict[str, object], sampling: Sampling, *, allowed: bool, losses: list[str]) -> None:
    values = (("temperature", sampling.temperature), ("top_p", sampling.top_p), ("top_k", sampling.top_k))
    for name, value in values:
        if value is None:
            continue
        if not allowed:
            losses.append(f"sampling.{name}")
            continue
        bounds = FACTS.ranges[name]
        told = value
        if bounds.min is not None and told < bounds.min:
            told = bounds.min
        if bounds.max is not None and told > bounds.max:
            told = bounds.max
        body[name] = told
        if told != value:
            losses.append(f"sampling.{name}")


def _output_config(plan: Plan, form: msgspec.Raw | None, own: Fields) -> dict[str, object]:
    config: dict[str, object] = {}
    if plan.effort is not None:
        config["effort"] = plan.effort
    if form is not None:
        config["format"] = {"type": "json_schema", "schema": form}
    if "output_config" in own:
        config |= {name: value for name, value in _OBJECT.decode(own["output_config"]).items() if name not in config}
    return {"output_config": config} if config else {}


def _form(request: Request, target: Target, losses: list[str]) -> tuple[str | None, msgspec.Raw | None]:
    """How JSON is asked for: in words for the system prompt, or as a schema for the vendor to force."""
    match request.response_format:
        case None:
            return None, None
        case JsonObject():
            return _ANY_OBJECT, None
        case JsonSchema(schema=schema):
            if target.model.certainty(Capability.JSON_SCHEMA) is Certainty.DENIED:
                return _THIS_OBJECT + schema, None
            try:
                return None, msgspec.Raw(forced_schema(schema).encode())
            except UnforcedError:  # forced, it would admit less than it does
                losses.append("response_format.schema")
                return _THIS_OBJECT + schema, None
            except ValueError as error:
                message = f"The schema of the answer cannot be told to this model: {error}."
                raise InvalidRequest(message, param="response_format.schema") from None


def _without_thinking_edits(own: Fields) -> Fields:
    """Edits of the context that are about thinking are refused where there is none: they go together."""
    raw = own.get("context_management")
    if raw is None:
        return own
    management = _OBJECT.decode(raw)
    if "edits" not in management:
        return own
    edits = _EDITS.decode(management["edits"])
    kept = [edit for edit in edits if not bytes(edit.get("type", msgspec.Raw(b""))).startswith(b'"clear_thinking')]
    if len(kept) == len(edits):
        return own
    management["edits"] = msgspec.Raw(msgspec.json.encode(kept))
    if kept or len(management) > 1:
        return {**own, "context_management": msgspec.Raw(msgspec.json.encode(management))}
    return {name: value for name, value in own.items() if name != "context_management"}


def _max_tokens(request: Request, target: Target) -> int:
    most = target.model.limits.max_output
    if request.max_output_tokens is None:
        return most or target.default_max_output
    return request.max_output_tokens if most is None else min(request.max_output_tokens, most)


def _names(request: Request) -> dict[str, str]:
    called = [part.name for message in request.messages for part in message.content if isinstance(part, ToolCall)]
    return wire_names(request, called)


def _marked(*places: Sequence[object]) -> list[Marked]:
    """What of the request carries a mark, in order."""
    return [
        cast("Marked", place)
        for each in places
        for place in each
        if isinstance(getattr(place, "cache_control", None), CacheControl)
    ]


def _plain_losses(request: Request, *, simple: bool) -> list[str]:
    told = request.sampling
    values = (told.presence_penalty, told.frequency_penalty, told.seed, told.logit_bias, told.min_p)
    losses: list[str] = []
    if values != _NOTHING:
        losses += [f"sampling.{name}" for name, value in zip(_UNSAMPLED, values, strict=True) if value is not None]
    if request.top_logprobs is not None:
        losses.append("top_logprobs")
    if request.verbosity is not None:
        losses.append("verbosity")
    if request.response_format is not None:
        losses += [name for name, value in labels(request.response_format).items() if value is not None]
    if request.store is not None:
        losses.append("store")
    if request.cache_key is not None:
        losses.append("cache_key")
    if request.metadata:
        losses.append("metadata")
    if not simple:
        losses += unsaid(request.messages, _UNSAID)
    losses += beyond(request.extensions, PROTOCOL)
    if isinstance(request.response_format, JsonObject):
        losses.append("response_format")
    return losses
