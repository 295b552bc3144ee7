"""Routes whose operations are typed: Litestar parses, calls and encodes; key and body are checked before, the answer stamped.

For everything that is not inference. Errors become problems in `problem`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NewType, cast, get_origin

from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, PathParameter, QueryParameter

from runtime.errors import InternalError, InvalidRequest, PermissionDenied
from runtime.web.address import client_address
from runtime.web.body import LINGER_S, UNWANTED_S, broken_off, linger
from runtime.web.failure import NOTED
from runtime.web.front import Doorway, Front, Fronts, request_id
from runtime.web.head import demand_small_head
from runtime.web.header import KEPT_BY_NOBODY, decode_headers, encode_headers
from runtime.web.json_body import LENIENT, check_body
from runtime.web.key import ADMIN, PUBLIC
from runtime.web.patience import cancelled, within
from runtime.web.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler
    from litestar.types import (
        ASGIApp,
        HTTPReceiveMessage,
        HTTPScope,
        Message,
        Method,
        Receive,
        Scope,
        Send,
        WebSocketReceiveMessage,
    )

    from runtime.web import wire

__all__ = ["typed"]

MAX_BODY_BYTES: Final = 1 << 20


class _JsonBody:
    """What handlers call `JSONBody`. A tree's type gets a name of its own, which the framework does not look into.

    It keeps a description of every branch of every type that it sees: five megabytes for the bodies that are trees.
    """

    def __class_getitem__(cls, shape: object) -> object:
        name = cast("Callable[[str, object], object]", NewType)
        of = cast("Mapping[object, object]", JSONBody)
        return of[name("Body", shape) if get_origin(shape) is dict else shape]


_WORDS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "FromPath": FromPath,
        "FromQuery": FromQuery,
        "JSONBody": _JsonBody,
        "PathParameter": PathParameter,
        "QueryParameter": QueryParameter,
        "Request": Request,
        "State": State,
    }
)
"""Words in the annotations of handlers, whose modules do not load the framework."""


def typed(
    fronts: Fronts,
    method: Method,
    paths: Sequence[str],
    *,
    operation_id: str,
    scope: str,
    operator: bool = False,
    status: int = 200,
    media_type: str = "application/json",
) -> HTTPRouteHandler:
    """Decorates the handler of one operation. What answers GET answers HEAD.

    ``operator``: it concerns all tenants, so keys of others than the operator's are refused.
    """

    async def authorize(connection: ASGIConnection[object, object, object, State], _: BaseRouteHandler) -> None:
        front = fronts.now
        needed = front.scope(operation_id, scope)
        visit = _visit(connection, front)
        if front.ip_filter is not None:
            front.ip_filter.demand(visit.peer, visit.headers, front.trusted_proxies)
        demand_small_head(connection.scope["headers"], front.header_limit_bytes)
        front.askings.note(front.askings.now().request_id, visit.address)
        if needed == PUBLIC:
            return
        record = connection.scope["user"] = await front.authorize(visit, needed)
        if operator:
            record.require_operator()
        if front.fixed and needed == ADMIN and visit.changes and operation_id not in front.unfixed:
            raise PermissionDenied(
                "nothing is changed here through the management API: `server.management` is `read_only`; change gateway.yaml "
                "and build"
            )

    def stamped(app: ASGIApp) -> ASGIApp:
        return _stamped(app, fronts, lambda front: front.scope(operation_id, scope) != PUBLIC)

    methods: list[Method] = [method, "HEAD"] if method == "GET" else [method]
    return HTTPRouteHandler(
        list(paths),
        http_method=methods,
        status_code=status,
        media_type=media_type,
        guards=[authorize],
        before_request=check_body,
        middleware=[stamped],
        request_max_body_size=MAX_BODY_BYTES,
        signature_namespace=_WORDS,
        opt={"allow": ", ".join([*methods, "OPTIONS"]), NOTED: True, **({LENIENT: True} if scope == PUBLIC else {})},
    )


def _visit(connection: ASGIConnection[object, object, object, State], front: Front) -> Visit:
    """Headers are read as for raw operations: those of the framework tell the first of several that have one name."""
    peer = connection.client.host if connection.client is not None else ""
    headers = decode_headers(connection.scope["headers"])
    return Visit(
        method=str(cast("HTTPScope", connection.scope)["method"]),
        headers=headers,
        query={name: values[0] for name, values in connection.query_params.dict().items()},
        peer=peer,
        address=client_address(peer, headers, front.trusted_proxies),
    )


def _stamped(app: ASGIApp, fronts: Fronts, guarded: Callable[[Front], bool]) -> ASGIApp:
    """``app``, with the headers that every answer carries. One that changed the plan names the new build.

    Where it is ``guarded`` the answer is for whoever shows the key alone.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        front = fronts.now
        identity = request_id(scope["headers"], front.new_id)
        front.askings.note(identity, "")
        wanted = cast("HTTPScope", scope)["method"] not in {"GET", "HEAD"}
        body = _Body(cast("wire.Receive", receive), front.body_limit_s, front.door, awaited=wanted)
        started = False

        async def stamp(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await body.leave(decode_headers(scope["headers"]))
                headers = [*message["headers"]]
                if all(name != b"x-request-id" for name, _ in headers):  # the answer to an error has all of these
                    headers += [*fronts.now.base_headers, (b"x-request-id", identity.encode())]
                if guarded(front):
                    headers += encode_headers([KEPT_BY_NOBODY])
                message["headers"] = headers
            await send(message)

        try:
            await app(scope, body.take, stamp)
        except asyncio.CancelledError as error:
            if started or cancelled():
                raise
            raise InternalError("what the call waited for was cancelled") from error
        finally:
            body.over()

    return serve


class _Body:
    """A request's body as the framework takes it: in time and to its end, or an error says so. ``awaited``: there may be one.

    Whoever waits for it is inside ``door``, so that it is told when the gateway stops.
    """

    def __init__(self, receive: wire.Receive, limit_s: float | None, door: Doorway | None, *, awaited: bool) -> None:
        self._receive = receive
        self._limit_s = limit_s
        self._door = door
        self._inside = False
        self._awaited = awaited
        self._ends_s: float | None = None
        self._begun = False

    async def take(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """A `Receive`. Raises InvalidRequest, ShuttingDown."""
        if not self._awaited:
            return cast("HTTPReceiveMessage", await self._receive())
        if self._door is not None and not self._inside:
            self._door.__enter__()
            self._inside = True
        self._begun = True
        now_s = asyncio.get_running_loop().time()
        if self._ends_s is None and self._limit_s is not None:
            self._ends_s = now_s + self._limit_s
        try:
            message = await within(None if self._ends_s is None else self._ends_s - now_s, self._receive())
        except TimeoutError:
            self._begun = False
            raise InvalidRequest(
                f"the request's body did not arrive within {self._limit_s:g} s", code="request_timeout"
            ) from None
        except asyncio.CancelledError:
            farewell = None if self._door is None else self._door.farewell()
            if farewell is None:
                raise
            self._begun = False
            raise farewell from None
        self._awaited = message["type"] == "http.request" and message.get("more_body", False)
        if message["type"] != "http.request":
            raise broken_off()
        if not self._awaited:
            self.over()
        return cast("HTTPReceiveMessage", message)

    def over(self) -> None:
        """Nobody waits for it any more."""
        if self._door is not None and self._inside:
            self._inside = False
            self._door.__exit__(None, None, None)

    async def leave(self, headers: Mapping[str, str]) -> None:
        """Let what has not been taken come, for a while: `linger` says why."""
        if self._awaited:
            self._awaited = False
            await linger(self._receive, headers, LINGER_S if self._begun else UNWANTED_S)
