"""The operations by which people run the gateway itself, of one plan: logging in, backups, orders, the audit log."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import msgspec

from generated.api import backups, compliance, ip_filter, login, system
from runtime.config.build import COMPILER
from runtime.config.checks.server import is_loopback
from runtime.config.effective import Effective
from runtime.lasting import Lasting
from runtime.services.backup_files import BACKUPS, BackupFiles, stamp_of
from runtime.services.backups import Backups
from runtime.services.bundle import Bundle
from runtime.services.compliance import Compliance
from runtime.services.entrance import Entrance
from runtime.services.health import HealthReport
from runtime.services.ip_filtering import IpFiltering
from runtime.services.logging_in import LoggingIn
from runtime.services.overrides import Change, Overrides
from runtime.services.resilience import ResilienceControl
from runtime.services.system import Neighbours, System, Worker, memory_bytes
from runtime.shared.colleagues import Told
from runtime.stores.attempts import SqlAttempts
from runtime.surface import Served, served
from runtime.web.address import Network, network
from runtime.web.key import KeyRecord

__all__ = ["entrance_of", "operated", "told_system", "trusted_proxies"]


def operated(
    parts: Lasting,
    found: Effective,
    overrides: Overrides,
    entrance: Entrance,
    control: ResilienceControl,
    report: HealthReport,
) -> list[Served]:
    """The services and what they implement. ``control`` and ``report`` are those of the plan's own operations."""
    return [
        served(login.build_routes, _logging_in(parts, found, overrides, entrance)),
        served(compliance.build_routes, Compliance(parts.audit.store, entrance, parts.ready.pepper)),
        served(backups.build_routes, _backups(parts, found, overrides, entrance)),
        served(ip_filter.build_routes, IpFiltering(overrides, parts.askings.now, time.time)),
        served(system.build_routes, _system(parts, found, control, report)),
    ]


def told_system(parts: Lasting, found: Effective) -> Told:
    """What a worker answers to SYSTEM."""

    def answer(_: bytes) -> bytes:
        worker = Worker(
            worker=parts.worker,
            pid=os.getpid(),
            build=found.artefact.build,
            uptime_s=int(time.monotonic() - parts.started_s),
            memory_bytes=memory_bytes(),
            calls=parts.door.calls,
        )
        return msgspec.msgpack.encode(worker)

    return answer


def entrance_of(parts: Lasting, found: Effective) -> Entrance:
    """Who may manage."""
    return Entrance(
        parts.access,
        parts.people,
        parts.ready.pepper,
        time.time,
        parts.askings,
        trusted_proxies(found),
        required=_login_required(parts, found),
    )


def trusted_proxies(found: Effective) -> tuple[Network, ...]:
    """The proxies in front that are believed."""
    return tuple(network(written) for written in found.artefact.plan.server.trusted_proxies)


def _login_required(parts: Lasting, found: Effective) -> bool:
    """Whether managing needs a key or a login; where other machines reach us, always."""
    return found.artefact.plan.login.required or not is_loopback(parts.ready.host)


def _logging_in(parts: Lasting, found: Effective, overrides: Overrides, entrance: Entrance) -> LoggingIn:
    settings = msgspec.structs.replace(found.artefact.plan.login, required=_login_required(parts, found))
    attempts = SqlAttempts(parts.database, settings.attempts, settings.attempts_within_ms / 1000)

    async def require(required: bool, caller: KeyRecord) -> None:
        change = Change(section="login", name="required", document=required)
        await overrides.change([change], caller, action="login.required")

    return LoggingIn(
        settings,
        entrance,
        parts.people,
        attempts,
        parts.passwords,
        parts.audit,
        parts.ready.pepper,
        time.time,
        os.urandom,
        require,
        fixed=found.artefact.plan.server.management == "read_only",
    )


def _system(parts: Lasting, found: Effective, control: ResilienceControl, report: HealthReport) -> System:
    return System(
        found,
        COMPILER,
        parts.ready.data_dir,
        _files(parts),
        parts.database,
        parts.store_watch,
        parts.people,
        parts.sessions,
        parts.colleagues,
        Neighbours(
            resilience=control.get_resilience,
            reset=control.reset_resilience,
            health=report.get_health,
            order=_orders(parts.ready.supervisor),
        ),
        parts.audit,
        time.time,
        lambda: time.monotonic() - parts.started_s,
        login_required=_login_required(parts, found),
    )


def _orders(supervisor: int | None) -> Callable[[signal.Signals], None] | None:
    """Sends a signal to the process that keeps the workers, as long as that is our parent."""
    if supervisor is None:
        return None

    def order(which: signal.Signals) -> None:
        if os.getppid() == supervisor:
            os.kill(supervisor, which)

    return order


def _files(parts: Lasting) -> BackupFiles:
    return BackupFiles(parts.ready.data_dir / BACKUPS, time.time, os.urandom)


def _backups(parts: Lasting, found: Effective, overrides: Overrides, entrance: Entrance) -> Backups:
    def bundle() -> Bundle:
        facts = {"version": COMPILER, "build": found.artefact.build}
        return Bundle(files={source.path: source.data for source in found.base.sources}, facts=facts)

    return Backups(
        found.artefact.plan.backups,
        _files(parts),
        parts.database,
        overrides,
        parts.colleagues,
        entrance,
        parts.audit,
        stamp_of(parts.ready.pepper),
        bundle,
        time.time,
        fixed=found.artefact.plan.server.management == "read_only",
    )
