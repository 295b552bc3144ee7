"""Following names down to models: every alias and combo becomes the ordered list of what can answer for it.

Leaf first, without recursion, so that no configuration exhausts the stack; names in a circle, or leading into one, are left
over and reported once per circle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from runtime.config.lower.name import Names, Use

__all__ = ["MAX_NAMES", "Reach", "Reached", "follow"]

MAX_NAMES: Final = 32
"""How many names a chain may have, the model's included."""


class Reached(msgspec.Struct, frozen=True):
    """A model at the end of a chain. ``uses`` are the references on the way; ``connection`` the last one demanded."""

    model: str
    path: tuple[str, ...]
    uses: tuple[Use, ...]
    connection: str | None = None


class Reach(msgspec.Struct, frozen=True):
    """``targets`` maps a name to what it reaches, in order, with repetitions; ``cycles`` are closed chains of uses.

    ``too_long`` are the uses where a chain grew beyond `MAX_NAMES`; it is not followed from there on.
    """

    targets: dict[str, tuple[Reached, ...]]
    cycles: tuple[tuple[Use, ...], ...]
    too_long: tuple[Use, ...]


def follow(names: Names) -> Reach:
    """Follow every name of ``names``. A reference that leads nowhere is skipped: it is reported where it stands."""
    waits: dict[str, set[str]] = {}
    users: dict[str, list[str]] = {name: [] for name in names.uses}
    for name, uses in names.uses.items():
        steps = (names.lead(use.target) for use in uses)
        waits[name] = {step.name for step in steps if step is not None and not step.model}
        for other in waits[name]:
            users[other].append(name)
    targets: dict[str, tuple[Reached, ...]] = {}
    ready = deque(name for name, others in waits.items() if not others)
    while ready:
        name = ready.popleft()
        targets[name] = _targets(names, name, targets)
        for user in users[name]:
            waits[user].discard(name)
            if not waits[user]:
                ready.append(user)
    left = {name: uses for name, uses in names.uses.items() if name not in targets}
    too_long = {end.uses[0] for ends in targets.values() for end in ends if len(end.path) > MAX_NAMES}
    return Reach(targets, _cycles(names, left), tuple(sorted(too_long, key=lambda use: str(use.path))))


def _targets(names: Names, name: str, known: Mapping[str, tuple[Reached, ...]]) -> tuple[Reached, ...]:
    found: list[Reached] = []
    for use in names.uses[name]:
        step = names.lead(use.target)
        if step is None:
            continue
        hop = (name,) if step.name == use.target else (name, use.target)
        if step.model:
            found.append(Reached(step.name, (*hop, step.name), (use,), use.connection))
        else:
            through = (
                Reached(end.model, (*hop, *end.path), (use, *end.uses), use.connection or end.connection)
                for end in known[step.name]
                if len(end.path) <= MAX_NAMES  # the plan holds every chain; one without end would fill it
            )
            found += _bounded(through, 1)  # what a name repeats is reported there
    return _bounded(found, 2)


def _bounded(found: Iterable[Reached], most: int) -> tuple[Reached, ...]:
    """At most so many ways to one model over one connection: the second is what makes a repetition visible."""
    count: dict[tuple[str, str | None, bool], int] = {}
    kept: list[Reached] = []
    for end in found:
        key = (end.model, end.connection, any(use.conditional for use in end.uses))
        count[key] = count.get(key, 0) + 1
        if count[key] <= most:
            kept.append(end)
    return tuple(kept)


def _cycles(names: Names, left: Mapping[str, tuple[Use, ...]]) -> tuple[tuple[Use, ...], ...]:
    """One circle per group of names that lead into each other, starting at its first name in the alphabet."""
    cycles: dict[frozenset[str], tuple[Use, ...]] = {}
    done: set[str] = set()
    for start in left:
        trail: dict[str, Use] = {}
        name: str | None = start
        while name is not None and name not in done and name not in trail:
            name = _next(names, left, name, trail)
        if name is not None and name in trail:
            owners = list(trail)
            circle = [trail[owner] for owner in owners[owners.index(name) :]]
            first = circle.index(min(circle, key=lambda use: use.owner))
            cycles[frozenset(use.owner for use in circle)] = tuple(circle[first:] + circle[:first])
        done.update(trail)
    return tuple(cycles.values())


def _next(names: Names, left: Mapping[str, tuple[Use, ...]], name: str, trail: dict[str, Use]) -> str | None:
    for use in left[name]:
        step = names.lead(use.target)
        if step is not None and not step.model and step.name in left:
            trail[name] = use
            return step.name
    return None
