"""What goes on: sessions, and how fast providers answer; in all workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from generated.types.monitoring import (
    FirstToken,
    Quantiles,
    SessionBinding,
    SessionEntry,
    SessionList,
    TelemetrySummary,
)
from runtime.errors import RouteUnavailable
from runtime.sessions import Session, Sessions
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.telemetry import Latencies
from runtime.telemetry.latencies import Measured, Measures, merge_measures
from runtime.telemetry.sketch import RELATIVE_ERROR, Sketch
from runtime.web.key import ADMIN, KeyRecord

__all__ = ["LATENCIES", "Monitoring", "told_latencies"]

LATENCIES: Final = "latencies"
MAX_SHOWN: Final = 1000
SHARES: Final = (0.5, 0.95, 0.99)


def told_latencies(latencies: Latencies) -> Callable[[bytes], bytes]:
    """What a worker answers to LATENCIES."""
    return lambda question: msgspec.msgpack.encode(
        latencies.within(msgspec.msgpack.decode(question, type=float))
    )  # fmt: skip


class Monitoring:
    """Implements `generated.api.monitoring.MonitoringService`.

    ``ids_of`` gives the ids of a tenant's keys, ``now`` Unix seconds.
    """

    def __init__(
        self,
        sessions: Sessions,
        colleagues: Colleagues,
        ids_of: Callable[[str], Iterable[str]],
        now: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._ids_of = ids_of
        self._colleagues = colleagues
        self._now = now

    async def list_sessions(self, caller: KeyRecord) -> SessionList:
        try:
            found = await self._seen(caller)
        except SharedError as error:
            raise RouteUnavailable("the sessions cannot be read now", retry_after_s=1) from error
        now_s = self._now()
        entries = [
            SessionEntry(
                session_id=each.id,
                key=each.key,
                created_at=round(each.created_s, 3),
                last_active=round(each.last_s, 3),
                age_ms=max(0, round((now_s - each.created_s) * 1000)),
                request_count=each.requests,
                connections=_bindings(each.connections),
                targets=_bindings(each.targets),
            )
            for each in found
        ]
        return SessionList(count=len(entries), sessions=entries, by_api_key=dict(Counter(each.key for each in found)))

    async def _seen(self, caller: KeyRecord) -> list[Session]:
        """The sessions that it may see. Raises SharedError."""
        if caller.manages:
            return await self._sessions.entries(limit=MAX_SHOWN)
        found: list[Session] = []
        for id_ in self._ids_of(caller.tenant) if caller.allows(ADMIN) else (caller.id,):
            if (left := MAX_SHOWN - len(found)) > 0:
                found += await self._sessions.entries(id_, left)
        return found

    async def get_telemetry_summary(self, window_ms: int = 300_000) -> TelemetrySummary:
        answers = await self._colleagues.ask(LATENCIES, msgspec.msgpack.encode(window_ms / 1000))
        measures = [each for raw in answers.answers for each in msgspec.msgpack.decode(raw, type=list[Measures])]
        models = merge_measures(measures)
        providers: dict[str, Measured] = {}
        for label, measured in models.items():
            providers.setdefault(label.partition("/")[0], Measured()).merge(measured)
        return TelemetrySummary(
            providers={name: _quantiles(providers[name]) for name in sorted(providers)},
            models={name: _quantiles(models[name]) for name in sorted(models)},
            window_ms=window_ms,
            relative_error=RELATIVE_ERROR,
            workers=answers.workers,
            heard=answers.heard,
        )


def _bindings(bound: Mapping[str, str]) -> list[SessionBinding]:
    return [SessionBinding(of=of, to=to) for of, to in bound.items()]


def _quantiles(measured: Measured) -> Quantiles:
    p50, p95, p99 = _rounded(measured.total_ms)
    first = measured.first_ms
    told = Quantiles(p50=p50, p95=p95, p99=p99, count=measured.total_ms.count, errors=measured.errors)
    if first.count:
        p50, p95, p99 = _rounded(first)
        told.first_token = FirstToken(p50=p50, p95=p95, p99=p99, count=first.count)
    return told


def _rounded(sketch: Sketch) -> list[float]:
    return [round(value, 3) for value in sketch.quantiles(SHARES)]
