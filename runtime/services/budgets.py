"""What keys may spend and have spent, and setting it: limits in dollars by the day, the week and the month, in UTC."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.budget import BudgetCheck, BudgetFields, BudgetList, BudgetSet, KeyBudget
from runtime.errors import Fault, InvalidRequest, NotFound, Refused, RouteUnavailable
from runtime.services.key_limits import PERIODS, Amount, WarnAt, nano_usd, replaced
from runtime.services.key_pages import KeyPages
from runtime.services.keyring import GoodKeys
from runtime.services.keys import Keys
from runtime.stores.base import StoreError
from runtime.stores.keys import SqlKeys, StoredKey
from runtime.stores.spending import SpentRow, SqlSpending
from runtime.web.key import KeyRecord
from runtime.web.patience import one_by_one
from runtime.window import Calendar, Limit, calendar_start_ms

__all__ = ["Budgets"]

_NANO: Final = 10**9
_CALENDARS: Final[tuple[tuple[Calendar, Literal["daily", "weekly", "monthly"]], ...]] = (
    ("day", "daily"), ("week", "weekly"), ("month", "monthly"),
)  # fmt: skip

_CLOCK: Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$"

_Set = Amount | UnsetType | None


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be said of a budget, in either form."""

    apiKeyId: str | UnsetType = UNSET  # noqa: N815 — as clients write it
    keyId: str | UnsetType = UNSET  # noqa: N815
    dailyLimitUsd: _Set = UNSET  # noqa: N815
    weeklyLimitUsd: _Set = UNSET  # noqa: N815
    monthlyLimitUsd: _Set = UNSET  # noqa: N815
    limit: _Set = UNSET
    period: Literal["daily", "weekly", "monthly", "day", "week", "month"] | UnsetType = UNSET
    warningThreshold: WarnAt | UnsetType = UNSET  # noqa: N815
    resetInterval: Literal["daily", "weekly", "monthly"] | UnsetType = UNSET  # noqa: N815
    resetTime: Annotated[str, Meta(pattern=_CLOCK)] | UnsetType = UNSET  # noqa: N815


class _Whose(msgspec.Struct, frozen=True):
    id: str
    name: str
    tenant: str
    limits: tuple[Limit, ...]


