"""Targets of combos: each can be reached, all answer the same kind of call, and the connections they demand exist.

Vectors of one combo are of one model, as far as names tell: nobody states in which space a model's vectors are.
"""

from __future__ import annotations

from typing import Final

from runtime.catalog import Endpoint, Model
from runtime.config.draft import Draft
from runtime.config.lower.name import Use
from runtime.config.lower.reach import Reached
from runtime.config.scope import Scope
from runtime.source import Note, closest

__all__ = ["check_targets"]

IN_TURN: Final = frozenset({"priority", "fill-first", "conditional"})
"""Strategies under which what stands earlier always comes earlier."""

BY_FIGURES: Final = frozenset(
    {"least-used", "cost-optimized", "context-optimized", "lowest-latency", "auto", "last-known-good"}
)
"""Strategies that take the earlier of two that are alike. Under all others a repetition has its own turns, or its own lot."""


def check_targets(scope: Scope, draft: Draft) -> None:
    """Check every combo."""
    for name, combo in scope.config.combos.items():
        for use in draft.names.uses.get(name, ()):
            if use.connection is not None and use.owner == name:
                _check_connection(scope, draft, use)
        ends = draft.reach.targets.get(name, ())
        if combo.strategy in IN_TURN | BY_FIGURES:
            _check_repetition(scope, draft, name, ends, alike=combo.strategy in BY_FIGURES)
        _check_endpoints(scope, draft, ends)
        _check_vectors(scope, draft, name, ends)


def _check_connection(scope: Scope, draft: Draft, use: Use) -> None:
    for end in draft.reach.targets.get(use.owner, ()):
        if end.uses[0] != use:
            continue
        provider = draft.models[end.model].provider
        ids = [id_.removeprefix(f"{provider}/") for id_ in draft.by_provider[provider]]
        if use.connection in ids or not scope.sound("providers", provider):
            continue
        near = closest(str(use.connection), ids)
        hint = f"did you mean {near!r}?" if near else f"it has: {', '.join(ids)}"
        span = scope.at.value(*use.path[:-1], "connection")
        message = f"{provider} has no connection {use.connection!r}"
        scope.diagnostics.error("unknown-connection", span, message, hint)
        return


def _check_repetition(scope: Scope, draft: Draft, name: str, ends: tuple[Reached, ...], *, alike: bool) -> None:
    """A model that stands earlier, over the same connection or over any, answers instead of the later one.

    ``alike``: only if both are targets of the combo itself, and the same. What a combo inside repeats, that one is told.
    """
    first: dict[tuple[str, str | None], Reached] = {}
    said: set[tuple[str | int, ...]] = set()
    for end in ends:
        if any(use.conditional for use in end.uses):
            continue  # it takes some requests only, and what it leaves reaches the next one
        if alike and any(use.owner in draft.names.combos for use in end.uses[1:]):
            continue  # how good a combo is depends on all that is in it
        earlier = first.get((end.model, end.connection)) or (None if alike else first.get((end.model, None)))
        first.setdefault((end.model, end.connection), end)
        use = end.uses[0]
        if earlier is None or earlier.uses[0] == use or use.path in said:
            continue
        said.add(use.path)
        direct = len(end.uses) == 1 and len(earlier.uses) == 1
        note = Note(scope.at.value(*earlier.uses[0].path), "it is tried here")
        through = "" if direct else f" (through {' → '.join(end.path[1:])})"
        message = f"combo {name!r} never reaches {end.model} a second time{through}"
        report = scope.diagnostics.error if direct else scope.diagnostics.warn
        report("unreachable-target", scope.at.value(*use.path), message, "remove one of the two", [note])


def _check_endpoints(scope: Scope, draft: Draft, ends: tuple[Reached, ...]) -> None:
    for end in ends[1:]:
        first, other = draft.models[ends[0].model].facts.endpoint, draft.models[end.model].facts.endpoint
        if other is not first:
            note = Note(scope.at.value(*ends[0].uses[0].path), f"{ends[0].model} answers {first.value}")
            message = f"{end.model} answers {other.value}, the targets before it {first.value}"
            hint = "a combo's targets answer one kind of call"
            scope.diagnostics.error("mixed-endpoints", scope.at.value(*end.uses[0].path), message, hint, [note])


def _check_vectors(scope: Scope, draft: Draft, name: str, ends: tuple[Reached, ...]) -> None:
    """What a combo inside mixes, that one is told."""
    said: set[tuple[str | int, ...]] = set()
    for end in ends[1:]:
        first, use = ends[0], end.uses[0]
        facts, other = draft.models[first.model].facts, draft.models[end.model].facts
        if facts.endpoint is not Endpoint.EMBEDDINGS or other.endpoint is not Endpoint.EMBEDDINGS:
            continue
        if use == first.uses[0] or use.path in said or _alike(facts, other):
            continue
        said.add(use.path)
        note = Note(scope.at.value(*first.uses[0].path), f"others are made by {first.model}")
        message = (
            f"combo {name!r} gives vectors of {end.model} beside those of {first.model}, and they cannot be compared"
        )
        hint = "name one model, or a combo for each; if both are one and the same, give them the same `name`"
        scope.diagnostics.warn("mixed-vectors", scope.at.value(*use.path), message, hint, [note])


def _alike(one: Model, other: Model) -> bool:
    """Whether two providers' models are the same one, by what people call it or by the last part of its id."""
    return _last(one.id) == _last(other.id) or (one.name is not None and one.name == other.name)


def _last(model: str) -> str:
    return model.rpartition("/")[2].casefold().removesuffix(":latest")
