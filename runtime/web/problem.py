"""Errors of everything that is no vendor's dialect, as RFC 9457 problems."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from runtime.errors import GatewayError, Refused

if TYPE_CHECKING:
    from runtime.web.front import Rendered

__all__ = ["CONTENT_TYPE", "Problem", "render_problem"]

CONTENT_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, section 3.1, with our word for the error, the request's id, and what a compiler says of it."""

    type: str
    title: str
    status: int
    detail: str
    kind: str
    request_id: str
    param: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """What the compiler says of a change of the configuration."""

    severity: str
    code: str
    message: str
    hint: str | None
    path: str | None
    position: str


class _Reply(msgspec.Struct, frozen=True):
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render_problem(error: GatewayError, request_id: str) -> Rendered:
    """A `Render` for routes that speak no vendor's dialect."""
    status = error.http_status
    problem = Problem(
        type=f"urn:gatewright:error:{error.kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        kind=error.kind,
        request_id=request_id,
        param=error.param,
        diagnostics=tuple(Diagnostic(**fault._asdict()) for fault in error.faults)
        if isinstance(error, Refused)
        else (),
    )
    headers = [("content-type", CONTENT_TYPE), ("x-request-id", request_id)]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(max(0, math.ceil(error.retry_after_s)))))
    return _Reply(status, tuple(headers), msgspec.json.encode(problem))
