"""Sources and catalogue to a plan, or to the reasons why there is none. Pure: no disk, no environment, no clock.

Read: load → lower (providers, connections, models, names, routes, keys) → check → plan. Nothing stops at the first fault:
every step goes on with what is sound, so that one run reports everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from generated.config import ProviderSettings, TimeoutSettings
from runtime.catalog import Model, Provider
from runtime.config.build import COMPILER, build_id
from runtime.config.catalog import Catalog
from runtime.config.checks import CHECKS
from runtime.config.checks.bound import check_bound
from runtime.config.checks.clear_text import check_clear_text, scrubbed
from runtime.config.checks.secret import clear_values
from runtime.config.draft import Draft
from runtime.config.files import Source
from runtime.config.hint import with_hint
from runtime.config.load import VERSION, Loaded, load
from runtime.config.lower.cache import lower_cache
from runtime.config.lower.combo import lower_combos
from runtime.config.lower.connection import lower_connections
from runtime.config.lower.given import overridden
from runtime.config.lower.key import lower_keys
from runtime.config.lower.meter import lower_meters
from runtime.config.lower.model import lower_models
from runtime.config.lower.name import read_names
from runtime.config.lower.policy import lower_policies
from runtime.config.lower.provider import lower_providers
from runtime.config.lower.reach import Reach, follow
from runtime.config.lower.route import connection_ids, lower_routes
from runtime.config.lower.tenant import lower_tenants
from runtime.config.origin import read_origins
from runtime.config.override import Held, Override
from runtime.config.plan import Artefact, Connection, Plan, PlannedModel
from runtime.config.protocol import USUAL
from runtime.config.scope import Scope
from runtime.source import Diagnostic, Diagnostics

__all__ = ["Compiled", "compile_plan"]


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. ``artefact`` is None when a diagnostic is an error; ``diagnostics`` are in order of position."""

    artefact: Artefact | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def plan(self) -> Plan | None:
        return self.artefact.plan if self.artefact else None

    @property
    def build(self) -> str | None:
        return self.artefact.build if self.artefact else None


def compile_plan(
    sources: Sequence[Source], catalog: Catalog, overrides: Sequence[Override] = (), held: Held | None = None
) -> Compiled:
    """Compile ``sources``, the first of which is gateway.yaml, and ``overrides``, which win over what stands there.

    ``held`` is for a change that is tried: secrets that the store held before it stay where they were sent.
    The same input gives the same bytes everywhere.
    """
    diagnostics = Diagnostics()
    read = (*sources, *(override.source for override in overrides))
    for source in read:
        check_clear_text(source, diagnostics)
    loaded = load(sources, diagnostics, overrides)
    bound = _bound(sources, catalog, held) if overrides else None
    artefact = _compile(loaded, catalog, diagnostics, bound) if loaded is not None else None
    hidden = clear_values(loaded.at) if loaded is not None else ()
    lines = {source.path: source.data.decode("utf-8", "replace").splitlines() for source in read}
    said = tuple(with_hint(item, lines) for item in scrubbed(diagnostics, hidden))
    return Compiled(artefact=artefact, diagnostics=said)


def _bound(sources: Sequence[Source], catalog: Catalog, held: Held | None) -> Callable[[Scope, Draft], None]:
    """The check of what overrides do with secrets."""
    files = _scope(sources, catalog, ())
    before = None if held is None else _scope(sources, catalog, held.before)
    given = frozenset[str]() if held is None else held.given

    def check(scope: Scope, draft: Draft) -> None:
        if files is not None:
            check_bound(scope, draft, files, before, given)

    return check


def _scope(sources: Sequence[Source], catalog: Catalog, overrides: Sequence[Override]) -> Scope | None:
    """What is there to compare with; its faults are told elsewhere."""
    loaded = load(sources, Diagnostics(), overrides)
    return None if loaded is None else Scope(loaded.config, loaded.at, loaded.broken, catalog, Diagnostics())


def _compile(
    loaded: Loaded, catalog: Catalog, diagnostics: Diagnostics, bound: Callable[[Scope, Draft], None] | None
) -> Artefact | None:
    scope = Scope(loaded.config, loaded.at, loaded.broken, catalog, diagnostics)
    draft = _lower(scope)
    for check in CHECKS:
        check(scope, draft)
    if bound is not None:
        bound(scope, draft)
    if diagnostics.failed:
        return None
    plan = _plan(scope, draft)
    return Artefact(build=build_id(plan), compiler=COMPILER, plan=plan, origins=read_origins(scope))


