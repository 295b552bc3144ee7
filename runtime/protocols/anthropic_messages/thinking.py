"""Thinking and structured output: what a client asks for, and what a model can be told.

A model is told to think in one of three ways (`runtime.catalog.ReasoningFacts`): by a budget of tokens, by an effort word
beside thinking that it measures itself, or by an effort word alone. A model of which nothing is known is told only what
the client said in this protocol's own words. Efforts it does not know become the nearest it knows.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, get_args

import msgspec

from generated.protocols.anthropic_messages import FACTS
from generated.types.anthropic_messages import ReceivedFormat, ReceivedThinking
from runtime.canonical import (
    Effort,
    JsonSchema,
    Native,
    Part,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    ResponseFormat,
    Text,
    ToolResult,
)
from runtime.catalog import Capability, Certainty, Model, ReasoningFacts
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields, fault, is_object, read, required, text_of

__all__ = ["Plan", "decode_format", "decode_reasoning", "plan_thinking"]

EFFORTS: Final[tuple[Effort, ...]] = get_args(Effort)
_BUDGET_EFFORTS: Final[tuple[tuple[int, Effort], ...]] = (
    (0, "none"), (1024, "minimal"), (4096, "low"), (16_384, "medium"), (32_768, "high"),
)  # fmt: skip
"""The most tokens that an effort word stands for; beyond the last it is `xhigh`."""

_UNSPOKEN: Final = frozenset({"none", "minimal"})
"""Words that this protocol lacks, though a model may know them by another."""

_DEFAULT_EFFORT: Final[Effort] = "high"
"""What the vendor takes where thinking is on and no effort is said."""

_THINKING: Final = msgspec.json.Decoder(ReceivedThinking)
_FORMAT: Final = msgspec.json.Decoder(ReceivedFormat)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_TEXT: Final = msgspec.json.Decoder(str)
_MODES: Final = MappingProxyType({"enabled": "on", "disabled": "off", "adaptive": "adaptive"})


class Plan(msgspec.Struct, frozen=True):
    """What the request says of thinking. ``on``: the model will think, and so takes no sampling and no forced tool."""

    thinking: msgspec.Raw | None = None
    effort: str | None = None
    on: bool = False
    losses: tuple[str, ...] = ()


_NOTHING: Final = Plan()


def decode_reasoning(fields: Fields, extensions: Fields) -> ReasoningConfig | None:
    """What the client says of thinking. Kinds and words that canonical lacks are kept in ``extensions``."""
    effort = _effort(fields, extensions)
    if "thinking" not in fields:
        return None if effort is None else ReasoningConfig(effort=effort)
    given = read(_THINKING, fields["thinking"], "thinking")
    mode = _MODES.get(given.type)
    if mode is None:  # a kind that came later: thinking, in a way only the vendor knows
        extensions["thinking"] = fields["thinking"]
        return ReasoningConfig(mode="adaptive", effort=effort)
    budget = present(given.budget_tokens)
    if mode == "on" and budget is None:
        raise fault("thinking.budget_tokens", "Field required")
    return ReasoningConfig(
        mode="on" if mode == "on" else "off" if mode == "off" else "adaptive",
        effort=effort,
        budget_tokens=budget if mode == "on" else None,
        display=present(given.display),
    )


def decode_format(fields: Fields) -> ResponseFormat | None:
    """The form of the answer, from ``output_config.format`` or its older name ``output_format``."""
    path, raw = "output_config.format", None
    if "output_config" in fields:
        raw = present(read(_OBJECT, fields["output_config"], "output_config").get("format"))
    if raw is None and "output_format" in fields:
        path, raw = "output_format", fields["output_format"]
    if raw is None:
        return None
    given = read(_FORMAT, raw, path)
    if given.type != "json_schema":
        raise fault(f"{path}.type", f"'{given.type}' is not a known format; known is json_schema")
    schema = required(given.schema, f"{path}.schema")
    if not is_object(schema):
        raise fault(f"{path}.schema", "Input should be an object")
    return JsonSchema(schema=text_of(schema))


def plan_thinking(request: Request, model: Model, max_tokens: int) -> Plan:
    """How ``model`` is told to think as ``request`` wants, with room left for an answer below ``max_tokens``."""
    wanted = request.reasoning
    if wanted is None:
        return _NOTHING
    own = request.extensions.get(PROTOCOL, {}).get("thinking")
    facts = model.reasoning
    if model.certainty(Capability.REASONING) is Certainty.DENIED:
        return Plan(losses=() if wanted.mode == "off" else ("reasoning",))
    if own is not None:
        return Plan(thinking=own, effort=_known(wanted.effort, facts), on=True)
    if facts is None:
        return _sound(_as_said(wanted, max_tokens), request)
    effort = _wanted_effort(wanted)
    if effort == "none":
        return _off(facts)
    match facts.style:
        case "budget":
            return _sound(_budget(wanted, effort, facts, max_tokens), request)
        case "adaptive":
            said = wanted.effort is not None or wanted.mode == "on"
            return Plan(_adaptive(wanted), _nearest(effort, facts) if said else None, on=True)
        case "effort":
            return Plan(effort=_nearest(effort, facts))


def _as_said(wanted: ReasoningConfig, max_tokens: int) -> Plan:
    """For a model of which nothing is known: this protocol's own words, but no guess from another's."""
    match wanted.mode:
        case "off":
            return Plan(thinking=_raw({"type": "disabled"}))
        case "on":
            least = FACTS.budgets["minimal"]
            budget = min(wanted.budget_tokens or FACTS.budgets[_DEFAULT_EFFORT], _room(wanted, least, max_tokens))
            if budget < least:
                return Plan(losses=("reasoning",))
            return Plan(_enabled(wanted, budget), _known(wanted.effort, None), on=True)
        case "adaptive":
            return Plan(_adaptive(wanted), _known(wanted.effort, None), on=True)
        case None:
            return Plan(losses=("reasoning",))


def _sound(plan: Plan, request: Request) -> Plan:
    """``plan``, unless it is a budget and the turn under way began without thinking of the vendor's: it is refused then."""
    if plan.thinking is None or b'"enabled"' not in bytes(plan.thinking) or _turn_began_with_thinking(request):
        return plan
    return Plan(losses=("reasoning",))


