"""How the server is: for load balancers, for people, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from generated.types.health import Health, HealthCheck, Liveness
from runtime.accounting.drain import Standing
from runtime.config.plan import Artefact
from runtime.errors import KeysUnavailable, LedgerUnavailable, RouteUnavailable, ShuttingDown
from runtime.resilience import Door
from runtime.routing import RouteTable
from runtime.services.scraping import Scraping
from runtime.services.store_watch import StoreWatch

__all__ = ["HealthReport"]

_LEDGER: Final[dict[Standing, str]] = {
    "ok": "what calls cost is written down",
    "behind": "what calls cost is written down here; the store does not take it in",
    "failing": "what calls cost cannot be written down; they are answered all the same",
    "refusing": "what calls cost cannot be written down; they are refused",
}


class HealthReport:
    """Implements `generated.api.health.HealthService`. ``clock`` is monotonic seconds, ``trouble`` why nothing is shared now.

    ``standing`` tells whether what calls cost is written down, ``store`` how the store is, ``behind`` why a change of the
    configuration is not in force here, ``unheard`` whether nobody knows yet which keys are good.
    """

    def __init__(
        self,
        artefact: Artefact,
        version: str,
        routes: RouteTable,
        scraping: Scraping,
        door: Door,
        clock: Callable[[], float],
        trouble: Callable[[], str | None] = lambda: None,
        started_s: float | None = None,
        standing: Callable[[], Standing] = lambda: "ok",
        store: StoreWatch | None = None,
        behind: Callable[[], str | None] = lambda: None,
        unheard: Callable[[], bool] = lambda: False,
    ) -> None:
        self._artefact = artefact
        self._version = version
        self._routes = routes
        self._scraping = scraping
        self._door = door
        self._clock = clock
        self._trouble = trouble
        self._started_s = clock() if started_s is None else started_s
        self._standing = standing
        self._store = store
        self._behind = behind
        self._unheard = unheard

    async def get_health(self) -> Health:
        return await self._report()

    async def get_liveness(self) -> Liveness:
        return Liveness()

    async def get_readiness(self) -> Health:
        if self._door.closed:
            raise ShuttingDown("the gateway is shutting down", retry_after_s=1)
        if self._standing() == "refusing":
            raise LedgerUnavailable(_LEDGER["refusing"], retry_after_s=1)
        if self._unheard():
            raise KeysUnavailable("it is not known yet which keys are good: the store was not heard", retry_after_s=1)
        if self._store is not None and (await self._store.state()).too_old:
            raise RouteUnavailable((await self._store.state()).detail, retry_after_s=1)
        return await self._report()

    async def get_metrics(self) -> str:
        return await self._scraping.text()

    async def _report(self) -> Health:
        models = sum(1 for _ in self._routes.listed())
        check = HealthCheck(name="models", ok=models > 0, detail=f"{models} public names can be called")
        trouble = self._trouble()
        detail = "workers can share what they know" if trouble is None else "each worker knows what it finds out itself"
        shared = HealthCheck(name="shared", ok=trouble is None, detail=detail)
        standing = self._standing()
        ledger = HealthCheck(name="ledger", ok=standing == "ok", detail=_LEDGER[standing])
        behind = self._behind()
        configuration = HealthCheck(
            name="configuration", ok=behind is None, detail=behind or "what was changed is in force"
        )
        checks = [check, shared, ledger, configuration]
        if self._store is not None:
            state = await self._store.state()
            checks.append(HealthCheck(name="store", ok=state.ok, detail=state.detail))
        sound = all(each.ok for each in checks)
        return Health(
            status="stopping" if self._door.closed else "ok" if sound else "degraded",
            version=self._version,
            build=self._artefact.build,
            uptime_s=int(self._clock() - self._started_s),
            checks=checks,
        )
