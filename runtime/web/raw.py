"""Routes whose operations speak a vendor's protocol: from an ASGI call to a service method that takes an `Exchange`.

Typed operations are ordinary Litestar handlers; these are not, because a handler with parsing, injection and response
objects costs more than the rest of the gateway's work on a call. Keys are the service's matter: the exchange says which
scope the schema asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import msgspec

from runtime.errors import ClientClosed, GatewayError, MethodNotAllowed, brief, failed_inside
from runtime.web.body import broken_off
from runtime.web.exchange import NOTHING, Exchange
from runtime.web.front import Doorway, Front, Fronts, request_id
from runtime.web.head import HeadTooLarge, demand_small_head
from runtime.web.header import RawHeaders, read_headers
from runtime.web.key import PUBLIC
from runtime.web.negotiate import NEGOTIATED, PROBLEM
from runtime.web.patience import cancelled

if TYPE_CHECKING:
    from runtime.web import wire

__all__ = ["RawOperation", "RawRoute", "raw_route"]


class RawOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of a path. ``protocol`` is the dialect of its errors, `negotiated` or `problem`."""

    method: str
    operation_id: str
    protocol: str
    scope: str
    serve: Callable[[Exchange], Awaitable[None]]


class RawRoute(msgspec.Struct, frozen=True):
    """An ASGI application and its ``paths``, which are spellings of one: `{name}` or `{name:path}` may stand in it."""

    paths: Sequence[str]
    answer: Dispatcher


def raw_route(front: Fronts, paths: Sequence[str], operations: Sequence[RawOperation]) -> RawRoute:
    """The route of ``operations`` under ``paths``."""
    return RawRoute(paths, Dispatcher(front, operations))


class _UpgradeRefused(MethodNotAllowed):
    """A WebSocket handshake. The status 426 tells clients that can do without to go on over HTTP at once."""


