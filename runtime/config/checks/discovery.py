"""What the section `discovery` names, and whether there is anything to serve at all."""

from __future__ import annotations

from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.source import closest

__all__ = ["check_discovery"]


def check_discovery(scope: Scope, draft: Draft) -> None:
    """Check the excluded providers, and warn of a plan without a single public name."""
    for index, id_ in enumerate(scope.config.discovery.exclude):
        if id_ not in scope.catalog.ids:
            near = closest(id_, scope.catalog.ids)
            hint = f"did you mean {near!r}?" if near else "it has nothing to exclude"
            span = scope.at.value("discovery", "exclude", index)
            scope.diagnostics.error("unknown-provider", span, f"the catalogue has no provider {id_!r}", hint)
    if not draft.routes and not draft.names.open_providers and not scope.broken and not scope.diagnostics.failed:
        hint = "configure a provider, or write `discovery: {providers: environment}`"
        scope.diagnostics.warn(
            "nothing-to-serve", scope.at.value(), "no model can be called with this configuration", hint
        )