def _lower(scope: Scope) -> Draft:
    providers = lower_providers(scope)
    connections = lower_connections(scope, providers)
    by_provider = connection_ids(connections.values())
    models = lower_models(providers, by_provider)
    open_providers = [
        id_ for id_ in by_provider if providers[id_].open_models and USUAL.keys() & providers[id_].surfaces
    ]
    names = read_names(scope.config, models, open_providers, {*providers, *scope.catalog.ids})
    reach = follow(names)
    models |= _opened(reach, models, providers)
    return Draft(
        providers=providers,
        connections=connections,
        by_provider=by_provider,
        models=models,
        names=names,
        reach=reach,
        routes=lower_routes(scope, names, reach, models, by_provider),
        combos=lower_combos(scope, names, reach),
        keys=lower_keys(scope, names),
    )


def _opened(
    reach: Reach, models: Mapping[str, PlannedModel], providers: Mapping[str, Provider]
) -> dict[str, PlannedModel]:
    """The models that a combo or alias names and only an open provider knows."""
    opened: dict[str, PlannedModel] = {}
    for end in (end for ends in reach.targets.values() for end in ends):
        if end.model not in models:
            provider, _, name = end.model.partition("/")
            facts = Model(id=name, has=providers[provider].assume)
            opened[end.model] = PlannedModel(id=end.model, provider=provider, facts=facts)
    return opened


def _plan(scope: Scope, draft: Draft) -> Plan:
    config = scope.config
    used = sorted(_used(draft))
    connections = {id_: draft.connections[id_] for provider in used for id_ in draft.by_provider[provider]}
    return Plan(
        version=VERSION,
        server=config.server,
        requests=config.requests,
        timeouts=config.timeouts,
        logging=config.logging,
        providers={id_: _slim(draft.providers[id_]) for id_ in used},
        models=dict(sorted(draft.models.items())),
        connections=connections,
        routes=draft.routes,
        patterns=draft.names.patterns,
        keys=draft.keys,
        provider_timeouts=_timeouts(scope, used),
        egress=_egress(connections.values()),
        responses=config.responses,
        explain=config.explain,
        combos=draft.combos,
        connection_strategies=_connection_strategies(scope, used),
        retries=config.retries,
        cooldowns=config.cooldowns,
        breakers=config.breakers,
        provider_sessions={id_: item.sessions for id_, item in _written(scope, used) if item.sessions is not None},
        sessions=config.sessions,
        store=config.store,
        shared=config.shared,
        idempotency=config.idempotency,
        cache=lower_cache(config.cache, draft.names),
        ledger=config.ledger,
        tenants=lower_tenants(scope),
        policies=lower_policies(scope, draft.names),
        limits=config.limits,
        meters=lower_meters(scope),
        login=config.login,
        backups=config.backups,
        audit=config.audit,
        unlisted=_unlisted(scope, used),
    )


def _used(draft: Draft) -> set[str]:
    return {model.provider for model in draft.models.values()} | set(draft.names.open_providers)


def _slim(provider: Provider) -> Provider:
    """Without what a running gateway has no use for, and with the protocols it speaks."""
    return msgspec.structs.replace(
        provider,
        models=(),
        surfaces={protocol: surface for protocol, surface in provider.surfaces.items() if protocol in USUAL},
        headers=dict(sorted(provider.headers.items())),
        website=None,
        source=None,
        notes=(),
    )


def _connection_strategies(scope: Scope, providers: Sequence[str]) -> dict[str, str]:
    """Of the providers whose connections are not taken as they are written."""
    written = _written(scope, providers)
    return {id_: item.connections_strategy for id_, item in written if item.connections_strategy != "fill-first"}


def _unlisted(scope: Scope, providers: Sequence[str]) -> tuple[str, ...]:
    """The models that no list shows, by public id."""
    hidden = (
        f"{id_}/{name}"
        for id_, item in _written(scope, providers)
        for name, model in item.models.items()
        if model.listed is False
    )
    return tuple(sorted(hidden))


def _written(scope: Scope, providers: Sequence[str]) -> list[tuple[str, ProviderSettings]]:
    """Those of ``providers`` that gateway.yaml says something about."""
    return [(id_, scope.config.providers[id_]) for id_ in providers if id_ in scope.config.providers]


def _timeouts(scope: Scope, providers: Sequence[str]) -> dict[str, TimeoutSettings]:
    found: dict[str, TimeoutSettings] = {}
    for id_ in providers:
        settings = scope.config.providers.get(id_)
        if settings is not None and settings.timeouts is not None:
            complete = overridden(scope.config.timeouts, settings.timeouts)
            if complete != scope.config.timeouts:
                found[id_] = complete
    return found


def _egress(connections: Iterable[Connection]) -> tuple[str, ...]:
    addresses = (urlsplit(connection.base_url) for connection in connections)
    return tuple(sorted({parts.netloc for parts in addresses if parts.scheme in {"http", "https"}}))
