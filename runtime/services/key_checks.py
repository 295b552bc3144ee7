"""What a key that is made here may say, of the configuration in force: what `gatewright check` would refuse of one of its own.

A key that allows a misspelt model, or may demand a connection that is not there, would be refused each of its requests,
and nobody would know why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from runtime.config.plan import Plan
from runtime.config.resolve import meant, resolve
from runtime.config.wildcard import allows, overlap
from runtime.errors import InvalidRequest
from runtime.source import closest

__all__ = [
    "LAST_S", "demand_future", "demand_hard_to_guess", "demand_models", "demand_own_name", "demand_pins", "demand_scopes",
]  # fmt: skip

LEAST_BITS: Final = 80
LEAST_DIFFERENT: Final = 8
LAST_S: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
"""The last second that can be told, in UTC; elsewhere the year may be another."""


def demand_hard_to_guess(key: str, prefix: str) -> None:
    """Raises InvalidRequest for a key of too few characters, or of always the same ones, as far as their counts tell."""
    rest = key.removeprefix(prefix)
    counts = Counter(rest).values()
    bits = sum(count * math.log2(len(rest) / count) for count in counts)
    if len(counts) < LEAST_DIFFERENT or bits < LEAST_BITS:
        raise InvalidRequest(
            f"key: this one could be guessed: about {bits:.0f} bits, {LEAST_BITS} are needed, of {LEAST_DIFFERENT} different "
            f"characters at least; take 32 random characters behind {prefix!r}",
            param="key",
        )


def demand_scopes(scopes: Collection[str]) -> None:
    """Raises InvalidRequest for a key that could do nothing."""
    if not scopes:
        raise InvalidRequest('scopes: a key without a scope can do nothing; write ["chat"]', param="scopes")


def demand_own_name(name: str, configured: Collection[str]) -> None:
    """Raises InvalidRequest for the name of a configured key: logs and lists call those by it."""
    if name in configured:
        raise InvalidRequest(f"name: {name!r} is the key of this id in the configuration; choose another", param="name")


def demand_future(expires_s: float, now_s: float) -> None:
    """Raises InvalidRequest for a key that was never good, and for a time that nobody could be told."""
    if expires_s >= LAST_S + 1:
        raise InvalidRequest(
            "expiresAt: this is beyond the year 9999; `null` is a key that never expires", param="expiresAt"
        )
    if expires_s <= now_s:
        raise InvalidRequest("expiresAt: this time is over; `isActive: false` turns a key off", param="expiresAt")


def demand_models(plan: Plan, models: Sequence[str]) -> None:
    """Raises InvalidRequest for a name that leads nowhere, and for a pattern that no public name can fit."""
    for index, name in enumerate(models):
        at = f"allowedModels[{index}]"
        if name.count("*") > 1:
            raise InvalidRequest(f"{at}: {name!r} holds two `*`; one is understood", param=at)
        if "*" in name:
            if not _fits_some(plan, name):
                raise InvalidRequest(f"{at}: no public name fits {name!r}; GET /v1/models lists them", param=at)
            continue
        ids = meant(plan, name)
        if len(ids) > 1:
            raise InvalidRequest(f"{at}: the name {name!r} is ambiguous; write one of {', '.join(ids[:5])}", param=at)
        if not ids and resolve(plan, name) is None:
            raise InvalidRequest(f"{at}: no model, alias or combo {name!r}{_hint(name, plan.routes)}", param=at)


def demand_pins(plan: Plan, pins: Sequence[str]) -> None:
    """Raises InvalidRequest for a connection that is not there, and for a pattern that none fits."""
    for index, pin in enumerate(pins):
        known = pin in plan.connections or pin == "*" or ("*" in pin and _fits_any(pin, plan.connections))
        if not known:
            at = f"pins[{index}]"
            hint = _hint(pin, plan.connections) or "; connections are named `provider/id`"
            raise InvalidRequest(f"{at}: no connection {pin!r}{hint}", param=at)


def _fits_some(plan: Plan, pattern: str) -> bool:
    return (
        pattern == "*"
        or _fits_any(pattern, plan.routes)
        or any(overlap(pattern, each.pattern) for each in plan.patterns)
    )


def _fits_any(pattern: str, names: Iterable[str]) -> bool:
    return any(allows((pattern,), name) for name in names)


def _hint(name: str, known: Iterable[str]) -> str:
    near = closest(name, known)
    return f"; did you mean {near!r}?" if near else ""
