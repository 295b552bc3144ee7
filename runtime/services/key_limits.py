"""Limits of a key as the management API says them: a list as in `gateway.yaml`, and shorter words for the usual ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.keys import KeyLimit
from runtime.errors import InvalidRequest
from runtime.window import Calendar, Limit, Measure, dollars, read_window

__all__ = ["PERIODS", "Amount", "LimitFields", "WarnAt", "nano_usd", "read_limits", "replaced", "shown_limits"]

PERIODS: Final = MappingProxyType[str, Calendar](
    {"daily": "day", "weekly": "week", "monthly": "month", "day": "day", "week": "week", "month": "month"}
)

MAX_LIMITS: Final = 50
_MAX_NANO_USD: Final = 1_000_000 * 10**9
_MIN_NANO_USD: Final = 1000
_NANO: Final = 10**9

_Count = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
Amount = str | float | int
WarnAt = Annotated[float, Meta(ge=0, le=1)]
"""The part of a budget from which it warns; 0: it does not."""


class LimitFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be said of one limit."""

    requests: _Count | UnsetType = UNSET
    tokens: _Count | UnsetType = UNSET
    usd: Amount | UnsetType = UNSET
    concurrency: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET
    per: str | UnsetType = UNSET
    warningThreshold: WarnAt | UnsetType = UNSET  # noqa: N815 — as clients write it


def read_limits(written: Sequence[LimitFields], before: Sequence[Limit] = ()) -> tuple[Limit, ...]:
    """Where nothing is said of it, a budget warns as the one of the same time did ``before``.

    Raises InvalidRequest, with the path, for what `gatewright check` would refuse.
    """
    if len(written) > MAX_LIMITS:
        raise InvalidRequest(f"limits: {len(written)} are too many; {MAX_LIMITS} are read", param="limits")
    warned = {limit.span: limit.warn_at for limit in before if limit.of == "usd"}
    limits: list[Limit] = []
    for index, each in enumerate(written):
        for limit in _read(each, f"limits[{index}]", warned):
            if any(limit.of == other.of and limit.span == other.span for other in limits):
                at = f"limits[{index}]"
                raise InvalidRequest(f"{at}: the limit of {limit.of} in this time is written twice", param=at)
            limits.append(limit)
    return tuple(limits)


def replaced(limits: Iterable[Limit], of: Measure, per: str, amount: int | None) -> tuple[Limit, ...]:
    """``limits`` with one of ``amount`` for this measure and time in place of the one there was; None: without it.

    The new one warns as the old one did.
    """
    window = read_window(per)
    assert window is not None, "only times that are read"
    wanted = Limit(of=of, amount=amount or 0, length_ms=window[0], calendar=window[1])
    others: list[Limit] = []
    for limit in limits:
        if (limit.of, limit.span) == (of, wanted.span):
            wanted = msgspec.structs.replace(wanted, warn_at=limit.warn_at)
        else:
            others.append(limit)
    return tuple(others) if amount is None else (*others, wanted)


def nano_usd(written: Amount, at: str) -> int:
    """Raises InvalidRequest for what is no amount in dollars."""
    try:
        amount = Decimal(str(written))
    except InvalidOperation:
        raise InvalidRequest(f"{at}: {str(written)[:50]!r} is no amount in dollars", param=at) from None
    exact = amount * _NANO if amount.is_finite() else Decimal(0)
    if not _MIN_NANO_USD <= exact <= _MAX_NANO_USD or exact != exact.to_integral_value():
        raise InvalidRequest(f"{at}: write dollars from 0.000001 to 1000000", param=at)
    return int(exact)


def shown_limits(limits: Iterable[Limit]) -> list[KeyLimit]:
    """As they are written."""
    shown: list[KeyLimit] = []
    for limit in limits:
        per = limit.per or UNSET
        match limit.of:
            case "requests":
                shown.append(KeyLimit(requests=limit.amount, per=per))
            case "tokens":
                shown.append(KeyLimit(tokens=limit.amount, per=per))
            case "usd":
                warn_at = limit.warn_at or UNSET
                shown.append(KeyLimit(usd=dollars(limit.amount), per=per, warningThreshold=warn_at))
            case "concurrency":
                shown.append(KeyLimit(concurrency=limit.amount))
    return shown


def _read(written: LimitFields, at: str, warned: Mapping[str, float]) -> list[Limit]:
    window = None
    if isinstance(written.per, str):
        window = read_window(written.per)
        if window is None:
            hint = (
                "write `1m`, `6h`, `7d` and the like, from `1s` to `31d`, or `minute`, `hour`, `day`, `week`, `month`"
            )
            raise InvalidRequest(
                f"{at}.per: {written.per[:50]!r} is no time in which a limit can be counted; {hint}", param=f"{at}.per"
            )
    named: list[tuple[Measure, int | UnsetType]] = [
        ("requests", written.requests),
        ("tokens", written.tokens),
        ("usd", UNSET if written.usd is UNSET else nano_usd(written.usd, f"{at}.usd")),
    ]
    limits: list[Limit] = []
    for of, amount in named:
        if amount is UNSET:
            continue
        if window is None:
            raise InvalidRequest(f"{at}: a limit of {of} says in which time: `per`", param=f"{at}.per")
        limit = Limit(of=of, amount=amount, length_ms=window[0], calendar=window[1])
        limits.append(limit if of != "usd" else _warning(limit, written.warningThreshold, warned))
    if written.concurrency is not UNSET:
        limits.append(Limit(of="concurrency", amount=written.concurrency))
    if written.warningThreshold is not UNSET and (written.usd is UNSET or window is None or window[1] is None):
        at = f"{at}.warningThreshold"
        raise InvalidRequest(f"{at}: budgets of a `day`, a `week` or a `month` warn: `usd`, no other limit", param=at)
    if not limits:
        raise InvalidRequest(f"{at}: write `requests`, `tokens`, `usd` or `concurrency`", param=at)
    return limits


def _warning(limit: Limit, said: float | UnsetType, before: Mapping[str, float]) -> Limit:
    """``limit``, a budget, with what is said of warnings, or was before."""
    return msgspec.structs.replace(limit, warn_at=before.get(limit.span, 0.0) if said is UNSET else said)
