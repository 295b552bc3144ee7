"""What a worker has for as long as it lives, whatever plan it serves: databases, providers' lines, health, counters, people.

Built once, before the first plan's parts (`runtime.planned`), which are built upon it; a new plan adjusts it (`adopt`) and
replaces nothing of it. Reads neither environment nor files: what it needs from there comes in `Ready`.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import msgspec
from sqlalchemy.engine import URL
from typing_extensions import override

from generated.config import ConnectionLimit
from runtime.accounting.drain import Drain
from runtime.accounting.journal import JOURNAL, Journal
from runtime.accounting.ledger import Ledger
from runtime.accounting.refused import SetAside
from runtime.config.build import COMPILER
from runtime.config.effective import Base, Effective
from runtime.config.plan import Plan
from runtime.config.secrets import Secrets
from runtime.estimate import Estimator
from runtime.limits.choose import open_counters
from runtime.limits.clock import SteadyClock
from runtime.limits.reserves import Reserves
from runtime.limits.whole import WholeLedger
from runtime.protocols import CODECS, DIALECTS, EMBEDDERS, client_codec, codec, embedder
from runtime.protocols.base import ClientCodec, Codec
from runtime.protocols.embedding import Embedder
from runtime.replay.parts import Clocks, Memory
from runtime.resilience import Door, Health
from runtime.resilience.sharing import Sharing
from runtime.routing import Attempts, Pace
from runtime.services.access import Access
from runtime.services.audit import Audit
from runtime.services.keyring import GoodKeys
from runtime.services.passwords import Passwords
from runtime.services.runs import Runs
from runtime.services.store_watch import StoreWatch, store_news
from runtime.sessions import Sessions
from runtime.shared.choose import open_state, place_of
from runtime.shared.colleagues import Colleagues, Told
from runtime.shared.watched import WatchedState
from runtime.stores.audit import SqlAudit
from runtime.stores.base import StoreGoneError
from runtime.stores.database import Database
from runtime.stores.heard import KNOWN_KEYS, HeardKeys
from runtime.stores.keys import SqlKeys
from runtime.stores.ledger import SqlLedger
from runtime.stores.overrides import SqlOverrides
from runtime.stores.people import SqlPeople
from runtime.stores.responses import SqlResponses
from runtime.stores.spending import SqlSpending, post_spend
from runtime.stores.vault import Vault
from runtime.telemetry import Decisions, Latencies, Metrics
from runtime.telemetry.lines import TOGETHER_S, Lines
from runtime.telemetry.log import Log, logger
from runtime.upstream import UpstreamTable
from runtime.upstream.choose import learn_scheme
from runtime.web.asking import Askings
from runtime.web.key import KeyEntry, KeyRecord, KeyRing

__all__ = ["Lasting", "Ready", "adopt", "key_ring", "lasting", "new_id"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a start found and checked. ``dev_key``: where the plan has no keys; ``began_s``: time of day of the start.

    ``effective`` is what is in force at the start, at the ``revision`` of the overrides; ``base`` is what it was made of.
    ``resealed`` stored secrets were encrypted anew, with another key than before.
    ``unix_offset_s`` is what the clock that nobody sets lacked of Unix seconds then.
    ``workers`` is how many serve, ``supervisor`` the process that keeps the workers, where one of ours does; ``start`` is what
    they and nobody else know this start by. ``opened`` is the file to which a worker that takes another's place says that it can.
    """

    effective: Effective
    revision: int = 0
    base: Base
    vault: Vault
    host: str
    port: int
    workers: int = 1
    data_dir: Path
    database: URL
    pepper: bytes
    dev_key: str | None
    resealed: int = 0
    began_s: float = float("inf")
    unix_offset_s: float | None = None
    supervisor: int | None = None
    start: str = ""
    opened: int | None = None

    @property
    def plan(self) -> Plan:
        return self.effective.artefact.plan

    @property
    def secrets(self) -> Secrets:
        return self.effective.secrets

    @override
    def __repr__(self) -> str:
        return f"Ready(build={self.effective.artefact.build!r}, host={self.host!r}, port={self.port!r})"


