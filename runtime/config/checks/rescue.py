"""Rescue and hedging of combos: settings that need somebody else to ask, and limits of what is not done."""

from __future__ import annotations

from typing import Final

from runtime.config.draft import Draft
from runtime.config.scope import Scope

__all__ = ["check_rescues"]

BUFFER_LIMIT: Final = 8 << 20


def check_rescues(scope: Scope, draft: Draft) -> None:
    """Check every combo."""
    for name, combo in scope.config.combos.items():
        route = draft.routes.get(name)
        if route is not None and scope.sound("combos", name):
            models = {target.model for target in route.targets}
            ways = {(target.model, connection) for target in route.targets for connection in target.connections}
            if combo.rescue == "splice" and len(models) == 1:
                message = f"combo {name!r} has one model, so nobody else could go on with an answer that breaks off"
                span = scope.at.value("combos", name, "rescue")
                hint = "add a target, or write `rescue: buffer`, which asks the same again"
                scope.diagnostics.warn("ignored-setting", span, message, hint)
            if combo.hedge is not None and len(ways) == 1:
                message = f"combo {name!r} has one target over one connection, so there is nobody to ask beside it"
                span = scope.at.key("combos", name, "hedge")
                scope.diagnostics.warn("ignored-setting", span, message, "add a target, or remove it")
        if combo.rescue != "buffer" and combo.buffer_limit_bytes != BUFFER_LIMIT:
            message = f"the rescue `{combo.rescue}` holds nothing back"
            span = scope.at.key("combos", name, "buffer_limit")
            scope.diagnostics.warn("ignored-setting", span, message, "write `rescue: buffer`, or remove it")
