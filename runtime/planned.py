"""What is built anew for each plan: how calls find their targets, and the services that implement the operations.

Stands upon what lasts (`runtime.lasting`) and holds nothing that a new plan would have to take over. Building it has no
effect until `runtime.surface` lets calls in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from generated.api import (
    SPOKEN,
    cache,
    chat,
    completions,
    embeddings,
    explain,
    health,
    messages,
    models,
    monitoring,
    ollama,
    providers,
    resilience,
    resources,
    responses,
    root,
)
from runtime.config.build import COMPILER
from runtime.config.effective import Effective
from runtime.gateway import Gateway
from runtime.guide import Guide
from runtime.lasting import Lasting, new_id
from runtime.limits.admission import Admission
from runtime.limits.rules import Rulings
from runtime.managed import managed
from runtime.metered import metered
from runtime.operated import entrance_of, operated, told_system, trusted_proxies
from runtime.replay.parts import Clocks, build_replay
from runtime.resilience.quota_news import QUOTA, told_quota
from runtime.routing import RouteTable
from runtime.services.background import Background
from runtime.services.caching import CACHES, Caching, told_caches
from runtime.services.catalogue import Catalogue
from runtime.services.chat import Chat
from runtime.services.completions import Completions
from runtime.services.embeddings import Embeddings
from runtime.services.entrance import Entrance
from runtime.services.explaining import EXPLAIN, Explaining, Reasoner
from runtime.services.gemini import Gemini
from runtime.services.health import HealthReport
from runtime.services.inference import Inference
from runtime.services.ip_filtering import ip_filter_of
from runtime.services.keyring import KEYS
from runtime.services.messages import Messages
from runtime.services.models import Models
from runtime.services.monitoring import LATENCIES, Monitoring, told_latencies
from runtime.services.ollama import Ollama
from runtime.services.overrides import OVERRIDES, Overrides
from runtime.services.prompts import Prompts
from runtime.services.providers import Providers
from runtime.services.resilience import HEALTH, RESET, ResilienceControl, told_health, told_reset
from runtime.services.response_request import Reader
from runtime.services.responses import Kept, Responses
from runtime.services.root import Root
from runtime.services.scraping import COUNTED, Scraping, told_counted
from runtime.services.system import SYSTEM
from runtime.shared.colleagues import Told
from runtime.surface import Served, served
from runtime.telemetry import Recorder
from runtime.web.front import Cors, Front
from runtime.web.key import ADMIN, PUBLIC
from runtime.web.negotiate import PROBLEM
from runtime.web.problem import render_problem

__all__ = ["Planned", "planned"]


UNFIXED: Final = frozenset(
    {
        "cleanBackups",
        "clearCache",
        "clearCacheStats",
        "createBackup",
        "resetMonitoringHealth",
        "resetResilience",
        "restart",
        "revokeKey",
        "shutdown",
        "testCombo",
        "testComboByName",
        "testConnection",
        "testConnections",
        "testProxy",
        "validateConnection",
        "validateNode",
    }
)
"""What is done even where the configuration is read only: it ends harm, or changes what is known and not what is configured."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What serves one plan. ``told`` is what is done with news of colleagues, ``public`` what bare names stand for."""

    services: Sequence[Served]
    front: Front
    told: Mapping[str, Told]
    public: Callable[[str], str]


