"""What may be said of a key over HTTP, and what that is to the store. Nothing of it is checked against the plan here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.keys import KeyFields
from runtime.errors import InvalidRequest
from runtime.services.key_limits import PERIODS, Amount, LimitFields, nano_usd, read_limits, replaced
from runtime.window import Limit

__all__ = ["PREFIXES", "Fields", "could_be_kept", "limits_of", "read_fields"]

PREFIXES: Final = ("gw-", "oag_")
"""How keys begin that are made here."""

MIN_CHARS: Final = 20
MAX_CHARS: Final = 200

_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Names = Annotated[tuple[_Name, ...], Meta(max_length=1000)]
_Count = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]


class BudgetFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many dollars in a ``period``."""

    limit: Amount
    period: Literal["daily", "weekly", "monthly", "day", "week", "month"] = "monthly"


class Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be said of a key. ``key`` and ``prefix`` are for a new one."""

    name: _Name | UnsetType = UNSET
    key: Annotated[str, Meta(min_length=MIN_CHARS, max_length=MAX_CHARS, pattern=r"^[!-~]+$")] | UnsetType = UNSET
    prefix: Literal["gw-", "oag_"] | UnsetType = UNSET
    company_id: _Name | UnsetType = UNSET
    scopes: tuple[Literal["chat", "view", "action", "admin"], ...] | UnsetType = UNSET
    allowedModels: _Names | UnsetType = UNSET  # noqa: N815 — as clients write it
    allowedCombos: _Names | UnsetType = UNSET  # noqa: N815
    pins: _Names | UnsetType = UNSET
    limits: tuple[LimitFields, ...] | UnsetType | None = UNSET
    budget: BudgetFields | Amount | UnsetType | None = UNSET
    maxRequestsPerMinute: _Count | UnsetType | None = UNSET  # noqa: N815
    maxRequestsPerDay: _Count | UnsetType | None = UNSET  # noqa: N815
    expiresAt: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET  # noqa: N815
    isActive: bool | UnsetType = UNSET  # noqa: N815


def could_be_kept(presented: str) -> bool:
    """Whether it has the form of the keys that are made here, or brought along."""
    return MIN_CHARS <= len(presented) <= MAX_CHARS and presented.startswith(PREFIXES)


def read_fields(data: KeyFields) -> Fields:
    """Raises InvalidRequest with the path."""
    try:
        return msgspec.convert(data, Fields)
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        named = path.strip("`.") or (told.rpartition("unknown field `")[2].strip("`") if "unknown" in told else "")
        raise InvalidRequest(str(error).replace(" - at `$.", " - at `"), param=named or None) from error


def limits_of(fields: Fields, before: tuple[Limit, ...] = ()) -> tuple[Limit, ...] | UnsetType:
    """The limits that a key has afterwards which had ``before``; UNSET where nothing is said of them.

    ``limits`` are all of them; the shorter words then replace one each. Budgets that stay warn as they did, unless it is said
    otherwise. Raises InvalidRequest with the path.
    """
    shorter = (fields.budget, fields.maxRequestsPerMinute, fields.maxRequestsPerDay)
    if fields.limits is UNSET and all(each is UNSET for each in shorter):
        return UNSET
    limits = before if fields.limits is UNSET else read_limits(fields.limits or (), before)
    for amount, per in ((fields.maxRequestsPerMinute, "1m"), (fields.maxRequestsPerDay, "day")):
        if amount is not UNSET:
            limits = replaced(limits, "requests", per, amount)
    budget = fields.budget
    if budget is UNSET:
        return limits
    if budget is None:
        for per in ("day", "week", "month"):
            limits = replaced(limits, "usd", per, None)
        return limits
    if isinstance(budget, BudgetFields):
        return replaced(limits, "usd", PERIODS[budget.period], nano_usd(budget.limit, "budget.limit"))
    return replaced(limits, "usd", "month", nano_usd(budget, "budget"))
