"""How a model is told to think: by a level or by a budget of tokens, never by both.

Models from Gemini 3 on take levels, Gemini 2.5 budgets; facts of the catalogue count for more than the name. A model of which
nothing is known is told what the client said. Levels it does not know become the nearest it knows.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, get_args

from generated.protocols.gemini import FACTS
from generated.types.gemini import ThinkingConfig
from runtime.canonical import Effort, ReasoningConfig
from runtime.catalog import Capability, Certainty, Model, ReasoningFacts
from runtime.protocols.gemini.wire import generation

__all__ = ["plan_thinking"]

_EFFORTS: Final[tuple[str, ...]] = get_args(Effort)
_BUDGET_EFFORTS: Final = ((1024, "minimal"), (4096, "low"), (16_384, "medium"), (32_768, "high"))
_LEVELS: Final = ("minimal", "low", "medium", "high")
"""The words that the wire has; stronger ones are the strongest of these."""

_FAMILIES: Final = MappingProxyType(
    {
        "levels": ReasoningFacts(efforts=("low", "medium", "high"), can_disable=False),
        "budgets": ReasoningFacts(style="budget", min_budget=512, max_budget=24_576),
        "pro budgets": ReasoningFacts(style="budget", min_budget=128, max_budget=32_768, can_disable=False),
    }
)


def plan_thinking(wanted: ReasoningConfig | None, model: Model, losses: list[str]) -> ThinkingConfig | None:
    if wanted is None:
        return None
    if model.certainty(Capability.REASONING) is Certainty.DENIED:
        losses += [] if wanted.mode == "off" else ["reasoning"]
        return None
    facts = model.reasoning or _family(model.id)
    if facts is None:
        config = _as_said(wanted, losses)
    elif facts.style == "budget":
        config = _budget(wanted, facts, losses)
    else:
        config = _level(wanted, facts, losses)
    if wanted.mode != "off" and wanted.effort != "none" and wanted.display != "omitted":
        config.includeThoughts = True
    return config if config != ThinkingConfig() else None


def _family(model: str) -> ReasoningFacts | None:
    found = generation(model)
    if found is None:
        return None
    if found > 2:
        return _FAMILIES["levels"]
    if "2.5" not in model:
        return None
    return _FAMILIES["pro budgets" if "pro" in model else "budgets"]


def _as_said(wanted: ReasoningConfig, losses: list[str]) -> ThinkingConfig:
    if wanted.mode == "off" or wanted.effort == "none":
        return ThinkingConfig(thinkingBudget=0)
    if wanted.budget_tokens is not None:
        return ThinkingConfig(thinkingBudget=wanted.budget_tokens)
    if wanted.effort is not None:
        losses += [] if wanted.effort in _LEVELS else ["reasoning.effort"]
        return ThinkingConfig(thinkingLevel=_word(wanted.effort))
    return ThinkingConfig(thinkingBudget=-1) if wanted.mode == "adaptive" else ThinkingConfig()


def _budget(wanted: ReasoningConfig, facts: ReasoningFacts, losses: list[str]) -> ThinkingConfig:
    if wanted.mode == "off" or wanted.effort == "none":
        if facts.can_disable:
            return ThinkingConfig(thinkingBudget=0)
        losses.append("reasoning")
        return ThinkingConfig(thinkingBudget=facts.min_budget)
    if wanted.budget_tokens is None and wanted.effort in {None, "max"}:
        return ThinkingConfig(thinkingBudget=-1)
    budget = wanted.budget_tokens or FACTS.budgets[wanted.effort or "high"]
    allowed = max(budget if facts.max_budget is None else min(budget, facts.max_budget), facts.min_budget)
    if wanted.budget_tokens is not None and allowed != budget:
        losses.append("reasoning.budget_tokens")
    return ThinkingConfig(thinkingBudget=allowed)


def _level(wanted: ReasoningConfig, facts: ReasoningFacts, losses: list[str]) -> ThinkingConfig:
    known = tuple(word for word in _LEVELS if word in facts.efforts) or _LEVELS
    if wanted.mode == "off" or wanted.effort == "none":
        losses.append("reasoning")  # it cannot be off; the least is said
        return ThinkingConfig(thinkingLevel=known[0].upper())
    effort = wanted.effort or _effort(wanted.budget_tokens)
    if effort is None:
        return ThinkingConfig()
    place = _EFFORTS.index(effort)
    nearest = min(known, key=lambda word: (abs(_EFFORTS.index(word) - place), _EFFORTS.index(word)))
    if wanted.effort is None:
        losses.append("reasoning.budget_tokens")
    elif nearest != effort:
        losses.append("reasoning.effort")
    return ThinkingConfig(thinkingLevel=nearest.upper())


def _effort(budget: int | None) -> str | None:
    if budget is None:
        return None
    return next((word for most, word in _BUDGET_EFFORTS if budget <= most), "xhigh")


def _word(effort: str) -> str:
    return (effort if effort in _LEVELS else _LEVELS[-1]).upper()
