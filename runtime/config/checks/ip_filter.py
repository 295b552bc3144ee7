"""Which addresses may call: what is listed are addresses, bans end at a time that exists, and somebody is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.web.address import network

__all__ = ["check_ip_filter"]


def check_ip_filter(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check `server.ip_filter`."""
    settings = scope.config.server.ip_filter
    if settings is None:
        return
    for path, written in _written(scope):
        if not _is_network(written):
            hint = "write an address or a CIDR block without host bits, such as 10.0.0.0/8"
            at = scope.at.value("server", "ip_filter", *path)
            scope.diagnostics.error("invalid-value", at, f"{written!r} is no network", hint)
    for index, ban in enumerate(settings.bans):
        if not _is_time(ban.until):
            at = scope.at.value("server", "ip_filter", "bans", index, "until")
            scope.diagnostics.error(
                "invalid-value", at, f"{ban.until!r} is no time", "write it as 2027-01-31T00:00:00Z"
            )
    if settings.enabled and settings.mode == "allow" and not settings.allow:
        at = scope.at.value("server", "ip_filter", "mode")
        message = "nobody could call: the mode is `allow`, and nobody is allowed"
        scope.diagnostics.error("contradiction", at, message, "list who may call under `allow`")


def _written(scope: Scope) -> Iterator[tuple[tuple[str | int, ...], str]]:
    settings = scope.config.server.ip_filter
    if settings is not None:
        yield from ((("allow", index), each) for index, each in enumerate(settings.allow))
        yield from ((("deny", index), each) for index, each in enumerate(settings.deny))
        yield from ((("bans", index, "address"), each.address) for index, each in enumerate(settings.bans))


def _is_network(written: str) -> bool:
    try:
        network(written)
    except ValueError:
        return False
    return True


def _is_time(written: str) -> bool:
    try:
        datetime.fromisoformat(written)
    except ValueError:
        return False
    return True
