"""The operations that manage the configuration and show what was used, of one plan: services and what they implement."""

from __future__ import annotations

import time

from generated.api import (
    aliases,
    combos,
    connections,
    policies,
    pricing,
    provider_models,
    provider_nodes,
    settings,
    usage,
)
from runtime.config.effective import Effective
from runtime.gateway import Gateway
from runtime.lasting import Lasting, new_id
from runtime.routing import RouteTable
from runtime.services.aliases import Aliases
from runtime.services.combos import Combos
from runtime.services.connections import Connections
from runtime.services.overrides import Overrides
from runtime.services.policies import Policies
from runtime.services.pricing import Pricing
from runtime.services.provider_models import ProviderModels
from runtime.services.provider_nodes import ProviderNodes
from runtime.services.proxying import Proxying
from runtime.services.settings import GatewaySettings
from runtime.services.trial import Trial
from runtime.services.usage import Usages
from runtime.stores.history import History
from runtime.surface import Served, served
from runtime.telemetry import Recorder

__all__ = ["managed"]


def managed(
    parts: Lasting,
    found: Effective,
    overrides: Overrides,
    routes: RouteTable,
    gateway: Gateway,
    recorder: Recorder,
) -> list[Served]:
    """What they implement, over the same parts as those of the calls that the plan answers."""
    trial = Trial(
        found.artefact.plan,
        routes,
        parts.attempts.health,
        gateway,
        parts.codecs["openai_chat"],
        recorder,
        parts.upstream,
        new_id,
        time.monotonic,
    )
    history = History(parts.database)
    return [
        served(connections.build_routes, Connections(overrides, trial, time.time)),
        served(provider_nodes.build_routes, ProviderNodes(overrides, trial, parts.ready.base.catalog.ids)),
        served(provider_models.build_routes, ProviderModels(overrides)),
        served(pricing.build_routes, Pricing(overrides, parts.ready.base.catalog, time.time)),
        served(policies.build_routes, Policies(overrides)),
        served(settings.build_routes, GatewaySettings(overrides, Proxying(overrides, trial))),
        served(
            usage.build_routes,
            Usages(found.artefact.plan, history, parts.attempts.health, time.time, parts.ready.pepper),
        ),
        served(combos.build_routes, Combos(overrides, trial, history, time.time)),
        served(aliases.build_routes, Aliases(found.artefact, overrides, routes)),
    ]
