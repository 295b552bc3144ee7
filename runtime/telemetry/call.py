"""The facts of one call, gathered while it runs and final when it is over."""

from __future__ import annotations

from typing import Literal

import msgspec

from runtime.canonical import Usage

__all__ = ["CallRecord", "Outcome"]

Outcome = Literal["ok", "error", "client_closed"]


class CallRecord(msgspec.Struct, kw_only=True):
    """Grows as the call goes on; the one mutable value on the request path. Times are seconds of a monotonic clock.

    ``model`` is the public name the client asked for, ``served`` the public id of the target, ``upstream_status`` None
    until a provider answered. ``error`` is `GatewayError.kind`. Holds neither prompts nor secrets.
    """

    id: str
    operation: str
    protocol: str
    started_s: float
    key: str = ""
    model: str = ""
    served: str = ""
    provider: str = ""
    connection: str = ""
    upstream_protocol: str = ""
    stream: bool = False
    passed_through: bool = False
    first_token_s: float | None = None
    ended_s: float = 0.0
    status: int = 0
    upstream_status: int | None = None
    outcome: Outcome = "ok"
    error: str | None = None
    usage: Usage | None = None
    losses: tuple[str, ...] = ()