def planned(parts: Lasting, found: Effective, overrides: Overrides) -> Planned:
    """What serves the plan of ``found``."""
    artefact, plan, secrets = found.artefact, found.artefact.plan, found.secrets
    clients, door, on_fault = parts.clients, parts.door, parts.on_fault
    recorder = Recorder(
        parts.metrics, parts.log_of(found), time.monotonic, parts.decisions, parts.latencies, parts.ledger
    )
    routes = RouteTable(plan, secrets.connections)
    guide = Guide(parts.sessions, plan.sessions.keep)
    admission = Admission(Rulings(plan), plan.limits, parts.reserves, parts.clock.now_ms, parts.metrics.limit_reached)
    gateway = Gateway(
        plan,
        parts.codecs,
        parts.embedders,
        routes,
        parts.attempts,
        parts.upstream,
        recorder,
        parts.estimator,
        door,
        time.time,
        guide,
        secrets.proxies,
        admission,
    )
    replay = build_replay(
        artefact,
        gateway,
        parts.embedders,
        parts.memory.local(plan),
        recorder,
        parts.shared,
        door,
        Clocks(now=time.time, monotonic=time.monotonic),
        new_id,
        on_fault,
        parts.memory,
    )
    inference = Inference(plan, clients, parts.embedders, gateway, parts.access, recorder, door, replay)
    completing = Completions(inference, Prompts(gateway, door, plan.requests, time.time))
    catalogue = Catalogue(routes, parts.access)
    gemini = Gemini(inference, catalogue)
    entrance = entrance_of(parts, found)
    front = _front(parts, found, entrance)
    kept = _kept(parts, gateway, recorder)
    reader = Reader(parts.responses, parts.runs, new_id, plan.server.body_limit_bytes)
    keeping = Responses(inference, gateway, parts.access, reader, kept, time.time, new_id, on_fault)
    reasoner = Reasoner(artefact, secrets, parts.decisions, time.monotonic, time.time)
    control = ResilienceControl(plan, routes, parts.attempts.health, overrides, parts.colleagues, time.time)
    report = _health(parts, found, routes, overrides)
    told: dict[str, Told] = {
        EXPLAIN: reasoner.answer,
        HEALTH: told_health(parts.attempts.health),
        RESET: told_reset(parts.attempts.health),
        LATENCIES: told_latencies(parts.latencies),
        CACHES: told_caches(replay),
        QUOTA: told_quota(parts.attempts.health, parts.worker),
        KEYS: parts.good_keys.told,
        COUNTED: told_counted(parts.metrics, parts.worker, parts.ready.start),
        OVERRIDES: overrides.told,
        SYSTEM: told_system(parts, found),
    }
    services = [
        served(chat.build_routes, Chat(inference)),
        served(completions.build_routes, completing),
        served(embeddings.build_routes, Embeddings(inference)),
        served(messages.build_routes, Messages(inference)),
        served(responses.build_routes, keeping),
        served(models.build_routes, Models(catalogue, front.speaks, gemini)),
        served(resources.build_routes, gemini),
        served(providers.build_routes, Providers(inference, catalogue, routes, keeping, completing, front.speaks)),
        served(ollama.build_routes, Ollama(inference, catalogue, routes, time.time)),
        served(health.build_routes, report),
        served(explain.build_routes, Explaining(reasoner, parts.colleagues, plan.explain.keep)),
        served(resilience.build_routes, control),
        served(cache.build_routes, Caching(replay, parts.colleagues, plan.idempotency.window_ms, routes)),
        *metered(parts, plan, admission, recorder),
        *operated(parts, found, overrides, entrance, control, report),
        served(monitoring.build_routes, Monitoring(parts.sessions, parts.colleagues, parts.access.ids_of, time.time)),
        served(root.build_routes, Root(COMPILER, artefact.build)),
        *managed(parts, found, overrides, routes, gateway, recorder),
    ]
    return Planned(services=services, front=front, told=told, public=routes.public)


def _front(parts: Lasting, found: Effective, entrance: Entrance) -> Front:
    """What all routes share."""
    server = found.artefact.plan.server
    metrics_scope = {"key": "view", "public": PUBLIC, "none": ADMIN}[server.metrics]
    return Front(
        new_id=new_id,
        renders={PROBLEM: render_problem, **{name: each.encode_error for name, each in parts.clients.items()}},
        authorize=entrance.admit,
        base_headers=((b"x-gatewright-build", found.artefact.build.encode()),),
        scopes={"getMetrics": metrics_scope},
        cors=Cors(origins=server.cors_origins),
        spoken=SPOKEN,
        write_limit_s=found.artefact.plan.timeouts.client_write_ms / 1000,
        body_limit_s=found.artefact.plan.timeouts.body_read_ms / 1000,
        door=parts.door,
        header_limit_bytes=server.header_limit_bytes,
        trusted_proxies=trusted_proxies(found),
        ip_filter=ip_filter_of(found, time.time),
        askings=parts.askings,
        fixed=server.management == "read_only",
        unfixed=UNFIXED,
        on_fault=parts.on_fault,
    )


def _health(parts: Lasting, found: Effective, routes: RouteTable, overrides: Overrides) -> HealthReport:
    shared, ready = parts.shared, parts.ready
    return HealthReport(
        found.artefact,
        COMPILER,
        routes,
        Scraping(parts.metrics, parts.colleagues, ready.start, ready.workers),
        parts.door,
        time.monotonic,
        lambda: shared.trouble,
        parts.started_s,
        lambda: parts.drain.standing,
        parts.store_watch,
        lambda: overrides.behind,
        lambda: parts.access.unheard,
    )


def _kept(parts: Lasting, gateway: Gateway, recorder: Recorder) -> Kept | None:
    """What keeps responses; None where the operator wants none kept."""
    store, runs = parts.responses, parts.runs
    if store is None or runs is None:
        return None
    background = Background(gateway, recorder, store, runs, parts.door, time.time, new_id, parts.on_fault)
    return Kept(store=store, background=background, runs=runs)
