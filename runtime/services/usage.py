"""What was used, over HTTP: totals and requests of the ledger. A tenant's keys see their own tenant's only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from msgspec import UNSET

from generated.types.resilience import UsageLimit
from generated.types.usage import (
    CallLog,
    CallLogs,
    ConnectionUsage,
    UsageAnalytics,
    UsageDay,
    UsageHistory,
    UsageLines,
    UsageOf,
    UsageSums,
)
from runtime.config.plan import Plan
from runtime.errors import InvalidRequest, NotFound, RouteUnavailable
from runtime.management.connection import plan_id
from runtime.management.usage import day_text, read_range, shown_line, shown_request, shown_sums, summed
from runtime.resilience import Health
from runtime.stores.base import StoreError
from runtime.stores.history import Dimension, History, Total, Wanted
from runtime.web.key import KeyRecord
from runtime.web.place import Places

__all__ = ["Usages", "readable"]


class Usages:
    """Implements `generated.api.usage.UsageService`. ``now`` gives Unix seconds, ``pepper`` seals where pages begin."""

    def __init__(self, plan: Plan, history: History, health: Health, now: Callable[[], float], pepper: bytes) -> None:
        self._plan = plan
        self._history = history
        self._health = health
        self._now = now
        self._places = Places(pepper, "call-logs")

    # -- totals

    async def get_usage_history(
        self,
        caller: KeyRecord,
        company_id: str | None = None,
        range: str = "30d",  # noqa: A002 — as it stands in the query
        api_key_id: str | None = None,
    ) -> UsageHistory:
        tenant, since = caller.tenant_filter(company_id), read_range(range, self._now())
        async with readable():
            found = [
                await self._by(tenant, since, api_key_id, each) for each in ("provider", "model", "connection", "key")
            ]
        sums = summed(found[0])
        by_provider, by_model, by_account, by_key = (_named(each) for each in found)
        return UsageHistory(
            totalRequests=sums.requests,
            totalPromptTokens=sums.promptTokens,
            totalCompletionTokens=sums.completionTokens,
            totalCost=sums.cost,
            byProvider=by_provider,
            byModel=by_model,
            byAccount=by_account,
            byApiKey=by_key,
            range=range,
        )

    async def get_usage_analytics(
        self,
        caller: KeyRecord,
        company_id: str | None = None,
        range: str = "30d",  # noqa: A002
        api_key_id: str | None = None,
    ) -> UsageAnalytics:
        tenant, since = caller.tenant_filter(company_id), read_range(range, self._now())
        async with readable():
            days = await self._by(tenant, since, api_key_id, "day")
            found = [
                await self._by(tenant, since, api_key_id, each) for each in ("model", "provider", "connection", "key")
            ]
        by_model, by_provider, by_account, by_key = (_ranked(each) for each in found)
        trend = sorted((int(each.by[0]), shown_sums(each)) for each in days)
        return UsageAnalytics(
            summary=summed(days),
            dailyTrend=[UsageDay(date=day_text(day), usage=sums) for day, sums in trend],
            byModel=by_model,
            byProvider=by_provider,
            byAccount=by_account,
            byApiKey=by_key,
            range=range,
        )

    async def get_connection_usage(
        self,
        caller: KeyRecord,
        connection_id: str,
        company_id: str | None = None,
        range: str = "30d",  # noqa: A002
        api_key_id: str | None = None,
    ) -> ConnectionUsage:
        caller.require_operator()
        tenant, since = caller.tenant_filter(company_id), read_range(range, self._now())
        id_ = plan_id(connection_id)
        known = self._plan.connections.get(id_)
        async with readable():
            models = await self._history.totals(tenant, by=("model",), since_day=since, key=api_key_id, connection=id_)
        if known is None and not models:
            raise NotFound(f"there is no connection {connection_id[:100]!r}, and none of that name was used")
        limits = known.limits if known is not None else ()
        lanes = [lane for lane in self._health.snapshot().lanes if lane.connection == id_]
        rooms = [self._health.headroom(lane.model, id_) for lane in lanes]
        return ConnectionUsage(
            connectionId=id_,
            provider=id_.partition("/")[0],
            usage=summed(models),
            byModel=_ranked(models),
            limits=[
                UsageLimit(requests=each.requests or UNSET, tokens=each.tokens or UNSET, per_s=each.per_ms / 1000)
                for each in limits
            ],
            headroom=min(rooms) if rooms else UNSET,
            range=range,
        )

    # -- requests

    async def list_call_logs(
        self,
        caller: KeyRecord,
        company_id: str | None = None,
        limit: int = 200,
        before: str | None = None,
        status: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        account: str | None = None,
        api_key: str | None = None,
        combo: str | None = None,
        api_key_id: str | None = None,
    ) -> CallLogs:
        outcome, code = _status(status)
        if None not in {api_key, api_key_id} and api_key != api_key_id:
            raise InvalidRequest("apiKey: `apiKeyId` says another one", param="apiKey")
        wanted = Wanted(
            tenant=caller.tenant_filter(company_id),
            key=api_key or api_key_id,
            model=model,
            combo=combo,
            provider=provider,
            connection=None if account is None else plan_id(account),
            outcome=outcome,
            status=code,
        )
        number = None if before is None else int.from_bytes(self._places.read(before, "before"), "big")
        async with readable():
            page = await self._history.requests(wanted, limit=limit, before=number)
        logs = [shown_request(each.settlement) for each in page.requests]
        following = UNSET if page.before is None else self._places.told(page.before.to_bytes(8, "big"))
        return CallLogs(logs=logs, before=following)

    async def get_call_log(self, caller: KeyRecord, request_id: str) -> CallLog:
        async with readable():
            found = await self._history.request(caller.tenant_filter(), request_id)
        if found is None:
            raise NotFound(f"there is no request {request_id[:100]!r}")
        return shown_request(found.settlement)

    async def list_usage_logs(
        self, caller: KeyRecord, company_id: str | None = None, limit: int = 200, api_key_id: str | None = None
    ) -> UsageLines:
        wanted = Wanted(tenant=caller.tenant_filter(company_id), key=api_key_id)
        async with readable():
            page = await self._history.requests(wanted, limit=limit)
        return UsageLines(logs=[shown_line(each.settlement) for each in page.requests])

    async def list_request_logs(
        self, caller: KeyRecord, company_id: str | None = None, limit: int = 200, api_key_id: str | None = None
    ) -> UsageLines:
        return await self.list_usage_logs(caller, company_id, limit, api_key_id)

    async def _by(self, tenant: str | None, since: int, key: str | None, *by: Dimension) -> Sequence[Total]:
        return await self._history.totals(tenant, by=by, since_day=since, key=key)


def _named(totals: Sequence[Total]) -> dict[str, UsageSums]:
    return {each.by[0]: shown_sums(each) for each in totals if each.by[0]}


def _ranked(totals: Sequence[Total]) -> list[UsageOf]:
    return [UsageOf(name=each.by[0], usage=shown_sums(each)) for each in totals if each.by[0]]


def _status(status: str | None) -> tuple[str | None, int | None]:
    """`ok`, `error` or an HTTP status, as the outcome or the status that is looked for."""
    if status is None or status in {"ok", "error", "client_closed", "cancelled"}:
        return status, None
    if status.isdecimal() and len(status) == 3:
        return None, int(status)
    raise InvalidRequest("status: write `ok`, `error` or an HTTP status such as 429", param="status")


@asynccontextmanager
async def readable() -> AsyncGenerator[None, None]:
    """Where the ledger is asked. Raises RouteUnavailable."""
    try:
        yield
    except StoreError as error:
        raise RouteUnavailable("the ledger cannot be read now", retry_after_s=1) from error