class Dispatcher:
    """All methods of one path. ``protocols`` are those of the errors, by method; a method it lacks has theirs if they agree."""

    def __init__(self, fronts: Fronts, operations: Sequence[RawOperation]) -> None:
        self._fronts = fronts
        self._operations: dict[str, RawOperation] = {operation.method: operation for operation in operations}
        if "GET" in self._operations:
            self._operations.setdefault("HEAD", self._operations["GET"])
        self.methods: list[str] = [*self._operations, "OPTIONS"]
        self.protocols: Mapping[str, str] = {method: one.protocol for method, one in self._operations.items()}
        self._foreign = operations[0].protocol if len(set(self.protocols.values())) == 1 else NEGOTIATED
        self.allow = ", ".join(self.methods)

    async def __call__(self, scope: wire.HttpScope, receive: wire.Receive, send: wire.Send) -> None:
        if scope["type"] != "http":
            closed = {"type": "websocket.close", "code": 1000, "reason": "this path is not for WebSocket"}
            await send(cast("wire.OutMessage", closed))
            return
        operation, front = self._operations.get(scope["method"]), self._fronts.now
        raw = scope["headers"]
        headers, size = read_headers(raw)
        exchange = Exchange(
            scope,
            receive,
            send,
            request_id(raw, front.new_id) if "x-request-id" in headers else front.new_id(),
            headers,
            _path_params(params) if (params := scope.get("path_params")) else NOTHING,
            front.scope(operation.operation_id, operation.scope) if operation else PUBLIC,
            _base_headers(front, raw) if front.cors.origins else front.base_headers,
            front.write_limit_s,
            front.lookout,
        )
        try:
            if front.ip_filter is not None:
                front.ip_filter.demand(exchange.client_host, exchange.headers, front.trusted_proxies)
            if size > front.header_limit_bytes:
                demand_small_head(raw, front.header_limit_bytes)
            if operation is not None:
                managing = operation.protocol == PROBLEM
                await (_manage(front.door, operation, exchange) if managing else operation.serve(exchange))
            else:
                await self._preflight(front, exchange)
        except GatewayError as error:
            if exchange.started:
                raise
            await self._refuse(front, exchange, error, operation.protocol if operation else self._foreign)
        except ClientClosed:
            pass
        except (Exception, asyncio.CancelledError) as fault:
            if front.on_fault is None:
                raise
            await self._fail(front, exchange, fault, operation.protocol if operation else self._foreign)
            if isinstance(fault, asyncio.CancelledError) and cancelled():
                raise
        if not exchange.started:
            await self._unanswered(front, exchange, operation.protocol if operation else self._foreign)

    async def _fail(
        self, front: Front, exchange: Exchange, fault: Exception | asyncio.CancelledError, protocol: str
    ) -> None:
        """Tell of a fault of ours. What was begun is cut, for its client to see that it is not whole."""
        if isinstance(fault, asyncio.CancelledError):
            if exchange.started or exchange.left:
                return
            lost = RuntimeError("what the call waited for was cancelled")
            lost.__cause__ = fault
            fault = lost
        if front.on_fault is not None:
            front.on_fault(fault, exchange.request_id)
        if not exchange.started:
            await self._refuse(front, exchange, failed_inside(), protocol)

    async def _unanswered(self, front: Front, exchange: Exchange, protocol: str) -> None:
        """A call that ended as if its client had left. The server says the same of a body that breaks off, and then it may be there."""
        if exchange.left:
            return
        if exchange.body_read:
            await self._fail(front, exchange, RuntimeError("the call ended without an answer"), protocol)
        else:
            await self._refuse(front, exchange, broken_off(), protocol)

    async def _preflight(self, front: Front, exchange: Exchange) -> None:
        """Raises MethodNotAllowed for what the path has no operation for."""
        if exchange.method != "OPTIONS":
            if exchange.headers.get("upgrade", "").lower() == "websocket":
                raise _UpgradeRefused(f"WebSocket is not spoken on {brief(exchange.path)}; allowed: {self.allow}")
            raise MethodNotAllowed(f"{exchange.method} is not for {brief(exchange.path)}; allowed: {self.allow}")
        cors = front.cors
        origin, wanted = (exchange.headers.get(name) for name in ("origin", "access-control-request-headers"))
        await exchange.respond(204, [("allow", self.allow), *cors.preflight(origin, wanted, self.allow)], b"")

    async def _refuse(self, front: Front, exchange: Exchange, error: GatewayError, protocol: str) -> None:
        reply = front.render(protocol, exchange.path, exchange.headers)(error, exchange.request_id)
        extra = (("allow", self.allow),) if isinstance(error, MethodNotAllowed) else ()
        status = reply.status
        if isinstance(error, HeadTooLarge):
            extra = (("connection", "close"),)
        if isinstance(error, _UpgradeRefused):
            status, extra = 426, (*extra, ("connection", "upgrade"), ("upgrade", "HTTP/1.1"))
        try:
            await exchange.respond(status, (*reply.headers, *extra), reply.body)
        except ClientClosed:
            return


async def _manage(door: Doorway | None, operation: RawOperation, exchange: Exchange) -> None:
    """Until its body has come the call is inside ``door``, so that it is told when the gateway stops."""
    with ExitStack() as stay:
        if door is None or exchange.body_read:
            await operation.serve(exchange)
            return
        stay.enter_context(door)
        exchange.when_read(stay.close)
        try:
            await operation.serve(exchange)
        except asyncio.CancelledError:
            farewell = door.farewell()
            if farewell is None or exchange.started:
                raise
            raise farewell from None
        finally:
            exchange.when_read(None)


def _base_headers(front: Front, raw: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """What any answer to a call with these headers carries, where web pages may call."""
    origin = next((value for name, value in raw if name == b"origin"), None)
    return front.base_headers + front.cors.answer(origin)


def _path_params(found: Mapping[str, str]) -> Mapping[str, str]:
    """Litestar puts a slash before what `{name:path}` matched."""
    return {name: value.removeprefix("/") for name, value in found.items()}
