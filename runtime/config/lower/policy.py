"""Policies of the configuration, as the plan holds them."""

from __future__ import annotations

from runtime.config.lower.limit import lower_limits
from runtime.config.lower.name import Names
from runtime.config.plan import Policy
from runtime.config.scope import Scope

__all__ = ["lower_policies"]


def lower_policies(scope: Scope, names: Names) -> dict[str, Policy]:
    """Policies by name, in the order of their names. Bare names of models become the public ids they stand for."""
    return {
        name: Policy(
            keys=tuple(sorted(set(settings.keys))),
            tenants=tuple(sorted(set(settings.tenants))),
            models=tuple(sorted({names.public(model) for model in settings.models})),
            allowed_models=tuple(sorted({names.public(model) for model in settings.allowed_models})),
            count=settings.count,
            limits=lower_limits(settings.limits),
        )
        for name, settings in sorted(scope.config.policies.items())
    }
