"""Limits: each limits something in a time that can be counted, none says what another one said or is never reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generated.config import UsageLimit
from runtime.config.draft import Draft
from runtime.config.lower.limit import amounts, lower_limits
from runtime.config.plan import DEFAULT_TENANT
from runtime.config.scope import Scope
from runtime.source import Note
from runtime.window import Limit, read_window

__all__ = ["check_limits"]

_Path = tuple[str | int, ...]

_WORDS = "write a length such as `1m`, `6h` or `7d`, from `1s` to `31d`, or `minute`, `hour`, `day`, `week`, `month`"


def check_limits(scope: Scope, _: Draft) -> None:
    """Check the limits of keys, tenants, combos and policies."""
    for path, limits in _all(scope):
        for index, limit in enumerate(limits):
            _check_entry(scope, (*path, index), limit)
        _check_twice(scope, path, limits)
    for id_, key in scope.config.keys.items():
        tenant = scope.config.tenants.get(key.tenant)
        if tenant is not None:
            _check_below(scope, id_, key.limits, key.tenant, lower_limits(tenant.limits))


def _all(scope: Scope) -> Iterator[tuple[_Path, Sequence[UsageLimit]]]:
    config = scope.config
    for section, named in (
        ("keys", config.keys), ("tenants", config.tenants), ("combos", config.combos), ("policies", config.policies),
    ):  # fmt: skip
        for name, settings in named.items():
            yield (section, name, "limits"), settings.limits


def _check_entry(scope: Scope, path: _Path, limit: UsageLimit) -> None:
    named = amounts(limit)
    if not named and not scope.sound(str(path[0]), str(path[1])):
        return
    if not named:
        hint = "write `requests`, `tokens`, `usd` or `concurrency` in it"
        scope.diagnostics.error("missing-field", scope.at.value(*path), "a limit limits nothing", hint)
        return
    in_time = [of for of, _ in named if of != "concurrency"]
    if limit.per is None:
        if in_time:
            message = f"a limit of {in_time[0]} does not say in which time"
            scope.diagnostics.error("missing-field", scope.at.value(*path), message, "write `per: 1m` or `per: month`")
    elif not in_time:
        message = "what is limited at the same time has no `per`"
        scope.diagnostics.warn("ignored-setting", scope.at.key(*path, "per"), message, "remove it")
    elif read_window(limit.per) is None:
        message = f"{limit.per!r} is no time in which a limit can be counted"
        scope.diagnostics.error("odd-window", scope.at.value(*path, "per"), message, _WORDS)


def _check_twice(scope: Scope, path: _Path, limits: Sequence[UsageLimit]) -> None:
    """What is said twice, and what a longer window makes impossible to reach."""
    seen: list[tuple[int, Limit]] = []
    for index, written in enumerate(limits):
        for limit in lower_limits((written,)):
            for before, other in seen:
                if limit.of == other.of and limit.span == other.span:
                    note = Note(scope.at.value(*path, before), "first written here")
                    message = f"the limit of {limit.of} in this time is written twice"
                    span = scope.at.value(*path, index)
                    scope.diagnostics.error("contradiction", span, message, "keep the one that is meant", [note])
                elif limit.of == other.of:
                    _check_reached(scope, path, (index, limit), (before, other))
            seen.append((index, limit))


def _check_reached(scope: Scope, path: _Path, one: tuple[int, Limit], other: tuple[int, Limit]) -> None:
    (short_index, short), (_, long) = (one, other) if _least_ms(one[1]) <= _least_ms(other[1]) else (other, one)
    if short.amount >= long.amount:
        message = f"{short.words} is never reached: {long.words} is less"
        span = scope.at.value(*path, short_index)
        scope.diagnostics.warn("limit-never-reached", span, message, "remove it, or lower it")


def _check_below(scope: Scope, id_: str, limits: Sequence[UsageLimit], tenant: str, above: Sequence[Limit]) -> None:
    for index, written in enumerate(limits):
        for limit in lower_limits((written,)):
            for other in above:
                if limit.of == other.of and limit.span == other.span and limit.amount > other.amount:
                    whose = "the operator's keys" if tenant == DEFAULT_TENANT else f"tenant {tenant!r}"
                    message = f"{limit.words} of key {id_!r} is never reached: {whose} may use {other.words}"
                    span = scope.at.value("keys", id_, "limits", index)
                    scope.diagnostics.warn("limit-never-reached", span, message, "remove it, or lower it")


def _least_ms(limit: Limit) -> int:
    """How long its window is, at the most for those of the calendar."""
    return {"day": 86_400_000, "week": 7 * 86_400_000, "month": 31 * 86_400_000}.get(
        limit.calendar or "", limit.length_ms
    )
