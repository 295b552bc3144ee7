"""The composition root: the one place that says who gets what. Plan → parts → services → routers → application.

Runs in every worker. Reads neither environment nor files: what it needs from there comes in `Ready`.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException
from sqlalchemy.engine import URL
from structlog.typing import FilteringBoundLogger
from typing_extensions import override

from generated.api import (
    SPOKEN,
    cache,
    chat,
    completions,
    embeddings,
    explain,
    health,
    keys,
    login,
    messages,
    models,
    monitoring,
    ollama,
    providers,
    resilience,
    resources,
    responses,
    root,
)
from runtime.config.build import COMPILER
from runtime.config.plan import Artefact, Plan
from runtime.config.secrets import Secrets
from runtime.errors import Conflict
from runtime.estimate import Estimator
from runtime.gateway import Gateway
from runtime.guide import Guide
from runtime.lifespan import Life, beside, closing
from runtime.protocols import CODECS, DIALECTS, EMBEDDERS, client_codec, codec, embedder
from runtime.protocols.base import ClientCodec
from runtime.replay.local import living
from runtime.replay.parts import Clocks, build_replay, local_vectors
from runtime.resilience import Door, Health
from runtime.resilience.quota_news import QUOTA, tell_quotas, told_quota
from runtime.resilience.sharing import Sharing
from runtime.routing import Attempts, Pace, RouteTable
from runtime.services.access import Access
from runtime.services.background import Background
from runtime.services.caching import CACHES, Caching, told_caches
from runtime.services.catalogue import Catalogue
from runtime.services.chat import Chat
from runtime.services.completions import Completions
from runtime.services.dials import DIALS, DIALS_ASKED, Dials, settings_of
from runtime.services.embeddings import Embeddings
from runtime.services.entrance import Entrance
from runtime.services.explaining import EXPLAIN, Explaining, Reasoner
from runtime.services.gemini import Gemini
from runtime.services.health import HealthReport
from runtime.services.inference import Inference
from runtime.services.keyring import KEYS, GoodKeys
from runtime.services.keys import Keys
from runtime.services.logging_in import LoggingIn
from runtime.services.messages import Messages
from runtime.services.models import Models
from runtime.services.monitoring import LATENCIES, Monitoring, told_latencies
from runtime.services.ollama import Ollama
from runtime.services.passwords import Passwords
from runtime.services.prompts import Prompts
from runtime.services.providers import Providers
from runtime.services.resilience import HEALTH, RESET, ResilienceControl, told_health, told_reset
from runtime.services.response_request import Reader
from runtime.services.responses import Kept, Responses
from runtime.services.retention import keep_swept
from runtime.services.root import Root
from runtime.services.runs import Runs
from runtime.sessions import Sessions
from runtime.shared import SharedState
from runtime.shared.choose import open_state, place_of
from runtime.shared.colleagues import Colleagues
from runtime.shared.watched import WatchedState
from runtime.stores.attempts import SqlAttempts
from runtime.stores.audit import SqlAudit
from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.keys import SqlKeys
from runtime.stores.people import SqlPeople
from runtime.stores.responses import SqlResponses
from runtime.telemetry import Decisions, Latencies, Metrics, Recorder
from runtime.telemetry.log import logger
from runtime.upstream import Upstream, UpstreamTable
from runtime.web.address import is_loopback, network
from runtime.web.front import Cors, Front
from runtime.web.header import RawHeaders
from runtime.web.key import ADMIN, PUBLIC, KeyEntry, KeyRecord, KeyRing
from runtime.web.negotiate import PROBLEM
from runtime.web.problem import exception_handler, render_problem

__all__ = ["Ready", "build"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A checked artefact and its surroundings. ``dev_key``: where the plan has no keys; ``began_s``: time of day of the start."""

    artefact: Artefact
    host: str
    port: int
    data_dir: Path
    database: URL
    secrets: Secrets
    pepper: bytes
    dev_key: str | None
    began_s: float = float("inf")

    @override
    def __repr__(self) -> str:
        return f"Ready(build={self.artefact.build!r}, host={self.host!r}, port={self.port!r})"