class Lasting(msgspec.Struct, kw_only=True):
    """The parts. ``log`` and ``serving`` change with the plan; ``told`` holds what is done with news of colleagues."""

    ready: Ready
    lines: Lines
    log: Log
    serving: Effective
    started_s: float
    worker: str
    metrics: Metrics
    decisions: Decisions
    latencies: Latencies
    door: Door
    askings: Askings
    database: Database
    shared: WatchedState
    sharing: Sharing
    colleagues: Colleagues
    told: dict[str, Told]
    upstream: UpstreamTable
    codecs: Mapping[str, Codec]
    clients: Mapping[str, ClientCodec]
    embedders: Mapping[str, Embedder]
    estimator: Estimator
    sessions: Sessions
    attempts: Attempts
    memory: Memory
    keys: SqlKeys
    access: Access
    good_keys: GoodKeys
    store_watch: StoreWatch
    people: SqlPeople
    passwords: Passwords
    audit: Audit
    overrides: SqlOverrides
    responses: SqlResponses | None
    runs: Runs | None
    ledger: Ledger
    drain: Drain
    spending: SqlSpending
    clock: SteadyClock
    reserves: Reserves
    on_fault: Callable[[Exception, str], None]

    @property
    def plan(self) -> Plan:
        return self.serving.artefact.plan

    def log_of(self, found: Effective) -> Log:
        """The log of calls that the plan of ``found`` answers."""
        return self.log if found is self.serving else _log(found, self.lines)

    @property
    def alone(self) -> bool:
        """Whether this worker shares what it knows with nobody."""
        return place_of(self.ready.plan.shared, self.ready.workers) == "memory"


def new_id() -> str:
    return os.urandom(16).hex()


def lasting(ready: Ready) -> Lasting:
    """Everything that outlives a plan, for the plan that is in force at the start."""
    plan = ready.plan
    lines = Lines(sys.stderr, TOGETHER_S)
    log = _log(ready.effective, lines)
    metrics = Metrics(ready.effective.artefact.build, COMPILER)
    metrics.serving(ready.effective.artefact.build, len(ready.effective.overrides))
    lines.lost = metrics.log_lines_lost
    lines.tell = lambda count: made.log.error("log_lines_lost", lines=count)
    worker = os.urandom(6).hex()
    door = Door()
    database = Database(ready.database, store_news(lambda: made.log))
    shared = _shared(ready, metrics, log)
    codecs = {name: codec(name) for name in CODECS}
    clients: dict[str, ClientCodec] = {**codecs, **{name: client_codec(name) for name in DIALECTS}}
    upstream = UpstreamTable({}, learn_scheme)
    _learn_schemes(upstream, ready.effective)
    attempts = _attempts(plan)

    def on_fault(error: Exception, request_id: str) -> None:
        if not isinstance(error, StoreGoneError):  # the store says that once
            made.log.error("call_failed_inside", request_id=request_id, fault=error)

    told: dict[str, Told] = {}
    askings = Askings()
    configured = key_ring(ready, ready.effective)
    asked = plan.server.authentication == "required"
    access = Access(configured, time.time, required=asked, origins=plan.server.cors_origins)
    keys = SqlKeys(database)
    heard = HeardKeys(ready.data_dir / KNOWN_KEYS, ready.pepper)
    good_keys = GoodKeys(configured, keys, access, door, on_fault, heard=heard)
    access.before_refusing(good_keys.look_again)
    clocks = Clocks(now=time.time, monotonic=time.monotonic)
    responses = SqlResponses(database) if plan.responses.storage != "none" else None
    ledger = _ledger(ready, worker, metrics, lambda: made.log)
    spending, clock = SqlSpending(database), SteadyClock(time.time, time.monotonic)
    made = Lasting(
        ready=ready,
        lines=lines,
        log=log,
        serving=ready.effective,
        started_s=time.monotonic(),
        worker=worker,
        metrics=metrics,
        decisions=Decisions(plan.explain.keep, plan.explain.for_ms / 1000, time.monotonic, f"{worker}-"),
        latencies=Latencies(time.monotonic),
        door=door,
        askings=askings,
        database=database,
        shared=shared,
        sharing=Sharing(attempts.health, shared, worker, time.time, _marks(ready, ready.secrets), ready.began_s),
        colleagues=Colleagues(shared, worker, new_id, told, on_fault),
        told=told,
        upstream=upstream,
        codecs=codecs,
        clients=clients,
        embedders={name: embedder(name) for name in EMBEDDERS},
        estimator=Estimator(_tokenizer(plan)),
        sessions=Sessions(shared, plan.sessions, _steady(ready)),
        attempts=attempts,
        memory=Memory(plan, shared, door, clocks, new_id, on_fault),
        keys=keys,
        access=access,
        good_keys=good_keys,
        store_watch=StoreWatch(database, time.monotonic),
        people=SqlPeople(database),
        passwords=Passwords(),
        audit=Audit(SqlAudit(database), askings.now, time.time, new_id),
        overrides=SqlOverrides(database),
        responses=responses,
        runs=None if responses is None else Runs(responses, plan.responses.background_limit, _steady(ready), on_fault),
        ledger=ledger,
        drain=_drain(ledger, database, lambda: made),
        spending=spending,
        clock=clock,
        reserves=_reserves(ready, worker, database, spending, clock, lambda: made),
        on_fault=on_fault,
    )
    return made


