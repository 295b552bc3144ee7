"""Promises: whichever target answers, a public model can do what it says. Proved from facts, doubted from assumptions."""

from __future__ import annotations

from runtime.catalog import Capability, Certainty, Model
from runtime.config.draft import Draft
from runtime.config.lower.reach import Reached
from runtime.config.scope import Scope
from runtime.source import Note, Span

__all__ = ["check_capabilities"]


def check_capabilities(scope: Scope, draft: Draft) -> None:
    """Check the promises and the context of every combo against all that it can reach."""
    for name, combo in scope.config.combos.items():
        seen: set[str] = set()
        for end in draft.reach.targets.get(name, ()):
            if end.model in seen:
                continue
            seen.add(end.model)
            facts = draft.models[end.model].facts
            for index, promise in enumerate(combo.promises):
                span = scope.at.value("combos", name, "promises", index)
                _check_promise(scope, name, end, facts, Capability(promise), span)
            if combo.context is not None:
                _check_context(scope, name, end, facts, combo.context)


def _check_promise(scope: Scope, combo: str, end: Reached, facts: Model, promise: Capability, promised: Span) -> None:
    certainty = facts.certainty(promise)
    if certainty is Certainty.STATED:
        return
    span = scope.at.value(*end.uses[0].path)
    note = Note(promised, "promised here")
    if certainty is Certainty.DENIED:
        message = f"combo {combo!r} promises {promise.value}, and {_where(end)} lacks it"
        scope.diagnostics.error("missing-capability", span, message, "drop the target or the promise", [note])
    else:
        message = f"combo {combo!r} promises {promise.value}, and nobody says that {_where(end)} has it"
        scope.diagnostics.warn("unproved-capability", span, message, _say(end.model, f"has: [{promise.value}]"), [note])


def _check_context(scope: Scope, combo: str, end: Reached, facts: Model, wanted_tokens: int) -> None:
    span = scope.at.value(*end.uses[0].path)
    note = Note(scope.at.value("combos", combo, "context"), "promised here")
    known = [value for value in (facts.limits.context, facts.limits.max_input) if value is not None]
    if not known:
        message = (
            f"combo {combo!r} promises a context of {wanted_tokens} tokens, and nobody says what {_where(end)} takes"
        )
        hint = _say(end.model, f"context: {wanted_tokens}")
        scope.diagnostics.warn("unproved-capability", span, message, hint, [note])
    elif min(known) < wanted_tokens:
        message = f"combo {combo!r} promises a context of {wanted_tokens} tokens, and {_where(end)} takes {min(known)}"
        scope.diagnostics.error("missing-capability", span, message, "drop the target or lower the promise", [note])


def _where(end: Reached) -> str:
    return (
        end.model
        if len(end.uses) == 1 and len(end.path) == 2
        else f"{end.model} (through {' → '.join(end.path[1:-1])})"
    )


def _say(model: str, fact: str) -> str:
    provider, _, name = model.partition("/")
    return f"if it does, say so: `providers: {{{provider}: {{models: {{{name}: {{{fact}}}}}}}}}`"