def build(ready: Ready) -> Litestar:
    """The application of one worker."""
    artefact, plan = ready.artefact, ready.artefact.plan
    log = logger(plan.logging.level, plan.logging.format, artefact.build)
    metrics = Metrics(artefact.build, COMPILER)
    worker = os.urandom(6).hex()
    decisions = Decisions(plan.explain.keep, plan.explain.for_ms / 1000, time.monotonic, f"{worker}-")
    latencies = Latencies(time.monotonic)
    recorder = Recorder(metrics, log, time.monotonic, decisions, latencies)
    door = Door()
    database = Database(ready.database)
    shared = _shared(ready, metrics, log)
    alone = place_of(plan.shared, plan.server.workers) == "memory"
    routes = RouteTable(plan, ready.secrets.connections)
    upstream = _upstream(plan, ready.secrets)
    codecs = {name: codec(name) for name in CODECS}
    clients: dict[str, ClientCodec] = {**codecs, **{name: client_codec(name) for name in DIALECTS}}
    embedders = {name: embedder(name) for name in EMBEDDERS}
    estimator = Estimator(_tokenizer(plan))
    sessions = Sessions(shared, plan.sessions, time.time)
    guide = Guide(sessions, plan.sessions.keep)
    attempts = _attempts(plan)
    gateway = Gateway(plan, codecs, embedders, routes, attempts, upstream, recorder, estimator, door, time.time, guide)
    configured = KeyRing(ready.pepper, _entries(ready))
    access = Access(configured, time.time, required=plan.server.authentication == "required")

    def on_fault(error: Exception, request_id: str) -> None:
        log.error("call_failed_inside", request_id=request_id, exc_info=error)

    stored = SqlKeys(database)
    good_keys = GoodKeys(configured, stored, access, door, on_fault, routes.public)
    access.before_refusing(good_keys.look_again)

    clocks = Clocks(now=time.time, monotonic=time.monotonic)
    local = local_vectors(plan, on_fault)
    replay = build_replay(artefact, gateway, embedders, local, recorder, shared, door, clocks, _new_id, on_fault)
    inference = Inference(plan, clients, embedders, gateway, access, recorder, door, replay)
    completing = Completions(inference, Prompts(gateway, door, plan.requests, time.time))
    catalogue = Catalogue(routes, access)
    gemini = Gemini(inference, catalogue)
    people = SqlPeople(database)
    entrance = Entrance(access, people, ready.pepper, time.time, required=_login_required(ready))
    passwords = Passwords()
    front = _front(artefact, clients, entrance)
    failed = exception_handler(front, on_fault)
    kept = _kept(plan, database, gateway, recorder, door, on_fault)
    reader = Reader(kept.store if kept is not None else None, _new_id, plan.server.body_limit_bytes)
    keeping = Responses(inference, gateway, access, reader, kept, time.time, _new_id, on_fault)
    reasoner = Reasoner(artefact, ready.secrets.connections.keys(), decisions, time.monotonic, time.time)
    dials = Dials(settings_of(plan), attempts, time.time)
    told = {
        EXPLAIN: reasoner.answer,
        HEALTH: told_health(attempts.health),
        RESET: told_reset(attempts.health),
        DIALS: dials.set,
        DIALS_ASKED: dials.last,
        LATENCIES: told_latencies(latencies),
        CACHES: told_caches(replay),
        QUOTA: told_quota(attempts.health, worker),
        KEYS: good_keys.told,
    }
    colleagues = Colleagues(shared, worker, _new_id, told)
    control = ResilienceControl(plan, routes, attempts.health, dials, colleagues, time.time)
    log.info("worker_built", connections=sorted(ready.secrets.connections), keys=len(plan.keys))
    return Litestar(
        route_handlers=[
            chat.build_router(Chat(inference), front),
            completions.build_router(completing, front),
            embeddings.build_router(Embeddings(inference), front),
            messages.build_router(Messages(inference), front),
            responses.build_router(keeping, front),
            models.build_router(Models(catalogue, front.speaks, gemini), front),
            resources.build_router(gemini, front),
            providers.build_router(Providers(inference, catalogue, routes, keeping, completing, front.speaks), front),
            ollama.build_router(Ollama(inference, catalogue, routes, time.time), front),
            health.build_router(
                HealthReport(artefact, COMPILER, routes, metrics, door, time.monotonic, lambda: shared.trouble), front
            ),
            explain.build_router(Explaining(reasoner, colleagues, plan.explain.keep), front),
            resilience.build_router(control, front),
            cache.build_router(Caching(replay, colleagues, plan.idempotency.window_ms), front),
            keys.build_router(Keys(stored, good_keys, colleagues, ready.pepper, time.time, os.urandom), front),
            login.build_router(_logging_in(ready, entrance, people, passwords, database, front), front),
            monitoring.build_router(Monitoring(sessions, colleagues, time.time), front),
            root.build_router(Root(COMPILER, artefact.build), front),
        ],
        exception_handlers={Exception: failed, HTTPException: failed},
        lifespan=[  # the first ends last
            closing(shared),
            closing(database),
            closing(passwords),
            _keys_life(good_keys),
            lambda _: living(local),
            *([] if alone else [_among_workers(ready, attempts.health, shared, worker, colleagues)]),
            *([] if alone else [_joining(dials, colleagues)]),
            _life(door, upstream, plan.server.shutdown_grace_ms / 1000),
            *_kept_lives(kept, plan, on_fault),
        ],
        openapi_config=None,
        request_max_body_size=None,
    )


