"""Trying what is configured: whether a target could be asked, and what it says when it is.

Nothing is spent unless the caller wants it: without ``live`` a connection is asked for its list of models at most. A live
trial is a call like any other, with its place in the log and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

import msgspec

from runtime.call import Call, Streaming
from runtime.catalog import Endpoint
from runtime.config.plan import Plan, Route
from runtime.config.resolve import resolve
from runtime.errors import GatewayError, RouteUnavailable
from runtime.gateway import Gateway
from runtime.protocols.base import ClientCodec
from runtime.resilience import Health
from runtime.routing import Candidate, RouteTable
from runtime.telemetry import Recorder
from runtime.upstream import Upstream
from runtime.upstream.listing import LISTS, ListingAnswer, Server, list_models
from runtime.web.key import KeyRecord

__all__ = ["Listed", "Trial", "Tried"]

QUESTION: Final = "Answer with the word ok."
ANSWER_TOKENS: Final = 16
PIN: Final = "x-omniroute-connection"

Status = Literal["ok", "available", "unavailable", "error"]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What one target came to over one connection. ``reason`` is empty where all is well; ``http_status`` the provider's."""

    model: str
    connection: str
    status: Status
    reason: str = ""
    took_ms: float | None = None
    http_status: int | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a server said when it was asked for its models. ``valid`` is None where its answer tells nothing."""

    valid: bool | None
    message: str = ""
    status: int | None = None
    models: tuple[str, ...] = ()
    took_ms: float = 0.0


class Trial:
    """Of one plan. ``codec`` is how live trials are asked, Chat's; ``clock`` gives seconds that only grow."""

    def __init__(
        self,
        plan: Plan,
        routes: RouteTable,
        health: Health,
        gateway: Gateway,
        codec: ClientCodec,
        recorder: Recorder,
        upstream: Upstream,
        new_id: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._routes = routes
        self._health = health
        self._gateway = gateway
        self._codec = codec
        self._recorder = recorder
        self._upstream = upstream
        self._new_id = new_id
        self._clock = clock

    async def targets(self, caller: KeyRecord, name: str, *, live: bool) -> list[Tried]:
        """Each target of the public name over each of its connections, dark ones too."""
        route = resolve(self._plan, name)
        if route is None:
            return []
        lit = {(each.id, each.connection): each for each in self._candidates(route)}
        found: list[Tried] = []
        for target in route.targets:
            for connection in target.connections:
                candidate = lit.get((target.model, connection))
                if live and candidate is not None and route.endpoint is Endpoint.CHAT:
                    found.append(await self.live(caller, target.model, connection))
                else:
                    found.append(self._standing(target.model, connection, candidate))
        return found

    async def live(self, caller: KeyRecord, model: str, connection: str) -> Tried:
        """Ask ``model`` over ``connection`` for a few tokens."""
        fields = {
            "model": model,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": ANSWER_TOKENS,
        }
        record = self._recorder.begin(self._new_id(), "trial", self._codec.protocol)
        record.key, record.tenant = caller.id, caller.tenant
        envelope = self._codec.peek(msgspec.json.encode(fields))
        began_s = self._clock()
        call = Call(codec=self._codec, envelope=envelope, headers={PIN: connection}, key=caller, record=record)
        try:
            reply = await self._gateway.infer(call)
            if isinstance(reply, Streaming):
                await reply.chunks.aclose()
            record.status = 200
        except GatewayError as error:
            record.outcome, record.error, record.status = "error", error.kind, error.http_status
            said = f"{error.kind}: {error.message}"
            return Tried(
                model=model,
                connection=connection,
                status="error",
                reason=said,
                took_ms=self._since(began_s),
                http_status=record.upstream_status,
            )
        finally:
            self._recorder.end(record)
        took_ms = self._since(began_s)
        return Tried(model=model, connection=connection, status="ok", took_ms=took_ms, http_status=200)

    async def listing(self, server: Server) -> Listed:
        """Ask a server for its models; never raises for what the server does."""
        if server.base_url.startswith("sim:"):
            return Listed(valid=True)
        if server.protocol not in LISTS and server.path is None:
            return Listed(valid=None, message=f"servers of {server.protocol} have no list of models to ask for")
        began_s = self._clock()
        try:
            found = await list_models(self._upstream, server)
        except GatewayError as error:
            return Listed(valid=False, message=f"{error.kind}: {error.message}", took_ms=self._since(began_s))
        valid, message = _verdict(found)
        return Listed(
            valid=valid, message=message, status=found.status, models=found.models, took_ms=self._since(began_s)
        )

    def _since(self, began_s: float) -> float:
        return round((self._clock() - began_s) * 1000, 1)

    def _candidates(self, route: Route) -> tuple[Candidate, ...]:
        with suppress(RouteUnavailable):
            return self._routes.candidates(route.name, self._codec.protocol, route.endpoint)
        return ()

    def _standing(self, model: str, connection: str, candidate: Candidate | None) -> Tried:
        if candidate is None:
            return Tried(model=model, connection=connection, status="unavailable", reason="dark")
        hindrance = self._health.hindrance(candidate.lane, connection)
        if hindrance is None:
            return Tried(model=model, connection=connection, status="available")
        return Tried(model=model, connection=connection, status="unavailable", reason=hindrance.reason)


def _verdict(found: ListingAnswer) -> tuple[bool | None, str]:
    match found.status:
        case 200:
            return True, ""
        case 401 | 403:
            return False, f"the provider refuses the credential (status {found.status})"
        case 404 | 405 | 501:
            return None, f"the provider has no list of models to ask for (status {found.status}); try it live"
        case 429:
            return None, "the provider answers too many requests (status 429)"
        case status:
            return False, f"the provider answers status {status}"
