"""How much a model is to think, in Chat's one word for it."""

from __future__ import annotations

from typing import Final, get_args

from generated.protocols.openai_chat import FACTS
from runtime.canonical import Effort, ReasoningConfig, Tool
from runtime.catalog import Capability, Certainty, Model

__all__ = ["EFFORTS", "write_effort"]

EFFORTS: Final[tuple[str, ...]] = get_args(Effort)
"""Weakest first."""


def write_effort(
    wanted: ReasoningConfig | None, model: Model, losses: list[str], tools: tuple[Tool, ...] = ()
) -> str | None:
    """The word for ``wanted`` that is nearest among those ``model`` knows; None where nothing must be said.

    A model that nobody calls a thinker is told only what a client said as an effort: budgets and adaptive thinking are
    what clients of other vendors send to every model, and a model without thinking would refuse the word. ``tools`` are the
    request's: with functions certain models take no effort.
    """
    facts = model.reasoning
    if facts is not None and facts.with_tools != "any" and any(tool.native is None for tool in tools):
        if wanted is not None and (wanted.mode != "off" or facts.with_tools != "none"):
            losses.append("reasoning")
        return "none" if facts.with_tools == "none" else None
    if wanted is None:
        return None
    certainty = model.certainty(Capability.REASONING)
    spoken = wanted.mode is None and wanted.effort is not None
    if certainty is Certainty.DENIED or (certainty is Certainty.ASSUMED and model.reasoning is None and not spoken):
        if wanted.mode != "off" or certainty is not Certainty.DENIED:  # it may think, for all that is known of it
            losses.append("reasoning")
        return None
    effort = _effort(wanted)
    if wanted.effort is None and wanted.budget_tokens is not None:
        losses.append("reasoning.budget_tokens")
    if wanted.display == "omitted" and wanted.mode != "off":
        losses.append("reasoning.display")
    if effort is None or model.reasoning is None:
        return effort
    if effort == "none" and model.reasoning.can_disable:
        return "none"
    nearest = _nearest(effort, model.reasoning.efforts)
    if nearest != effort:
        losses.append("reasoning.effort")
    return nearest


def _effort(wanted: ReasoningConfig) -> str | None:
    if wanted.mode == "off":
        return "none"
    if wanted.effort is not None:
        return wanted.effort
    if wanted.budget_tokens is None:
        return None
    return next((word for word, most in FACTS.budgets.items() if wanted.budget_tokens <= most), "xhigh")


def _nearest(effort: str, known: tuple[str, ...]) -> str | None:
    """The nearest word; the weaker of two that are equally near."""
    place = EFFORTS.index(effort)
    words = [word for word in EFFORTS if word in known]
    return min(words, key=lambda word: abs(EFFORTS.index(word) - place), default=None)
