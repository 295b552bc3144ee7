"""The operations that manage the configuration and show what was used, of one plan: services and their routes."""

from __future__ import annotations

import time

from litestar import Router

from generated.api import aliases, combos, connections, policies, pricing, provider_models, provider_nodes, settings
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
from runtime.telemetry import Recorder
from runtime.web.front import Front

__all__ = ["managed"]


def managed(
    parts: Lasting,
    found: Effective,
    overrides: Overrides,
    routes: RouteTable,
    gateway: Gateway,
    recorder: Recorder,
    front: Front,
) -> list[Router]:
    """The routes, over the same parts as those of the calls that the plan answers."""
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
    return [
        connections.build_router(Connections(overrides, trial, time.time), front),
        provider_nodes.build_router(ProviderNodes(overrides, trial, parts.ready.base.catalog.ids), front),
        provider_models.build_router(ProviderModels(overrides), front),
        pricing.build_router(Pricing(overrides, parts.ready.base.catalog, time.time), front),
        policies.build_router(Policies(overrides), front),
        settings.build_router(GatewaySettings(overrides, Proxying(overrides, trial)), front),
        combos.build_router(Combos(overrides, trial, time.time), front),
        aliases.build_router(Aliases(found.artefact, overrides, routes), front),
    ]
