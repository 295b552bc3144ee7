"""Which route a public name takes: the one look-up of the request path. Pure; knows no secrets and no state.

Exact names are one dictionary access. Otherwise the patterns are tried, most specific first, and what a pattern leads to
is an exact name or a model of a provider that takes any name. A pattern never leads to another pattern, so that resolving
takes two steps at most and cannot go round in a circle.

A name that is none of these may be a model's without its provider: `meant` says whose. It is turned into the public id
where it comes in, so that keys, caches and sessions know public names only.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from runtime.catalog import Model
from runtime.config.plan import Pattern, Plan, PlannedModel, PlannedTarget, Route

__all__ = ["absent", "find_model", "match", "meant", "open_model", "resolve", "substitute"]

_NOWHERE: Final = frozenset({"", ".", ".."})
"""Parts of a path that servers leave out, or go back by (RFC 3986, section 5.2.4)."""


def resolve(plan: Plan, name: str) -> Route | None:
    """The route of ``name``, or None when nothing has that name.

    A target's model is a key of ``plan.models``, except for models that only an open provider knows: see `find_model`.
    """
    route = plan.routes.get(name)
    if route is not None:
        return route
    for pattern in plan.patterns:
        rest = match(pattern.pattern, name)
        if rest is not None:
            return _through(plan, pattern, name, rest)
    return None


def meant(plan: Plan, name: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """The public ids that ``name`` may stand for as a bare name: all models called so; none where it is a name itself.

    A name that begins with the id of one of the plan's providers is that provider's and never bare. ``without`` are
    providers that do not count (`absent`).
    """
    if name in plan.routes or name.partition("/")[0] in plan.providers or _fits_pattern(plan, name):
        return ()
    ids = (f"{provider}/{name}" for provider in plan.providers if provider not in without)
    return tuple(id_ for id_ in ids if (route := plan.routes.get(id_)) is not None and route.kind == "model")


def absent(plan: Plan, lit: Collection[str]) -> frozenset[str]:
    """The providers whose connections nobody wrote, none of which is ``lit``: they are in the plan because they could be.

    A bare name does not stand for their models.
    """
    there = {each.provider for each in plan.connections.values() if not each.discovered or each.id in lit}
    return frozenset(plan.providers.keys() - there)


def find_model(plan: Plan, model: str) -> PlannedModel | None:
    """The facts about a target's model by its public id; what its provider assumes when the id is not listed."""
    return plan.models.get(model) or open_model(plan, model)


def open_model(plan: Plan, model: str) -> PlannedModel | None:
    """``model`` as one that its provider takes unlisted, or None when the provider takes no such names.

    A name that would lead elsewhere as a part of a URL, as `x/../y` does, is none: what a key may use is said of names.
    """
    provider_id, slash, name = model.partition("/")
    provider = plan.providers.get(provider_id)
    if not slash or provider is None or not provider.open_models:
        return None
    if not _NOWHERE.isdisjoint(name.split("/")):
        return None
    return PlannedModel(id=model, provider=provider_id, facts=Model(id=name, has=provider.assume))


def match(pattern: str, name: str) -> str | None:
    """What the one `*` of ``pattern`` stands for in ``name``, at least one character; None when it does not fit."""
    head, _, tail = pattern.partition("*")
    if len(name) <= len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return None
    return name[len(head) : len(name) - len(tail)]


def substitute(target: str, rest: str) -> str:
    """``target`` with its `*`, if it has one, replaced by ``rest``."""
    return target.replace("*", rest, 1)


def _fits_pattern(plan: Plan, name: str) -> bool:
    return any(match(pattern.pattern, name) is not None for pattern in plan.patterns)


def _through(plan: Plan, pattern: Pattern, name: str, rest: str) -> Route | None:
    target = substitute(pattern.target, rest)
    found = plan.routes.get(target) or _open_route(plan, target)
    if found is None or target == name:
        return found
    path = (name, *found.path) if found.path else (name, target)
    return Route(
        name=name,
        kind="alias",
        endpoint=found.endpoint,
        targets=tuple(
            PlannedTarget(model=hop.model, connections=hop.connections, path=(name, *hop.path)) for hop in found.targets
        ),
        promises=found.promises,
        context=found.context,
        path=path,
        combo=found.combo,
    )


def _open_route(plan: Plan, name: str) -> Route | None:
    planned = open_model(plan, name)
    if planned is None:
        return None
    connections = tuple(id_ for id_, connection in plan.connections.items() if connection.provider == planned.provider)
    return Route(
        name=name,
        kind="model",
        endpoint=planned.facts.endpoint,
        targets=(PlannedTarget(model=name, connections=connections, path=(name,)),),
        promises=planned.facts.has,
        path=(name,),
    )