def adopt(parts: Lasting, new: Effective, public: Callable[[str], str]) -> None:
    """From now on for the plan of ``new``. What is known stays known; of connections that are others now, nothing is held.

    ``public`` gives the public id that a bare model name stands for.
    """
    plan, renewed = new.artefact.plan, _renewed(parts.serving, new)
    parts.log, parts.serving = _log(new, parts.lines), new
    parts.metrics.serving(new.artefact.build, len(new.overrides))
    _learn_schemes(parts.upstream, new)
    for connection in renewed:
        parts.upstream.retire(connection)
    health = parts.attempts.health
    health.configure(plan.breakers, plan.cooldowns)
    health.adopt(_places(plan), _limits(plan), plan.cooldowns.max_ms / 1000, renewed)
    parts.sharing.adopt(_marks(parts.ready, new.secrets))
    parts.attempts.adopt(Pace.of(plan))
    parts.good_keys.adopt(key_ring(parts.ready, new), public)
    parts.sessions.configure(plan.sessions)
    parts.memory.configure(plan)
    parts.reserves.when_unreachable = plan.limits.when_unreachable
    if parts.runs is not None:
        parts.runs.configure(plan.responses.background_limit)


def _log(found: Effective, lines: Lines) -> Log:
    settings = found.artefact.plan.logging
    return logger(settings.level, settings.format, found.artefact.build, lines)


def _steady(ready: Ready) -> Callable[[], float]:
    """Unix seconds as they would be had nobody set the clock since the start; the same in all workers of a machine."""
    offset_s = time.time() - time.monotonic() if ready.unix_offset_s is None else ready.unix_offset_s
    return lambda: offset_s + time.monotonic()


def _shared(ready: Ready, metrics: Metrics, log: Log) -> WatchedState:
    """What workers share; said once when it is gone, and once when it is back."""
    settings, workers = ready.plan.shared, ready.workers

    def changed(reason: str | None) -> None:
        metrics.shared_changed(reason)
        if reason is None:
            log.info("sharing_resumed", where=place_of(settings, workers))
        else:
            log.warning("sharing_lost", where=place_of(settings, workers), reason=reason)

    state = open_state(settings, workers, ready.data_dir, ready.secrets.urls.get("shared.url"), _steady(ready))
    return WatchedState(state, settings.timeout_ms / 1000, time.monotonic, changed, metrics.shared_failed)


def _ledger(ready: Ready, worker: str, metrics: Metrics, current: Callable[[], Log]) -> Ledger:
    """What is used is noted here, and said once when it cannot be, and once when it can be again."""
    settings = ready.plan.ledger

    def changed(reason: str | None) -> None:
        metrics.journal_changed(reason)
        log = current()
        if reason is None:
            log.info("journal_resumed")
        else:
            log.error("journal_failing", reason=reason, when_full=settings.when_full)

    journal = Journal(ready.data_dir / JOURNAL, worker, settings.journal_limit_bytes)
    ledger = Ledger(journal, time.monotonic, time.time, when_full=settings.when_full, on_fault=changed)
    metrics.watch_journal(lambda: journal.waiting_bytes, lambda: ledger.lost)
    return ledger


