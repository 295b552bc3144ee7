"""Where each entity of a plan was written, kept beside the plan so that moving a line does not make a new build."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from runtime.config.data import plan_sections
from runtime.config.scope import Scope
from runtime.source import MappingNode

__all__ = ["read_origins"]


_SECTIONS: Final = ("timeouts", "retries", "breakers", "cooldowns", "sessions", "idempotency", "cache")
"""Those whose settings are reasons by themselves for what becomes of a request."""

_OF_COMBOS: Final = ("strategy", "hedge", "rescue", "sessions")


def read_origins(scope: Scope) -> dict[str, str]:
    """Entities (`combos.smart`, `providers.openai.connections.main`, `retries.per_target`) to positions.

    What the catalogue gives has none, and neither has a default.
    """
    config, at = scope.config, scope.at
    origins: dict[str, str] = {}
    for section in (*plan_sections(), "discovery"):
        if at.node(section) is not None:
            origins[section] = str(at.key(section))
    named = (
        ("aliases", config.aliases), ("combos", config.combos), ("keys", config.keys), ("tenants", config.tenants),
        ("policies", config.policies),
    )  # fmt: skip
    for section, names in named:
        for name in names:
            origins[f"{section}.{name}"] = str(at.key(section, name))
    for section in _SECTIONS:
        origins |= _settings(scope, section)
    for name, combo in config.combos.items():
        origins |= _settings(scope, "combos", name, only=_OF_COMBOS)
        for index in range(len(combo.targets)):
            origins[f"combos.{name}.targets.{index}"] = str(at.value("combos", name, "targets", index))
    for name, provider in config.providers.items():
        origins[f"providers.{name}"] = str(at.key("providers", name))
        origins |= _settings(scope, "providers", name, only=("sessions",))
        for index, connection in enumerate(provider.connections):
            span = at.value("providers", name, "connections", index)
            origins[f"providers.{name}.connections.{connection.id}"] = str(span)
        for model in provider.models:
            origins[f"providers.{name}.models.{model}"] = str(at.key("providers", name, "models", model))
    return dict(sorted(origins.items()))


def _settings(scope: Scope, *path: str, only: Collection[str] = ()) -> dict[str, str]:
    """The settings below ``path`` that are written, ``only`` these where that is given."""
    node = scope.at.node(*path)
    entries = node.entries if isinstance(node, MappingNode) else ()
    return {".".join((*path, each.key)): str(each.span) for each in entries if not only or each.key in only}
