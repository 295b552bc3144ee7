"""Reached models to routes: endpoint, targets with their connections, promises, context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from runtime.catalog import Capability
from runtime.config.lower.name import Names
from runtime.config.lower.reach import Reach, Reached
from runtime.config.plan import Connection, PlannedModel, PlannedTarget, Route
from runtime.config.scope import Scope

__all__ = ["connection_ids", "lower_routes"]


def lower_routes(
    scope: Scope,
    names: Names,
    reach: Reach,
    models: Mapping[str, PlannedModel],
    connections: Mapping[str, tuple[str, ...]],
) -> dict[str, Route]:
    """Every exact public name with its route. ``connections`` maps a provider to its connections' ids."""
    routes: dict[str, Route] = {}
    for id_ in names.models:
        target = PlannedTarget(model=id_, connections=connections[models[id_].provider], path=(id_,))
        routes[id_] = _route(id_, "model", (target,), models, ())
    for name, ends in reach.targets.items():
        targets = _targets(ends, models, connections)
        if targets and name not in routes:
            kind: Literal["alias", "combo"] = "alias" if name in scope.config.aliases else "combo"
            settled = names.settle(name)
            combo = settled.name if settled is not None and settled.name in names.combos else None
            routes[name] = _route(name, kind, targets, models, _declared(scope, reach, name), combo)
    return dict(sorted(routes.items()))


def connection_ids(connections: Iterable[Connection]) -> dict[str, tuple[str, ...]]:
    """Providers to the ids of their connections, in order."""
    found: dict[str, tuple[str, ...]] = {}
    for connection in connections:
        found[connection.provider] = (*found.get(connection.provider, ()), connection.id)
    return found


def _targets(
    ends: Sequence[Reached], models: Mapping[str, PlannedModel], connections: Mapping[str, tuple[str, ...]]
) -> tuple[PlannedTarget, ...]:
    found: list[PlannedTarget] = []
    taken: dict[str, set[str]] = {}
    for end in ends:
        provider = models[end.model].provider
        ids = connections[provider]
        if end.connection is not None:
            ids = tuple(id_ for id_ in ids if id_ == f"{provider}/{end.connection}")
        used = taken.setdefault(end.model, set())
        fresh = tuple(id_ for id_ in ids if id_ not in used)
        used.update(fresh)
        if fresh:
            found.append(PlannedTarget(model=end.model, connections=fresh, path=end.path))
    return tuple(found)


def _declared(scope: Scope, reach: Reach, name: str) -> tuple[Capability, ...]:
    """What the combo promises, or the one combo that an alias leads to."""
    combos = scope.config.combos
    if name in combos:
        return tuple(map(Capability, combos[name].promises))
    through = [use.owner for use in reach.targets[name][0].uses if use.owner in combos]
    return tuple(map(Capability, combos[through[0]].promises)) if through else ()


def _route(
    name: str,
    kind: Literal["model", "alias", "combo"],
    targets: tuple[PlannedTarget, ...],
    models: Mapping[str, PlannedModel],
    declared: tuple[Capability, ...],
    combo: str | None = None,
) -> Route:
    facts = [models[target.model].facts for target in targets]
    contexts = [fact.limits.context for fact in facts]
    known = [context for context in contexts if context is not None]
    return Route(
        name=name,
        kind=kind,
        endpoint=facts[0].endpoint,
        targets=targets,
        promises=tuple(
            capability
            for capability in Capability
            if all(capability in fact.has for fact in facts)
            or (capability in declared and not any(capability in fact.lacks for fact in facts))
        ),
        context=min(known) if len(known) == len(contexts) else None,
        path=targets[0].path if kind != "combo" else (name,),
        combo=combo,
    )
