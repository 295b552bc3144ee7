"""What the gateway runs on, how all its parts are, and the orders to restart and to stop; over all workers."""

from __future__ import annotations

import asyncio
import platform
import shutil
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET

from generated.types.health import Health
from generated.types.resilience import Circuit, Resilience, ResilienceReset
from generated.types.system import (
    BackupInfo,
    BreakerCounts,
    BreakerState,
    Cryptography,
    DiskInfo,
    MemoryUsage,
    MonitoringHealth,
    Ordered,
    ProviderSummary,
    SessionCounts,
    StoreInfo,
    SystemInfo,
    WorkerInfo,
)
from runtime.config.effective import Effective
from runtime.errors import RouteUnavailable
from runtime.services.audit import Audit
from runtime.services.backup_files import BackupFiles
from runtime.services.store_watch import StoreWatch
from runtime.sessions import Sessions
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.migrate import SCHEMA
from runtime.stores.people import SqlPeople
from runtime.web.key import KeyRecord

__all__ = ["SYSTEM", "Neighbours", "System", "Worker", "memory_bytes"]

SYSTEM: Final = "system"
"""The question what a worker is and takes."""

ANSWERED_S: Final = 0.25
"""How long an order waits for its answer to be on its way."""

SEALED_BY: Final = "aes-256-gcm"


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers to SYSTEM."""

    worker: str
    pid: int
    build: str
    uptime_s: int
    memory_bytes: int
    calls: int


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """What of other services is asked. ``order`` sends a signal to the process that keeps the workers, if there is one."""

    resilience: Callable[[], Awaitable[Resilience]]
    reset: Callable[[], Awaitable[ResilienceReset]]
    health: Callable[[], Awaitable[Health]]
    order: Callable[[signal.Signals], None] | None


class System:
    """Implements `generated.api.system.SystemService`. ``now`` gives Unix seconds, ``uptime_s`` how long we serve."""

    def __init__(
        self,
        found: Effective,
        version: str,
        data_dir: Path,
        files: BackupFiles,
        database: Database,
        store: StoreWatch,
        people: SqlPeople,
        sessions: Sessions,
        colleagues: Colleagues,
        neighbours: Neighbours,
        audit: Audit,
        now: Callable[[], float],
        uptime_s: Callable[[], float],
        *,
        login_required: bool,
    ) -> None:
        self._found = found
        self._version = version
        self._data_dir = data_dir
        self._files = files
        self._database = database
        self._store = store
        self._people = people
        self._sessions = sessions
        self._colleagues = colleagues
        self._neighbours = neighbours
        self._audit = audit
        self._now = now
        self._uptime_s = uptime_s
        self._login_required = login_required

    async def get_system_info(self, caller: KeyRecord) -> SystemInfo:
        caller.require_manages()
        workers, expected, heard = await self._workers()
        backups = await asyncio.to_thread(self._files.listed)
        disk = await asyncio.to_thread(shutil.disk_usage, self._data_dir)
        return SystemInfo(
            version=self._version,
            build=self._found.artefact.build,
            schema=SCHEMA,
            python=f"{platform.python_implementation()} {platform.python_version()}",
            platform=f"{platform.system()} {platform.release()} {platform.machine()}",
            startedAt=_time(self._now() - self._uptime_s()),
            uptime_s=int(self._uptime_s()),
            management=self._found.artefact.plan.server.management,
            store=await self._store_info(),
            disk=DiskInfo(free_bytes=disk.free, total_bytes=disk.total),
            backups=BackupInfo(count=len(backups), lastAt=_time(backups[0].made_s) if backups else UNSET),
            loginRequired=self._login_required,
            workers=[WorkerInfo(**msgspec.structs.asdict(each)) for each in workers],
            expected=expected,
            heard=heard,
        )

    async def restart(self, caller: KeyRecord) -> Ordered:
        message = "one worker after the other is replaced; running calls end first"
        return await self._ordered(caller, "system.restarted", signal.SIGHUP, message)

    async def shutdown(self, caller: KeyRecord) -> Ordered:
        message = "new calls are refused, running ones end, then the process does"
        return await self._ordered(caller, "system.stopped", signal.SIGTERM, message)

    async def get_monitoring_health(self) -> MonitoringHealth:
        workers, expected, heard = await self._workers()
        resilience, health = await self._neighbours.resilience(), await self._neighbours.health()
        circuits = resilience.circuits
        return MonitoringHealth(
            status="healthy" if health.status == "ok" else "degraded",
            timestamp=_time(self._now()),
            version=self._version,
            build=self._found.artefact.build,
            uptime=int(self._uptime_s()),
            memoryUsage=MemoryUsage(rss=sum(each.memory_bytes for each in workers)),
            activeConnections=sum(each.calls for each in workers),
            circuitBreakers=_counts(circuits),
            providerBreakers=[self._breaker(circuit) for circuit in circuits],
            providerSummary=self._providers(circuits),
            lockouts=resilience.resting,
            sessions=SessionCounts(activeCount=await self._session_count()),
            cryptography=Cryptography(status="ok", provider=SEALED_BY),
            checks=health.checks,
            setupComplete=await self._set_up(),
            workers=expected,
            heard=heard,
        )

    async def reset_monitoring_health(self, caller: KeyRecord) -> ResilienceReset:
        caller.require_manages()
        return await self._neighbours.reset()

    # -- inside

    async def _ordered(self, caller: KeyRecord, action: str, order: signal.Signals, message: str) -> Ordered:
        caller.require_manages()
        send = self._neighbours.order
        if send is None:
            raise RouteUnavailable("no process of ours keeps the workers here; restart what does")
        try:
            await self._audit.write(action, actor=caller, resource_type="system")
        except StoreError as error:
            raise RouteUnavailable("the order cannot be written to the audit log now", retry_after_s=1) from error
        asyncio.get_running_loop().call_later(ANSWERED_S, send, order)
        return Ordered(ordered=True, message=message)

    async def _workers(self) -> tuple[list[Worker], int, int]:
        answers = await self._colleagues.ask(SYSTEM, b"")
        found = [msgspec.msgpack.decode(answer, type=Worker) for answer in answers.answers]
        return sorted(found, key=lambda each: each.pid), answers.workers, answers.heard

    async def _store_info(self) -> StoreInfo:
        state, file = await self._store.state(), self._database.file
        kind = "sqlite" if self._database.sqlite else "postgresql"
        size = UNSET if file is None else await asyncio.to_thread(_size, file)
        return StoreInfo(kind=kind, ok=state.ok, schema=state.schema or UNSET, size_bytes=size)

    def _breaker(self, circuit: Circuit) -> BreakerState:
        due_s = circuit.until - self._now() if isinstance(circuit.until, float) else 0.0
        return BreakerState(
            provider=circuit.model.partition("/")[0],
            model=circuit.model,
            state=circuit.state,
            failureCount=circuit.failures,
            retryAfterMs=max(0, round(due_s * 1000)),
        )

    def _providers(self, circuits: list[Circuit]) -> ProviderSummary:
        plan = self._found.artefact.plan
        lit = {plan.connections[id_].provider for id_ in self._found.secrets.connections if id_ in plan.connections}
        return ProviderSummary(
            catalogCount=len(self._found.base.catalog.ids),
            configuredCount=len(plan.providers),
            activeCount=len(lit),
            monitoredCount=len({circuit.model.partition("/")[0] for circuit in circuits}),
        )

    async def _session_count(self) -> int:
        try:
            return len(await self._sessions.entries())
        except SharedError:
            return 0

    async def _set_up(self) -> bool:
        try:
            return await self._people.any()
        except StoreError:
            return False


def memory_bytes() -> int:
    """How much memory this process takes, where the system tells."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0


def _counts(circuits: list[Circuit]) -> BreakerCounts:
    states = [circuit.state for circuit in circuits]
    return BreakerCounts(
        open=states.count("open"),
        halfOpen=states.count("half_open"),
        closed=states.count("closed"),
        total=len(states),
    )


def _size(file: Path) -> int:
    found = (file, Path(f"{file}-wal"))
    return sum(path.stat().st_size for path in found if path.exists())


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
