"""The facts of one call, gathered while it runs and final when it is over."""

from __future__ import annotations

from typing import Literal

import msgspec

from runtime.canonical import Usage

__all__ = ["AttemptRecord", "CallRecord", "Outcome", "Skipped"]

Outcome = Literal["ok", "error", "client_closed"]


class AttemptRecord(msgspec.Struct, kw_only=True):
    """One request that was sent to one target, or was to be. ``outcome`` is `ok`, `cancelled`, or `GatewayError.kind`.

    ``label`` stands for the target where names must not be made up by clients. ``status`` is None until there was one.
    """

    target: str
    label: str
    connection: str
    started_s: float
    ended_s: float = 0.0
    outcome: str = ""
    status: int | None = None
    usage: Usage | None = None


class Skipped(msgspec.Struct, frozen=True):
    """A target that was not asked over a connection, and why: `circuit_open`, `rate_limit`, `quota`, `credential`, `busy`."""

    target: str
    label: str
    connection: str
    reason: str


class CallRecord(msgspec.Struct, kw_only=True):
    """Grows as the call goes on; the one mutable value on the request path. Times are seconds of a monotonic clock.

    ``model`` is the public name the client asked for, ``served`` the public id of the target, ``upstream_status`` None
    until a provider answered. ``error`` is `GatewayError.kind`. What is said of a target (``served``, ``provider``, …) is
    said of the last one asked; ``attempts`` holds them all, in order. Holds neither prompts nor secrets.
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
    attempts: list[AttemptRecord] = []
    skipped: list[Skipped] = []
