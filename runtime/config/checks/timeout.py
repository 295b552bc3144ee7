"""Limits that can never be reached, or that nothing could ever meet."""

from __future__ import annotations

from generated.config import TimeoutSettings
from runtime.config.draft import Draft
from runtime.config.lower.given import overridden
from runtime.config.scope import Scope

__all__ = ["check_timeouts"]

_PARTS = ("connect", "first_byte", "first_byte_unstreamed", "first_token", "idle")


def check_timeouts(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check the section `timeouts` and each provider's own limits as they come out after the overriding."""
    _check(scope, scope.config.timeouts, ("timeouts",))
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
    for name in _PARTS:
        part = getattr(timeouts, f"{name}_ms")
        if part > timeouts.total_ms > 0 and scope.at.node(*path, name) is not None:
            message = (
                f"{name} ({part / 1000:g}s) is longer than total ({timeouts.total_ms / 1000:g}s) and never reached"
            )
            hint = "raise `total` or lower it"
            scope.diagnostics.warn("limit-never-reached", scope.at.value(*path, name), message, hint)
