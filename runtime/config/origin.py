"""Where each entity of a plan was written, kept beside the plan so that moving a line does not make a new build."""

from __future__ import annotations

from runtime.config.data import plan_sections
from runtime.config.scope import Scope

__all__ = ["read_origins"]


def read_origins(scope: Scope) -> dict[str, str]:
    """Entities (`combos.smart`, `providers.openai.connections.main`) to positions. What the catalogue gives has none."""
    config, at = scope.config, scope.at
    origins: dict[str, str] = {}
    for section in (*plan_sections(), "discovery"):
        if at.node(section) is not None:
            origins[section] = str(at.key(section))
    for section, names in (("aliases", config.aliases), ("combos", config.combos), ("keys", config.keys)):
        for name in names:
            origins[f"{section}.{name}"] = str(at.key(section, name))
    for name, combo in config.combos.items():
        for index in range(len(combo.targets)):
            origins[f"combos.{name}.targets.{index}"] = str(at.value("combos", name, "targets", index))
    for name, provider in config.providers.items():
        origins[f"providers.{name}"] = str(at.key("providers", name))
        for index, connection in enumerate(provider.connections):
            span = at.value("providers", name, "connections", index)
            origins[f"providers.{name}.connections.{connection.id}"] = str(span)
        for model in provider.models:
            origins[f"providers.{name}.models.{model}"] = str(at.key("providers", name, "models", model))
    return dict(sorted(origins.items()))