def _front(artefact: Artefact, codecs: Mapping[str, ClientCodec], entrance: Entrance) -> Front:
    """What all routes share."""
    server = artefact.plan.server
    base_headers: RawHeaders = ((b"x-gatewright-build", artefact.build.encode()),)
    metrics_scope = {"key": "view", "public": PUBLIC, "none": ADMIN}[server.metrics]
    return Front(
        new_id=_new_id,
        renders={PROBLEM: render_problem, **{name: each.encode_error for name, each in codecs.items()}},
        authorize=entrance.admit,
        base_headers=lambda: base_headers,
        scopes={"getMetrics": metrics_scope},
        cors=Cors(origins=server.cors_origins),
        spoken=SPOKEN,
        write_limit_s=artefact.plan.timeouts.client_write_ms / 1000,
        header_limit_bytes=server.header_limit_bytes,
        trusted_proxies=tuple(network(written) for written in server.trusted_proxies),
    )


def _login_required(ready: Ready) -> bool:
    """Whether managing needs a key or a login; where other machines reach us, always."""
    return ready.artefact.plan.login.required or not is_loopback(ready.host)


def _logging_in(
    ready: Ready, entrance: Entrance, people: SqlPeople, passwords: Passwords, database: Database, front: Front
) -> LoggingIn:
    settings = msgspec.structs.replace(ready.artefact.plan.login, required=_login_required(ready))
    attempts = SqlAttempts(database, settings.attempts, settings.attempts_within_ms / 1000)

    async def require(_: bool, __: KeyRecord) -> None:
        raise Conflict("`login.required` is set in gateway.yaml; change it there and build")

    return LoggingIn(
        settings,
        entrance,
        people,
        attempts,
        passwords,
        SqlAudit(database),
        ready.pepper,
        time.time,
        os.urandom,
        front.trusted_proxies,
        require,
    )


def _life(door: Door, upstream: UpstreamTable, grace_s: float) -> Life:
    """What the application does when its worker starts and stops.

    Granian waits for running calls at SIGTERM without telling them. The signal is therefore taken here first: new calls
    are refused, running ones get their grace and then an honest end; only then Granian is told, by the signal it also
    stops on.
    """

    @asynccontextmanager
    async def life(_: Litestar) -> AsyncGenerator[None, None]:
        loop = asyncio.get_running_loop()
        stopping: list[asyncio.Task[None]] = []

        async def stop() -> None:
            await door.close(grace_s)
            os.kill(os.getpid(), signal.SIGINT)

        def on_signal() -> None:
            if not stopping:
                stopping.append(loop.create_task(stop()))

        with suppress(NotImplementedError, RuntimeError):  # no signals here: not in the main thread, as under tests
            loop.add_signal_handler(signal.SIGTERM, on_signal)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # held since the worker was forked
        yield
        await upstream.aclose()

    return life


def _kept(
    plan: Plan,
    database: Database,
    gateway: Gateway,
    recorder: Recorder,
    door: Door,
    on_fault: Callable[[Exception, str], None],
) -> Kept | None:
    """What keeps responses; None where the operator wants none kept."""
    settings = plan.responses
    if settings.storage == "none":
        return None
    store = SqlResponses(database)
    runs = Runs(store, settings.background_limit, time.time, on_fault)
    background = Background(gateway, recorder, store, runs, door, time.time, _new_id, on_fault)
    return Kept(store=store, background=background, runs=runs)


def _keys_life(good: GoodKeys) -> Life:
    """Knows the stored keys before the worker is ready, and follows their changes while it lives."""

    @asynccontextmanager
    async def life(app: Litestar) -> AsyncGenerator[None, None]:
        await good.refresh()
        try:
            async with beside(good.run)(app):
                yield
        finally:
            with suppress(StoreError):  # when a key was last used is no loss; that the store fails was said
                await good.note_used()

    return life


