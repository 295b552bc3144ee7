"""Whose key it is, and what its holder used elsewhere: seconds of a meter, taken into the ledger like a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from generated.types.identity import Me, UsageEvent, UsageTaken
from runtime.accounting.price import price
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.config.plan import Plan
from runtime.errors import InvalidRequest
from runtime.limits.admission import Admission
from runtime.source import closest
from runtime.telemetry import AttemptRecord, Recorder
from runtime.web.key import KeyRecord

__all__ = ["Identity"]

PROVIDER: Final = "meter"
_MS: Final = 1000
_NANO: Final = 10**9
_CREDITS: Final = 1000
_MOST_DOLLARS: Final = 1_000_000
"""Of one report: what costs more is no use of anything, and would leave no room in a day's sum."""


class Identity:
    """Implements `generated.api.identity.IdentityService` for one plan. ``clock`` is that of records, ``new_id`` makes ids."""

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        admission: Admission,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._admission = admission
        self._clock = clock
        self._new_id = new_id

    async def get_me(self, caller: KeyRecord) -> Me:
        tenant = self._plan.tenants.get(caller.tenant)
        name = tenant.name if tenant is not None else caller.tenant
        return Me(company_id=caller.tenant, company_name=name, key_id=caller.id, scopes=sorted(caller.scopes))

    async def report_usage(self, caller: KeyRecord, data: UsageEvent) -> UsageTaken:
        meter = self._plan.meters.get(data.source)
        if meter is None:
            near = closest(data.source, self._plan.meters)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(self._plan.meters))}"
            raise InvalidRequest(f"source: no meter {data.source[:100]!r}; {hint}", param="source")
        milliseconds = round(data.duration_s * _MS)
        prices = Prices(input=0, output=0, request=meter, source=PROVIDER, date="1970-01-01")
        if price(Usage(), prices, requests=milliseconds).nano_usd > _MOST_DOLLARS * _NANO:
            raise InvalidRequest(
                f"duration_s: so many seconds of {data.source!r} cost more than ${_MOST_DOLLARS:,}, the most that one report may",
                param="duration_s",
            )
        record = self._recorder.begin(self._new_id(), "usage", "")
        record.key, record.tenant, record.model, record.status = caller.id, caller.tenant, data.source, 200
        now_s = self._clock()
        used = f"{PROVIDER}/{data.source}"
        attempt = AttemptRecord(
            target=used,
            label=used,
            provider=PROVIDER,
            connection=PROVIDER,
            started_s=now_s,
            ended_s=now_s,
            outcome="ok",
            status=200,
            usage=Usage(),
            prices=prices,
            requests=milliseconds,
        )
        record.provider, record.served, record.admitted = PROVIDER, used, 0
        record.attempts = [attempt]
        try:
            self._recorder.asking(record, attempt, 0)
            self._admission.charge(record, caller)
        finally:
            self._recorder.end(record)
        return UsageTaken(
            id=record.settlement,
            source=data.source,
            duration_s=milliseconds / _MS,
            cost_usd=record.cost_nano_usd / _NANO,
            credits=record.cost_nano_usd * _CREDITS / _NANO,
            company_id=caller.tenant,
        )
