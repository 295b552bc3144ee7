"""Tenants of the configuration, as the plan holds them."""

from __future__ import annotations

from runtime.config.lower.limit import lower_limits
from runtime.config.plan import Tenant
from runtime.config.scope import Scope

__all__ = ["lower_tenants"]


def lower_tenants(scope: Scope) -> dict[str, Tenant]:
    """Tenants by id, in the order of their ids."""
    return {
        id_: Tenant(name=settings.name or id_, limits=lower_limits(settings.limits))
        for id_, settings in sorted(scope.config.tenants.items())
    }
