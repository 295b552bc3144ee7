"""Routes whose operations are typed: Litestar parses, calls and encodes; key and body are checked before, the answer stamped.

For everything that is not inference. Errors become problems in `problem`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from litestar.handlers import HTTPRouteHandler

from runtime.errors import PermissionDenied
from runtime.web.address import client_address
from runtime.web.body import UNWANTED_S, linger
from runtime.web.front import Front, Fronts, request_id
from runtime.web.head import demand_small_head
from runtime.web.header import decode_headers
from runtime.web.json_body import LENIENT, check_body
from runtime.web.key import ADMIN, PUBLIC
from runtime.web.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.connection import ASGIConnection
    from litestar.datastructures import State
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
        return _stamped(app, fronts)

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
        opt={"allow": ", ".join([*methods, "OPTIONS"]), **({LENIENT: True} if scope == PUBLIC else {})},
    )


def _visit(connection: ASGIConnection[object, object, object, State], front: Front) -> Visit:
    peer = connection.client.host if connection.client is not None else ""
    return Visit(
        method=str(cast("HTTPScope", connection.scope)["method"]),
        headers=connection.headers,
        query={name: values[0] for name, values in connection.query_params.dict().items()},
        peer=peer,
        address=client_address(peer, connection.headers, front.trusted_proxies),
    )


def _stamped(app: ASGIApp, fronts: Fronts) -> ASGIApp:
    """``app``, with the headers that every answer carries. One that changed the plan names the new build."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        front = fronts.now
        identity = request_id(scope["headers"], front.new_id)
        front.askings.note(identity, "")
        wanted = cast("HTTPScope", scope)["method"] in {"GET", "HEAD"}

        async def take() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal wanted
            wanted = True
            return await receive()

        async def stamp(message: Message) -> None:
            if message["type"] == "http.response.start":
                if not wanted:
                    await linger(cast("wire.Receive", receive), decode_headers(scope["headers"]), UNWANTED_S)
                own = (*fronts.now.base_headers(), (b"x-request-id", identity.encode()))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await app(scope, take, stamp)

    return serve
