"""The whole inference pipeline in process, from a gateway.yaml, over real sockets to fake providers.

Time is in the test's hands where the gateway waits by itself (retries, cooldowns, breakers); limits on the provider run
by the loop's clock and are small.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from types import MappingProxyType
from typing import Any, TypeAlias

from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.plan import Plan
from runtime.errors import GatewayError
from runtime.estimate import Estimator
from runtime.gateway import Call, Complete, Gateway, Streaming
from runtime.guide import Guide
from runtime.protocols import CODECS, EMBEDDERS, codec, embedder
from runtime.resilience import Door, Health
from runtime.routing import Attempts, Pace, RouteTable
from runtime.sessions import Sessions
from runtime.shared import SharedState
from runtime.shared.memory import MemoryState
from runtime.telemetry import CallRecord, Metrics, Recorder
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger
from runtime.upstream import UpstreamTable
from runtime.upstream.client import HttpUpstream
from runtime.upstream.pool import Resolver
from runtime.web.key import KeyRecord
from tests.support.dialect import DIALECT
from tests.support.raw_server import RawConnection, RawRequest, RawServer, Script
from tests.support.routing import Time

__all__ = ["Act", "Pipeline", "Said", "acts", "compiled", "pipeline", "provider"]

Act: TypeAlias = Callable[[RawConnection, RawRequest], Awaitable[None]]


class Said:
    """What one call came to: ``body`` is what the client reads, whatever it is; ``error`` is set when it had no other."""

    def __init__(self, record: CallRecord, body: bytes, error: GatewayError | None, headers: dict[str, str]) -> None:
        self.record = record
        self.body = body
        self.error = error
        self.headers = headers

    @property
    def attempts(self) -> list[tuple[str, str]]:
        """Target and outcome of each attempt."""
        return [(each.target, each.outcome) for each in self.record.attempts]

    @property
    def skipped(self) -> list[tuple[str, str]]:
        return [(each.target, each.reason) for each in self.record.skipped]


class Pipeline:
    """``shared`` may be another pipeline's, as of two workers."""

    def __init__(
        self,
        plan: Plan,
        time: Time,
        seed: int = 1,
        shared: SharedState | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.time = time
        self.upstream = HttpUpstream(resolver=resolver)
        self.log = io.StringIO()
        ticks = itertools.count(1)
        self.metrics = Metrics("b", "v")
        self.recorder = Recorder(self.metrics, logger("info", "json", "b", Lines(self.log)), lambda: float(next(ticks)))
        places = {id_: each.max_in_flight for id_, each in plan.connections.items() if each.max_in_flight}
        limits = {id_: each.limits for id_, each in plan.connections.items() if each.limits}
        self.health = Health(plan.breakers, plan.cooldowns, places, time.clock, limits)
        self.attempts = Attempts(self.health, Pace.of(plan), time.sleep, Random(seed))
        self.shared = shared if shared is not None else MemoryState(time.clock)
        self.sessions = Sessions(self.shared, plan.sessions, time.clock)
        self.codecs = {name: codec(name) for name in CODECS}
        self.gateway = Gateway(
            plan,
            self.codecs,
            {name: embedder(name) for name in EMBEDDERS},
            RouteTable(plan, dict.fromkeys(plan.connections, "sk-test")),
            self.attempts,
            UpstreamTable({"http": self.upstream}),
            self.recorder,
            Estimator(),
            Door(),
            lambda: 1.0,
            Guide(self.sessions, plan.sessions.keep),
        )

    def make(
        self,
        client: str,
        model: str,
        *,
        stream: bool,
        key: KeyRecord | str = "k",
        headers: Mapping[str, str] = MappingProxyType({}),
        **fields: Any,
    ) -> Call:
        record = KeyRecord(id=key, scopes=frozenset({"chat"})) if isinstance(key, str) else key
        body = DIALECT[client].body(model, stream=stream, **fields)
        speak = self.codecs[client]
        return Call(
            codec=speak,
            envelope=speak.peek(json.dumps(body).encode(), DIALECT[client].asked(model, stream=stream)),
            headers=headers,
            key=record,
            record=self.recorder.begin("id-1", "chat", client),
        )

    async def call(
        self, model: str = "smart", *, client: str = "openai_chat", stream: bool = False, **fields: Any
    ) -> Said:
        """One call to its end, as its client would see it."""
        call = self.make(client, model, stream=stream, **fields)
        try:
            reply = await self.gateway.infer(call)
            body = reply.body if isinstance(reply, Complete) else b"".join([data async for data in reply.chunks])
        except GatewayError as error:
            call.record.outcome, call.record.error = "error", error.kind
            said = self.codecs[client].encode_error(error, "id-1")
            return Said(call.record, said.body, error, dict(said.headers))
        finally:
            self.recorder.end(call.record)
        return Said(call.record, body, None, dict(reply.headers))

    async def open(self, model: str = "smart", *, client: str = "openai_chat") -> tuple[Streaming, CallRecord]:
        """A stream whose first byte is here."""
        call = self.make(client, model, stream=True)
        reply = await self.gateway.infer(call)
        assert isinstance(reply, Streaming)
        return reply, call.record


@asynccontextmanager
async def pipeline(config: str, *, seed: int = 1, resolver: Resolver | None = None) -> AsyncGenerator[Pipeline, None]:
    """Serve ``config``, which knows no provider but its own."""
    made = Pipeline(compiled(config), Time(), seed, resolver=resolver)
    try:
        yield made
    finally:
        await made.upstream.aclose()


def compiled(config: str) -> Plan:
    text = f"version: 1\ndiscovery: {{providers: none}}\n{config}"
    found = compile_plan([Source(MAIN, text.encode())], Catalog.of(()))
    assert found.plan is not None, found.diagnostics
    return found.plan


def acts(*scripted: Act, then: Act) -> Script:
    """A server's script: one act per request, over all connections, and ``then`` for all that follow."""
    left = list(scripted)

    async def script(connection: RawConnection) -> None:
        while (request := await connection.request()) is not None:
            await (left.pop(0) if left else then)(connection, request)

    return script


def provider(id_: str, server: RawServer, settings: str = "", protocol: str = "openai_chat") -> str:
    """A provider of the configuration: one model ``m`` without a key."""
    return (
        f"  {id_}: {{base_url: '{server.url}', local: true, surfaces: {{{protocol}: {{}}}}, auth: {{scheme: none}}, "
        f"{settings or 'models: {m: {}}'}}}\n"
    )
