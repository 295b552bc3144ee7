"""Limits that can never be reached, that nothing could ever meet, or that lie beyond what they grow to."""

from __future__ import annotations

from generated.config import TimeoutSettings
from runtime.config.dial import inverted
from runtime.config.draft import Draft
from runtime.config.lower.given import overridden
from runtime.config.scope import Scope

__all__ = ["check_timeouts"]

_PARTS = ("connect", "first_byte", "first_byte_unstreamed", "first_token", "idle")
_WITHIN = (*_PARTS, "queue", "early_head")
_RESTS = ("rate_limit", "quota", "credential")


def check_timeouts(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check the sections `timeouts`, `retries`, `breakers`, `cooldowns`, and each provider's limits as they come out."""
    config = scope.config
    _check(scope, config.timeouts, ("timeouts",))
    for path, message, hint in inverted(config.retries, config.breakers):
        written = next((each for each in path if scope.at.node(*each) is not None), path[0])
        scope.diagnostics.error("contradiction", scope.at.value(*written), message, hint)
    _check_within(
        scope, ("retries", "max_retry_after"), config.retries.max_retry_after_ms, "total", config.timeouts.total_ms
    )
    for name in _RESTS:
        if scope.at.node("cooldowns", "max") is not None:
            rest_ms = getattr(config.cooldowns, f"{name}_ms")
            _check_within(scope, ("cooldowns", name), rest_ms, "max", config.cooldowns.max_ms)
    for id_, settings in scope.config.providers.items():
        if settings.timeouts is not None:
            _check(scope, overridden(scope.config.timeouts, settings.timeouts), ("providers", id_, "timeouts"))


def _check(scope: Scope, timeouts: TimeoutSettings, path: tuple[str, ...]) -> None:
    for name in (*_PARTS, "total", "body_read", "client_write"):
        written = scope.at.node(*path, name) is not None
        if written and getattr(timeouts, f"{name}_ms") == 0:
            hint = "every wait has a limit; write a duration such as 10s"
            message = f"{name}: 0 would fail every call"
            scope.diagnostics.error("invalid-value", scope.at.value(*path, name), message, hint)
    for name in _WITHIN:
        _check_within(scope, (*path, name), getattr(timeouts, f"{name}_ms"), "total", timeouts.total_ms)


def _check_within(scope: Scope, path: tuple[str, ...], part_ms: int, whole: str, whole_ms: int) -> None:
    """Warn of what was written at ``path`` where it is longer than ``whole``, which comes first."""
    if part_ms > whole_ms and scope.at.node(*path) is not None:
        message = f"{path[-1]} ({part_ms / 1000:g}s) is longer than {whole} ({whole_ms / 1000:g}s) and never reached"
        hint = f"raise `{whole}` or lower it"
        scope.diagnostics.warn("limit-never-reached", scope.at.value(*path), message, hint)
