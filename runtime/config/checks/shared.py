"""The shared state's settings: a place that goes with its URL, and workers that can know of each other."""

from __future__ import annotations

from runtime.config.draft import Draft
from runtime.config.scope import Scope

__all__ = ["check_shared"]


def check_shared(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check that `where`, `url` and the number of workers go together."""
    shared, at = scope.config.shared, scope.at
    if shared.where == "redis" and shared.url is None:
        hint = "write `url: ${REDIS_URL}`, or `where: auto`"
        scope.diagnostics.error("missing-field", at.value("shared", "where"), "`redis` needs a `url`", hint)
    if shared.where in {"memory", "file"} and shared.url is not None:
        message = f"`url` leads to a server, and `where: {shared.where}` would not ask it"
        hint = "remove one of the two"
        scope.diagnostics.error("contradiction", at.value("shared", "url"), message, hint)
    if shared.where == "memory" and scope.config.server.workers > 1:
        message = "the workers know nothing of each other: sessions, caches and failures are each one's own"
        hint = "write `where: auto`, or `workers: 1`"
        scope.diagnostics.warn("unshared-workers", at.value("shared", "where"), message, hint)
