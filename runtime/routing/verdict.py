"""What the client is told when no target answered: the most telling error, and how many were tried."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    RateLimited,
    RequestError,
    RouteUnavailable,
)
from runtime.routing.queue import Hindered
from runtime.routing.tree import Place

__all__ = ["final_error"]

_WHY = {
    "circuit_open": "it failed too often",
    "rate_limit": "it is rate-limited",
    "quota": "its quota is exhausted",
    "credential": "it refused the gateway's credential",
    "limit": "a limit that the gateway keeps to is reached",
    "spent": "its quota is used up",
    "busy": "all places of its connection are taken",
}


def final_error(
    model: str, failures: Sequence[tuple[Place, GatewayError]], hindered: Sequence[Hindered], now_s: float
) -> GatewayError:
    """The error for a request of ``model`` of which all attempts failed, or none could be made.

    A fault of the client's comes first, then a rate limit, with the shortest of the waits, then the last error.
    """
    if failures:
        return _of_failures(failures, hindered, now_s)
    if hindered:
        return _of_hindered(model, hindered, now_s)
    message = f"no target of {model!r} takes a request like this one: each has conditions, and it meets none of them"
    return InvalidRequest(message, param="model")


def _of_failures(
    failures: Sequence[tuple[Place, GatewayError]], hindered: Sequence[Hindered], now_s: float
) -> GatewayError:
    errors = [error for _, error in failures]
    faults = [error for error in errors if isinstance(error, RequestError) and not _elsewhere(error)]
    limits = [error for error in errors if isinstance(error, RateLimited)]
    told = (faults or limits or errors)[-1]
    if limits and told in limits:
        waits = [error.retry_after_s for error in limits if error.retry_after_s is not None]
        waits += [each.hindrance.due_s - now_s for each in hindered]
        told.retry_after_s = max(0.0, min(waits)) if waits else None
    tried = len({place.candidate.id for place, _ in failures})
    skipped = len({each.place.candidate.id for each in hindered} - {place.candidate.id for place, _ in failures})
    notes = ([f"{tried} targets were tried"] if tried > 1 else []) + (
        [f"{skipped} could not be asked now"] if skipped else []
    )
    if notes:
        told.message = f"{told.message} ({', '.join(notes)})"
    return told


def _of_hindered(model: str, hindered: Sequence[Hindered], now_s: float) -> GatewayError:
    """Everything rests: say why, and when the first of them can be asked again."""
    first = min(hindered, key=lambda each: each.hindrance.due_s)
    reasons = {each.place.candidate.id: _WHY[each.hindrance.reason] for each in hindered}
    shown = "; ".join(f"{target}: {reason}" for target, reason in list(reasons.items())[:5])
    wait_s = max(0.0, first.hindrance.due_s - now_s)
    message = f"no target of {model!r} can be asked now ({shown})"
    cause = first.hindrance.error
    if cause is None:
        return RouteUnavailable(message, retry_after_s=wait_s)
    return type(cause)(message, retry_after_s=wait_s, code=cause.code)


def _elsewhere(error: RequestError) -> bool:
    """Errors of the client's kind that come from what the target is, not from what was asked."""
    return isinstance(error, RateLimited | NotFound)
