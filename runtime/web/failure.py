"""What the web framework's application does with exceptions, and what an unknown path is answered.

Below an inference prefix an unknown path is answered in the dialect that is spoken there, or that the client's headers
speak, because SDKs read nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.response.base import ASGIResponse
from typing_extensions import override

from runtime.errors import (
    Conflict,
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMedia,
    brief,
    failed_inside,
)
from runtime.web.body import UNWANTED_S, linger
from runtime.web.front import Front, Fronts, Rendered, request_id
from runtime.web.head import HeadTooLarge
from runtime.web.header import decode_headers
from runtime.web.negotiate import NEGOTIATED, territory
from runtime.web.problem import CONTENT_TYPE, render_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestar import Litestar
    from litestar.types import Receive, Scope, Send

    from runtime.web import wire

__all__ = ["NOTED", "exception_handler"]

AnyRequest: TypeAlias = Request[object, object, State]
NOTED: Final = "noted"
"""Marks a route that has noted the call's id."""


class _Fault(msgspec.Struct, frozen=True):
    """What Litestar says of one field."""

    message: str = ""
    key: str | None = None


class _AfterBody(ASGIResponse):
    """Goes out when the body, which nobody wanted, has come, or has had a moment to: `linger` says why."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await linger(cast("wire.Receive", receive), decode_headers(scope["headers"]), UNWANTED_S)
        await super().__call__(scope, receive, send)


class _Unrouted(Response[bytes]):
    """What is answered where no route reads, or lets come, what the client sends."""

    @override
    def to_asgi_response(self, app: Litestar | None, request: AnyRequest, **_: object) -> ASGIResponse:
        return _AfterBody(
            body=self.content, headers=self.headers, media_type=self.media_type, status_code=self.status_code
        )


def exception_handler(
    fronts: Fronts, on_fault: Callable[[Exception, str], None]
) -> Callable[[AnyRequest, Exception], Response[bytes]]:
    """What the application does with exceptions that reach it, nothing having been sent yet.

    Args:
        fronts: what routes share; below its ``spoken`` prefixes unknown paths are answered in a vendor's dialect.
        on_fault: told of every exception that is a fault of ours, with the request's id.
    """

    def handle(request: AnyRequest, error: Exception) -> Response[bytes]:
        front = fronts.now
        noted = NOTED in (_options(request) or {})
        identity = front.askings.now().request_id if noted else request_id(request.scope["headers"], front.new_id)
        told = _told(request, _shut_out(request, front) or error)
        if isinstance(told, InternalError):
            on_fault(error, identity)
        reply = _render(request, front)(told, identity)
        origin = request.headers.get("origin")
        base = front.base_headers + front.cors.answer(origin.encode("latin-1") if origin is not None else None)
        headers = {name.decode(): value.decode() for name, value in base} | dict(reply.headers)
        if isinstance(told, MethodNotAllowed):
            headers["allow"] = _allow(request, error)
        if isinstance(told, HeadTooLarge):
            headers["connection"] = "close"
        media_type = headers.pop("content-type", CONTENT_TYPE)
        taken = _options(request) is not None or request.method in {"GET", "HEAD"}
        made: type[Response[bytes]] = Response[bytes] if taken else _Unrouted
        return made(reply.body, status_code=reply.status, headers=headers, media_type=media_type)

    return handle


def _shut_out(request: AnyRequest, front: Front) -> GatewayError | None:
    """What whoever may not call is told, whatever else is wrong: not even which paths there are."""
    if front.ip_filter is None:
        return None
    peer = request.client.host if request.client is not None else ""
    try:
        front.ip_filter.demand(peer, decode_headers(request.scope["headers"]), front.trusted_proxies)
    except GatewayError as refused:
        return refused
    return None


def _told(request: AnyRequest, error: Exception) -> GatewayError:
    """What the client is told of ``error``."""
    if isinstance(error, GatewayError):
        return error
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.scope["path"]
    match status:
        case 404:
            return NotFound(f"no endpoint {request.method} {brief(path)}; see /openapi.json")
        case 405:
            return MethodNotAllowed(f"{request.method} is not for {brief(path)}; allowed: {_allow(request, error)}")
        case 409:
            return Conflict("the request does not fit the state of what it is about")
        case 413:
            return TooLarge("the request's body is too large")
        case 415:
            return UnsupportedMedia("the request's content type is not understood")
        case _ if 400 <= status < 500:
            return _invalid(error)
        case _:
            return failed_inside()


def _invalid(error: Exception) -> InvalidRequest:
    """Litestar's own sentence repeats the URL, which may hold a key; that part is not told."""
    extra: object = error.extra if isinstance(error, ValidationException) else None
    faults = msgspec.convert(extra, list[_Fault]) if isinstance(extra, list) else []
    if faults:
        told = "; ".join(f"{fault.key}: {fault.message}" if fault.key else fault.message for fault in faults)
        return InvalidRequest(told, param=faults[0].key)
    detail = error.detail if isinstance(error, HTTPException) else ""
    detail = detail.partition(" for path ")[0]
    return InvalidRequest("the request cannot be understood" if "?" in detail else detail)


def _render(request: AnyRequest, front: Front) -> Callable[[GatewayError, str], Rendered]:
    options, path = _options(request), request.scope["path"]
    if options is None:
        known = territory(path, front.spoken) is not None
        return front.render(NEGOTIATED, path, request.headers) if known else render_problem
    protocols = options.get("protocols")
    protocol = cast("Mapping[str, str]", protocols).get(request.method) if protocols is not None else None
    return front.render(protocol, path, request.headers) if protocol else render_problem


def _allow(request: AnyRequest, error: Exception) -> str:
    declared = _text(_options(request) or {}, "allow")
    given = error.headers or {} if isinstance(error, HTTPException) else {}
    return declared or ", ".join(sorted(given.get("allow", "").split(", ")))


def _options(request: AnyRequest) -> Mapping[str, object] | None:
    """What the route says of itself; None when the path has no route."""
    return request.scope["route_handler"].opt if "route_handler" in request.scope else None


def _text(options: Mapping[str, object], name: str) -> str:
    found = options.get(name)
    return found if isinstance(found, str) else ""
