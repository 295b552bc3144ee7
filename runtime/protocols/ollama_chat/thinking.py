"""How much a model is to think, as Ollama is told: whether at all, or in one of four words."""

from __future__ import annotations

from typing import Final

from generated.protocols.ollama_chat import FACTS
from runtime.canonical import ReasoningConfig
from runtime.catalog import Capability, Certainty, Model
from runtime.protocols.openai_chat.effort import EFFORTS

__all__ = ["write_think"]

_WORDS: Final = ("low", "medium", "high", "max")


def write_think(wanted: ReasoningConfig | None, model: Model, losses: list[str]) -> bool | str | None:
    """None where nothing must be said: a model that cannot think refuses to be told anything but false.

    A model that nobody calls a thinker is told only what a client said outright: budgets, and effort beside adaptive
    thinking, are what clients of other vendors send to every model.
    """
    if wanted is None:
        return None
    facts, certainty = model.reasoning, model.certainty(Capability.REASONING)
    guessed = certainty is Certainty.ASSUMED and facts is None and not _outright(wanted)
    if certainty is Certainty.DENIED or guessed:
        losses.extend(() if wanted.mode == "off" else ("reasoning",))
        return None
    effort = _effort(wanted)
    if wanted.budget_tokens is not None:
        losses.append("reasoning.budget_tokens")
    if wanted.display == "omitted" and wanted.mode != "off":
        losses.append("reasoning.display")
    if effort is None:
        return True
    if effort == "none" and (facts is None or facts.can_disable):
        return False
    if facts is not None and facts.style == "budget":
        losses += ["reasoning"] if effort == "none" else []
        return True
    words = [word for word in _WORDS if facts is None or word in facts.efforts] or list(_WORDS)
    place = EFFORTS.index("max" if effort == "xhigh" else effort)
    nearest = min(words, key=lambda word: abs(EFFORTS.index(word) - place))
    if nearest != effort:
        losses.append("reasoning.effort")
    return nearest


def _outright(wanted: ReasoningConfig) -> bool:
    if wanted.mode == "off" or wanted.budget_tokens is not None:
        return wanted.mode == "off"
    return wanted.mode is None if wanted.effort is not None else wanted.display is None


def _effort(wanted: ReasoningConfig) -> str | None:
    if wanted.mode == "off":
        return "none"
    if wanted.effort is not None or wanted.budget_tokens is None:
        return wanted.effort
    return next((word for word, most in FACTS.budgets.items() if wanted.budget_tokens <= most), "xhigh")
