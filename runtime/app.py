"""The composition root: the one place that says who gets what. Plan → parts → services → routers → application.

Runs in every worker. Reads neither environment nor files: what it needs from there comes in `Ready`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException
from typing_extensions import override

from generated.api import PREFIXES, chat, health, messages, models, root
from runtime.config.build import COMPILER
from runtime.config.plan import Artefact, Plan
from runtime.config.secrets import Secrets
from runtime.estimate import Estimator
from runtime.gateway import Gateway
from runtime.protocols import CODECS, DIALECTS, client_codec, codec
from runtime.protocols.base import ClientCodec
from runtime.resilience import Door
from runtime.routing import RouteTable
from runtime.services.access import Access
from runtime.services.chat import Chat
from runtime.services.health import HealthReport
from runtime.services.inference import Inference
from runtime.services.messages import Messages
from runtime.services.models import Models
from runtime.services.root import Root
from runtime.telemetry import Metrics, Recorder
from runtime.telemetry.log import logger
from runtime.upstream import Upstream, UpstreamTable
from runtime.web.front import Cors, Front
from runtime.web.header import RawHeaders
from runtime.web.key import ADMIN, PUBLIC, KeyEntry, KeyRecord, KeyRing
from runtime.web.problem import exception_handler

__all__ = ["Ready", "build"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A checked artefact with all it needs from its surroundings. ``dev_key`` is set when the plan has no keys itself."""

    artefact: Artefact
    host: str
    port: int
    secrets: Secrets
    pepper: bytes
    dev_key: str | None

    @override
    def __repr__(self) -> str:
        return f"Ready(build={self.artefact.build!r}, host={self.host!r}, port={self.port!r})"


def build(ready: Ready) -> Litestar:
    """The application of one worker."""
    artefact, plan = ready.artefact, ready.artefact.plan
    log = logger(plan.logging.level, plan.logging.format, artefact.build)
    metrics = Metrics(artefact.build, COMPILER)
    recorder = Recorder(metrics, log, time.monotonic)
    door = Door()
    routes = RouteTable(plan, ready.secrets.connections)
    upstream = _upstream(plan, ready.secrets)
    codecs = {name: codec(name) for name in CODECS}
    clients: dict[str, ClientCodec] = {**codecs, **{name: client_codec(name) for name in DIALECTS}}
    gateway = Gateway(plan, codecs, routes, upstream, recorder, Estimator(_tokenizer(plan)), door, time.time)
    access = Access(KeyRing(ready.pepper, _entries(ready)), required=plan.server.authentication == "required")
    inference = Inference(plan, clients, gateway, access, recorder, door)
    front = _front(artefact, clients, access)

    def on_fault(error: Exception, request_id: str) -> None:
        log.error("call_failed_inside", request_id=request_id, exc_info=error)

    failed = exception_handler(front, PREFIXES, on_fault)
    log.info("worker_built", connections=sorted(ready.secrets.connections), keys=len(plan.keys))
    return Litestar(
        route_handlers=[
            chat.build_router(Chat(inference), front),
            messages.build_router(Messages(inference), front),
            models.build_router(Models(routes, access), front),
            health.build_router(HealthReport(artefact, COMPILER, routes, metrics, door, time.monotonic), front),
            root.build_router(Root(COMPILER, artefact.build), front),
        ],
        exception_handlers={Exception: failed, HTTPException: failed},
        lifespan=[_life(door, upstream, plan.server.shutdown_grace_ms / 1000)],
        openapi_config=None,
        request_max_body_size=None,
    )


def _front(artefact: Artefact, codecs: Mapping[str, ClientCodec], access: Access) -> Front:
    """What all routes share."""
    server = artefact.plan.server
    base_headers: RawHeaders = ((b"x-gatewright-build", artefact.build.encode()),)
    metrics_scope = {"key": "view", "public": PUBLIC, "none": ADMIN}[server.metrics]
    return Front(
        new_id=lambda: uuid.uuid4().hex,
        renders={name: each.encode_error for name, each in codecs.items()},
        authorize=access.authorize,
        base_headers=lambda: base_headers,
        scopes={"getMetrics": metrics_scope},
        cors=Cors(origins=server.cors_origins),
    )


def _life(
    door: Door, upstream: UpstreamTable, grace_s: float
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
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
        yield
        await upstream.aclose()

    return life


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
            record=KeyRecord(id=key.id, scopes=frozenset(key.scopes), models=key.models),
            form="hash" if key.hash is not None else "plain",
            value=key.hash if key.hash is not None else ready.secrets.keys[key.id],
        )
        for key in ready.artefact.plan.keys
    ]
    if ready.dev_key is not None:
        record = KeyRecord(id="dev", scopes=frozenset({"chat", "view"}))
        entries.append(KeyEntry(record=record, form="plain", value=ready.dev_key))
    return entries
