"""A change of what is known of providers, as one worker tells it to the others."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from runtime.errors import GatewayError, RateLimited, UpstreamAuthFailed, UpstreamQuotaExceeded
from runtime.resilience.cooldown import Cooldown, Kind

__all__ = ["Change", "rest_of", "rests"]


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``at_s`` is when it happened by the clock of who tells; on its way, how long ago. ``for_s`` is from then on.

    ``opened``, ``trial`` and ``closed`` are a model's breaker, ``rests`` is a cooldown of ``connection``, wholly where
    ``model`` is None.
    """

    what: Literal["opened", "trial", "closed", "rests"]
    at_s: float
    for_s: float = 0.0
    model: str | None = None
    connection: str = ""
    kind: Kind = "rate_limit"
    level: float = 1.0
    message: str = ""
    code: str | None = None
    credential: str = ""


_ERRORS: Final[dict[Kind, type[GatewayError]]] = {
    "rate_limit": RateLimited,
    "quota": UpstreamQuotaExceeded,
    "credential": UpstreamAuthFailed,
}


def rests(connection: str, model: str | None, rest: Cooldown, now_s: float) -> Change:
    """That ``rest`` has begun."""
    return Change(
        what="rests",
        at_s=now_s,
        for_s=rest.until_s - now_s,
        model=model,
        connection=connection,
        kind=rest.kind,
        level=rest.level,
        message=rest.error.message,
        code=rest.error.code,
    )


def rest_of(change: Change) -> Cooldown:
    """The cooldown that ``change``, told by another worker, says."""
    error = _ERRORS[change.kind](change.message, code=change.code)
    return Cooldown(change.at_s + change.for_s, change.kind, error, change.level)
