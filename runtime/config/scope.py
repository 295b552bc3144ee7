"""What every step of a compilation is given: the configuration, where it was written, the catalogue, the diagnostics."""

from __future__ import annotations

import msgspec

from generated.config import GatewayConfig
from runtime.config.catalog import Catalog
from runtime.config.position import Positions
from runtime.source import Diagnostics

__all__ = ["Scope"]


class Scope(msgspec.Struct, frozen=True):
    """``broken`` are entries of the configuration, as (section, name), that were reported and may be incomplete."""

    config: GatewayConfig
    at: Positions
    broken: frozenset[tuple[str, str]]
    catalog: Catalog
    diagnostics: Diagnostics

    def discovers(self, provider_id: str) -> bool:
        """Whether the provider is one of the catalogue that lights up by its variable."""
        discovery = self.config.discovery
        return (
            discovery.providers == "environment"
            and provider_id not in discovery.exclude
            and provider_id in self.catalog.ids
        )

    def sound(self, section: str, name: str) -> bool:
        """Whether the entry was read without a fault, so that what it lacks is really absent."""
        return (section, name) not in self.broken