class Budgets:
    """Implements `generated.api.budget.BudgetService`. ``now`` gives Unix seconds."""

    def __init__(
        self,
        keys: Keys,
        store: SqlKeys,
        good: GoodKeys,
        pepper: bytes,
        spending: SqlSpending,
        now: Callable[[], float],
    ) -> None:
        self._pages = KeyPages(store, good, pepper, "budgets")
        self._keys = keys
        self._store = store
        self._good = good
        self._spending = spending
        self._now = now

    async def list_budgets(
        self,
        caller: KeyRecord,
        api_key_id: str | None = None,
        key_id: str | None = None,
        company_id: str | None = None,
        limit: int = 1000,
        after: str | None = None,
    ) -> BudgetList:
        whose = caller.tenant_filter(company_id)
        wanted = api_key_id or key_id
        if wanted is None:
            return await self._listed(whose, limit, after)
        keys = [key for key in await self._called(wanted) if whose in {None, key.tenant}]
        if not keys:
            raise NotFound(f"there is no key {wanted[:100]!r}")
        shown = await self._shown(keys)
        return BudgetList(budgets=shown, total=len(shown))

    async def set_budget(self, caller: KeyRecord, data: BudgetFields) -> BudgetSet:
        fields = _read(data)
        if fields.apiKeyId is not UNSET and fields.keyId is not UNSET and fields.apiKeyId != fields.keyId:
            raise InvalidRequest("keyId: `apiKeyId` says another one", param="keyId")
        id_ = fields.apiKeyId if fields.apiKeyId is not UNSET else fields.keyId
        if id_ is UNSET:
            raise InvalidRequest("apiKeyId: say which key it is for", param="apiKeyId")
        amounts = _amounts(fields)
        _demand_resets(fields, amounts)

        def change(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
            for period, amount in amounts.items():
                limits = replaced(limits, "usd", period, amount)
            return tuple(_warning(limit, fields.warningThreshold) for limit in limits)

        key = await self._keys.change_limits(caller, id_, change)
        shown = await self._shown([_whose(key)])
        return BudgetSet(success=True, apiKeyId=id_, budget=shown[0])

    async def _listed(self, whose: str | None, limit: int, after: str | None) -> BudgetList:
        """Of configured keys, then of stored ones."""
        try:
            page = await self._pages.page(whose, limit, after)
        except StoreError as error:
            raise RouteUnavailable("the store of keys cannot be reached now", retry_after_s=1) from error
        keys = [_named(record) for _, record in page.configured] + list(map(_whose, page.stored))
        shown = await self._shown(keys)
        return BudgetList(budgets=shown, total=page.total, after=UNSET if page.after is None else page.after)

    async def _called(self, id_: str) -> list[_Whose]:
        """Those keys that have the id."""
        try:
            stored = await self._store.get(id_)
        except StoreError as error:
            raise RouteUnavailable("the store of keys cannot be reached now", retry_after_s=1) from error
        configured = [_named(each) for each in self._good.configured.hashes.values() if each.id == id_]
        return configured + ([] if stored is None else [_whose(stored)])

    async def _shown(self, keys: Sequence[_Whose]) -> list[KeyBudget]:
        now_ms = int(self._now() * 1000)
        starts: dict[Calendar, int] = {name: calendar_start_ms(name, now_ms) // 1000 for name, _ in _CALENDARS}
        earliest_s = min(starts.values())
        try:
            spent = await self._spending.days([f"key/{key.id}" for key in keys], earliest_s)
        except StoreError as error:
            raise RouteUnavailable("the ledger cannot be reached now", retry_after_s=1) from error
        return await one_by_one(lambda key: _budget(key, spent.get(f"key/{key.id}", ()), starts, now_ms), keys)


def _named(key: KeyRecord) -> _Whose:
    return _Whose(key.id, key.id, key.tenant, key.limits)


def _whose(key: StoredKey) -> _Whose:
    return _Whose(key.id, key.name, key.tenant, key.limits)


def _budget(key: _Whose, rows: Sequence[SpentRow], starts: dict[Calendar, int], now_ms: int) -> KeyBudget:
    budgets: dict[Calendar, Limit] = {
        limit.calendar: limit for limit in key.limits if limit.of == "usd" and limit.calendar is not None
    }
    limits: dict[Calendar, int] = {name: budget.amount for name, budget in budgets.items()}
    used: dict[Calendar, int] = {
        name: sum(row.nano_usd for row in rows if row.start_s >= start_s) for name, start_s in starts.items()
    }
    today = [row for row in rows if row.start_s >= starts["day"]]
    tightest = _tightest(limits, used)
    of = Limit(of="usd", amount=1, calendar="day") if tightest is None else budgets[tightest]
    warned = frozenset[Calendar](name for name, budget in budgets.items() if budget.warns(used[name]))
    return KeyBudget(
        apiKeyId=key.id,
        keyId=key.id,
        name=key.name,
        company_id=key.tenant,
        dailyLimitUsd=limits.get("day", 0) / _NANO,
        weeklyLimitUsd=limits.get("week", 0) / _NANO,
        monthlyLimitUsd=limits.get("month", 0) / _NANO,
        totalCostToday=used["day"] / _NANO,
        totalCostWeek=used["week"] / _NANO,
        totalCostMonth=used["month"] / _NANO,
        requestsToday=sum(row.requests for row in today),
        tokensToday=sum(row.tokens for row in today),
        nextResetAt=_time(of.over_ms(of.bucket(now_ms))),
        warningThreshold=of.warn_at,
        warnings=[word for name, word in _CALENDARS if name in warned],
        budgetCheck=_check(tightest, limits, used, warned),
    )


def _tightest(limits: dict[Calendar, int], used: dict[Calendar, int]) -> Calendar | None:
    """The budget of which the smallest part is left."""
    if not limits:
        return None
    return min(limits, key=lambda name: (limits[name] - used[name]) / limits[name])


def _check(
    tightest: Calendar | None, limits: dict[Calendar, int], used: dict[Calendar, int], warned: Collection[Calendar]
) -> BudgetCheck:
    if tightest is None:
        return BudgetCheck(allowed=True, period="none", limit=0.0, used=0.0, remaining=0.0, warningReached=False)
    left = max(0, limits[tightest] - used[tightest])
    return BudgetCheck(
        allowed=left > 0,
        period=dict(_CALENDARS)[tightest],
        limit=limits[tightest] / _NANO,
        used=used[tightest] / _NANO,
        remaining=left / _NANO,
        warningReached=tightest in warned,
    )


def _warning(limit: Limit, said: float | UnsetType) -> Limit:
    """``limit`` with what is said of warnings, if it is a budget."""
    if said is UNSET or limit.of != "usd" or limit.calendar is None:
        return limit
    return msgspec.structs.replace(limit, warn_at=said)


def _demand_resets(fields: _Fields, amounts: dict[Calendar, int | None]) -> None:
    """Each budget begins anew by itself, at midnight UTC. Raises Refused for what is wanted otherwise."""
    interval, at = fields.resetInterval, fields.resetTime
    if interval is not UNSET and amounts.get(PERIODS[interval]) is None:
        name = f"{interval}LimitUsd"
        message = f"`{interval}` is how often the budget of `{name}` begins anew, and none is given; every budget begins anew by itself"
        raise Refused((Fault("error", "budget-reset", message, "", "resetInterval", None),))
    if at is not UNSET and at != "00:00":
        message = "budgets begin anew at midnight UTC; write `00:00`, or leave it out"
        raise Refused((Fault("error", "budget-reset", message, "", "resetTime", None),))


def _amounts(fields: _Fields) -> dict[Calendar, int | None]:
    """What each budget that is named becomes, in nano-dollars; None: there is none any more."""
    named: list[tuple[Calendar, str, _Set]] = [
        ("day", "dailyLimitUsd", fields.dailyLimitUsd),
        ("week", "weeklyLimitUsd", fields.weeklyLimitUsd),
        ("month", "monthlyLimitUsd", fields.monthlyLimitUsd),
    ]
    if fields.limit is not UNSET:
        period = "monthly" if fields.period is UNSET else fields.period
        named.append((PERIODS[period], "limit", fields.limit))
    elif fields.period is not UNSET:
        raise InvalidRequest("limit: say how much, beside `period`", param="limit")
    found: dict[Calendar, int | None] = {}
    for calendar, at, amount in named:
        if amount is UNSET:
            continue
        if calendar in found:
            raise InvalidRequest(f"{at}: the budget of a {calendar} is said twice", param=at)
        found[calendar] = None if amount is None or amount in {0, "0"} else nano_usd(amount, at)
    if not found:
        raise InvalidRequest(
            "say `dailyLimitUsd`, `weeklyLimitUsd` or `monthlyLimitUsd`; or `limit` and `period`", param="limit"
        )
    return found


def _read(data: BudgetFields) -> _Fields:
    try:
        return msgspec.convert(data, _Fields)
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        named = path.strip("`.") or (told.rpartition("unknown field `")[2].strip("`") if "unknown" in told else "")
        raise InvalidRequest(str(error).replace(" - at `$.", " - at `"), param=named or None) from error


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