def _kept_lives(kept: Kept | None, plan: Plan, on_fault: Callable[[Exception, str], None]) -> tuple[Life, ...]:
    """Sweeps while the worker lives; at its end no response is made any more."""
    if kept is None:
        return ()
    return closing(kept.runs), beside(partial(keep_swept, kept.store, plan.responses, time.time, on_fault))


def _among_workers(ready: Ready, health: Health, shared: SharedState, worker: str, colleagues: Colleagues) -> Life:
    """Tells other workers what is learned of providers and used of declared limits, and hears what they tell and ask."""
    sharing = Sharing(health, shared, worker, time.time, _marks(ready), ready.began_s)
    jobs = [sharing.run, colleagues.listen]
    if any(connection.limits for connection in ready.artefact.plan.connections.values()):
        jobs.append(partial(tell_quotas, health, worker, colleagues, asyncio.sleep))
    return beside(*jobs)


def _joining(dials: Dials, colleagues: Colleagues) -> Life:
    """Knows what was set while others ran before the worker is ready: one that died has a successor like itself."""

    @asynccontextmanager
    async def life(_: Litestar) -> AsyncGenerator[None, None]:
        await colleagues.listening()
        await dials.join(colleagues)
        yield

    return life


def _shared(ready: Ready, metrics: Metrics, log: FilteringBoundLogger) -> WatchedState:
    """What workers share; said once when it is gone, and once when it is back."""
    plan = ready.artefact.plan
    settings, workers = plan.shared, plan.server.workers

    def changed(reason: str | None) -> None:
        metrics.shared_changed(reason)
        if reason is None:
            log.info("sharing_resumed", where=place_of(settings, workers))
        else:
            log.warning("sharing_lost", where=place_of(settings, workers), reason=reason)

    state = open_state(settings, workers, ready.data_dir, ready.secrets.urls.get("shared.url"))
    return WatchedState(state, settings.timeout_ms / 1000, time.monotonic, changed, metrics.shared_failed)


def _marks(ready: Ready) -> dict[str, str]:
    """What says that two workers have the same credential for a connection, and does not say which."""
    return {
        id_: hmac.digest(ready.pepper, f"health:{secret}".encode(), "sha256").hex()[:16]
        for id_, secret in ready.secrets.connections.items()
        if secret is not None
    }


def _new_id() -> str:
    return uuid.uuid4().hex


def _attempts(plan: Plan) -> Attempts:
    """Who asks one target after the other, with what this process knows of them."""
    places = {id_: each.max_in_flight for id_, each in plan.connections.items() if each.max_in_flight is not None}
    limits = {id_: each.limits for id_, each in plan.connections.items() if each.limits}
    health = Health(plan.breakers, plan.cooldowns, places, time.monotonic, limits)
    pace = Pace.of(plan)
    return Attempts(health, pace, asyncio.sleep, Random())  # noqa: S311 — chooses targets, guards nothing


def _upstream(plan: Plan, found: Secrets) -> UpstreamTable:
    """Who answers for the schemes that usable connections have; nothing is imported for the others."""
    schemes = {plan.connections[id_].base_url.partition("://")[0] for id_ in found.connections}
    upstreams: dict[str, Upstream] = {}
    if "sim" in schemes:
        from runtime.upstream.simulated import SimulatedUpstream

        upstreams["sim"] = SimulatedUpstream(now=time.time, sleep=asyncio.sleep)
    if schemes & {"http", "https"}:
        from runtime.upstream.client import HttpUpstream

        upstreams["http"] = upstreams["https"] = HttpUpstream()
    return UpstreamTable(upstreams)


def _tokenizer(plan: Plan) -> Callable[[str], int] | None:
    if plan.requests.tokenizer == "approximate":
        return None
    from runtime.estimate import o200k

    return o200k()


def _entries(ready: Ready) -> list[KeyEntry]:
    """Every key that is good: the plan's, or the data directory's own."""
    entries = [
        KeyEntry(
            record=KeyRecord(
                id=key.id, scopes=frozenset(key.scopes), models=key.models, pins=key.pins, tenant=key.tenant
            ),
            form="hash" if key.hash is not None else "plain",
            value=key.hash if key.hash is not None else ready.secrets.keys[key.id],
        )
        for key in ready.artefact.plan.keys
    ]
    if ready.dev_key is not None:
        record = KeyRecord(id="dev", scopes=frozenset({"chat", "view"}))
        entries.append(KeyEntry(record=record, form="plain", value=ready.dev_key))
    return entries