def _turn_began_with_thinking(request: Request) -> bool:
    """Whether the last turn of the model, where results answer it, starts with thinking under the vendor's own seal.

    Parts and turns that go to other protocols only do not count; nor does what the user says behind the results, which
    is one turn with them.
    """
    answered, first = False, None
    for message in reversed(request.messages):
        said = [part for part in message.content if _is_said(part)]
        if said and message.role == "assistant":
            first = said[0]
        elif first is not None and said:
            break
        else:
            answered = answered or any(isinstance(part, ToolResult) for part in said)
    return first is None or not answered or isinstance(first, Reasoning)


def _is_said(part: Part) -> bool:
    """Whether the vendor is told of ``part``."""
    match part:
        case Reasoning(seal=seal, sealed_by=owner):
            return seal is not None and owner == PROTOCOL
        case Native(protocol=protocol):
            return protocol == PROTOCOL
        case Text(text=text) | Refusal(text=text):
            return bool(text.strip())
        case _:
            return True


def _off(facts: ReasoningFacts) -> Plan:
    if facts.style == "effort":
        return Plan(effort=_nearest("none", facts), losses=("reasoning",))
    if facts.can_disable:
        return Plan(thinking=_raw({"type": "disabled"}))
    if facts.style == "adaptive":
        return Plan(effort=_nearest("none", facts), on=True, losses=("reasoning",))
    return Plan(losses=("reasoning",))


def _budget(wanted: ReasoningConfig, effort: Effort, facts: ReasoningFacts, max_tokens: int) -> Plan:
    budget = wanted.budget_tokens or FACTS.budgets[effort]
    if facts.max_budget is not None:
        budget = min(budget, facts.max_budget)
    budget = min(max(budget, facts.min_budget), _room(wanted, facts.min_budget, max_tokens))
    if budget < facts.min_budget:  # the answer is to be so short that no thinking fits in
        return Plan(losses=("reasoning",))
    return Plan(thinking=_enabled(wanted, budget), on=True)


def _room(wanted: ReasoningConfig, least: int, max_tokens: int) -> int:
    """The most tokens to think with.

    A client's own budget may take all but one; one that is guessed, or raised to the model's least, leaves a quarter to the answer.
    """
    given = wanted.budget_tokens
    return max_tokens * 3 // 4 if given is None or given < least else max_tokens - 1


def _wanted_effort(wanted: ReasoningConfig) -> Effort:
    if wanted.mode == "off":
        return "none"
    if wanted.effort is not None:
        return wanted.effort
    if wanted.budget_tokens is None:
        return _DEFAULT_EFFORT
    for most, effort in _BUDGET_EFFORTS:
        if wanted.budget_tokens <= most:
            return effort
    return "xhigh"


def _nearest(effort: Effort, facts: ReasoningFacts) -> str | None:
    """The word among the model's that is nearest; of two the weaker."""
    place = EFFORTS.index(effort)
    known = [word for word in facts.efforts if word in EFFORTS and word not in _UNSPOKEN]
    return min(known, key=lambda word: (abs(EFFORTS.index(word) - place), EFFORTS.index(word)), default=None)


def _known(effort: Effort | None, facts: ReasoningFacts | None) -> str | None:
    if effort is None or effort == "none":
        return None
    return _nearest(effort, facts) if facts else {"minimal": "low"}.get(effort, effort)


def _effort(fields: Fields, extensions: Fields) -> Effort | None:
    if "output_config" not in fields:
        return None
    config = read(_OBJECT, fields["output_config"], "output_config")
    raw = present(config.get("effort"))
    word = None if raw is None else read(_TEXT, raw, "output_config.effort")
    effort: Effort | None = None
    for known in EFFORTS:
        if known == word:
            effort = known
    rest = {name: value for name, value in config.items() if name != "format" and (name != "effort" or effort is None)}
    if rest:
        extensions["output_config"] = msgspec.Raw(msgspec.json.encode(rest))
    return effort


def _enabled(wanted: ReasoningConfig, budget_tokens: int) -> msgspec.Raw:
    return _raw({"type": "enabled", "budget_tokens": budget_tokens, **_display(wanted)})


def _adaptive(wanted: ReasoningConfig) -> msgspec.Raw:
    return _raw({"type": "adaptive", **_display(wanted)})


def _display(wanted: ReasoningConfig) -> dict[str, object]:
    return {"display": wanted.display} if wanted.display else {}


def _raw(value: dict[str, object]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