def _reserves(
    ready: Ready,
    worker: str,
    database: Database,
    spending: SqlSpending,
    clock: SteadyClock,
    parts: Callable[[], Lasting],
) -> Reserves:
    """Limits are counted by all workers together; said once when that cannot be, and once when it can be again."""
    plan = ready.plan

    def changed(reason: str | None) -> None:
        parts().metrics.limits_changed(reason)
        if reason is None:
            parts().log.info("limits_resumed")
        else:
            parts().log.error("limits_lost", reason=reason, when_unreachable=plan.limits.when_unreachable)

    url = ready.secrets.urls.get("shared.url")
    counters = open_counters(plan.shared, ready.workers, url, database, clock.now_ms, _steady(ready))
    found = plan.limits.when_unreachable
    ledger = WholeLedger(spending, lambda: parts().drain.caught_up)
    return Reserves(counters, ledger, worker, clock.now_ms, when_unreachable=found, changed=changed)


def _drain(ledger: Ledger, database: Database, parts: Callable[[], Lasting]) -> Drain:
    def changed(reason: str | None) -> None:
        parts().metrics.ledger_changed(reason)
        if reason is None:
            parts().log.info("ledger_resumed")
        else:
            parts().log.warning("ledger_behind", reason=reason)

    def retention() -> tuple[float, int]:
        settings = parts().plan.ledger
        return settings.retention_ms / 1000, settings.keep

    def refused(row: SetAside) -> None:
        parts().metrics.row_refused()
        file, call, request_id = str(row.file), row.call, row.request_id
        parts().log.error(
            "row_refused", call=call, request_id=request_id, file=file, reason=row.reason, counted=row.counted
        )

    return Drain(ledger, SqlLedger(database, post_spend), retention, time.time, changed, refused)


def _marks(ready: Ready, secrets: Secrets) -> dict[str, str]:
    """What says that two workers have the same credential for a connection, and does not say which."""
    return {
        id_: hmac.digest(ready.pepper, f"health:{secret}".encode(), "sha256").hex()[:16]
        for id_, secret in secrets.connections.items()
        if secret is not None
    }


def _renewed(old: Effective, new: Effective) -> list[str]:
    """Connections that go elsewhere or with another credential than before, and those that are gone."""
    before, after = old.artefact.plan.connections, new.artefact.plan.connections
    return [
        id_
        for id_, was in before.items()
        if (now := after.get(id_)) is None
        or now.base_url != was.base_url
        or old.secrets.connections.get(id_) != new.secrets.connections.get(id_)
    ]


def _attempts(plan: Plan) -> Attempts:
    """Who asks one target after the other, with what this process knows of them."""
    health = Health(plan.breakers, plan.cooldowns, _places(plan), time.monotonic, _limits(plan))
    return Attempts(health, Pace.of(plan), asyncio.sleep, Random())  # noqa: S311 — chooses targets, guards nothing


def _places(plan: Plan) -> dict[str, int]:
    return {id_: each.max_in_flight for id_, each in plan.connections.items() if each.max_in_flight is not None}


def _limits(plan: Plan) -> dict[str, tuple[ConnectionLimit, ...]]:
    return {id_: each.limits for id_, each in plan.connections.items() if each.limits}


def _learn_schemes(table: UpstreamTable, found: Effective) -> None:
    """Somebody answers for each scheme that usable connections have."""
    connections = found.artefact.plan.connections
    for id_ in found.secrets.connections:
        learn_scheme(table, connections[id_].base_url.partition("://")[0])


def _tokenizer(plan: Plan) -> Callable[[str], int] | None:
    if plan.requests.tokenizer == "approximate":
        return None
    from runtime.estimate import o200k

    return o200k()


def key_ring(ready: Ready, found: Effective) -> KeyRing:
    """Every configured key: the plan's, or the data directory's own."""
    entries = [
        KeyEntry(
            record=KeyRecord(
                id=key.id,
                scopes=frozenset(key.scopes),
                models=key.models,
                pins=key.pins,
                tenant=key.tenant,
                limits=key.limits,
            ),
            form="hash" if key.hash is not None else "plain",
            value=key.hash if key.hash is not None else found.secrets.keys[key.id],
        )
        for key in found.artefact.plan.keys
    ]
    if ready.dev_key is not None:
        record = KeyRecord(id="dev", scopes=frozenset({"chat", "view"}))
        entries.append(KeyEntry(record=record, form="plain", value=ready.dev_key))
    return KeyRing(ready.pepper, entries)
