"""Where a request for a name would go, and why: the ordered targets with their reasons and where each was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.catalog import Endpoint
from runtime.config.diff import nominal_price
from runtime.config.order import ExplainedOrder, explain_order, order_lines, said_once
from runtime.config.plan import Artefact, Plan, PlannedTarget
from runtime.config.protocol import protocols_for
from runtime.config.resolve import absent, find_model, match, meant, resolve
from runtime.source import closest

__all__ = [
    "ExplainedConnection", "ExplainedTarget", "Explanation", "PublicName", "explain", "public_names",
    "render_explanation", "written_at",
]  # fmt: skip

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class ExplainedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """``usable`` is None when nobody looked; ``reason`` says why it is or is not, or what it would take."""

    id: str
    usable: bool | None
    reason: str
    written: str | None


class ExplainedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` are the names from the one asked for to the model; ``written`` where each of them stands, if anywhere."""

    model: str
    provider: str
    protocols: tuple[str, ...]
    path: tuple[str, ...]
    written: tuple[str | None, ...]
    connections: tuple[ExplainedConnection, ...]
    usable: bool | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """``problem`` is set when a request would be refused, and says why; ``chosen`` is the model that would answer first.

    ``chosen`` is None when no target is usable, when nobody looked at secrets, or when it depends on the request or the
    moment. ``order`` is set for what is or leads to a combo; ``targets`` are in the order written.
    """

    name: str
    endpoint: Endpoint
    kind: str | None = None
    problem: str | None = None
    chosen: str | None = None
    targets: tuple[ExplainedTarget, ...] = ()
    order: ExplainedOrder | None = None
    promises: tuple[str, ...] = ()
    context: int | None = None
    price_nano_usd: int | None = None


class PublicName(msgspec.Struct, frozen=True, kw_only=True):
    """A name that can be called, or a pattern of such names."""

    name: str
    kind: str
    written: str | None


def public_names(artefact: Artefact) -> tuple[PublicName, ...]:
    """What can be called: aliases, combos and patterns as they are written, then models."""
    plan, origins = artefact.plan, artefact.origins
    routes = [
        PublicName(name=each.name, kind=each.kind, written=written_at(plan, origins, each.name))
        for each in plan.routes.values()
    ]
    patterns = [
        PublicName(name=each.pattern, kind="pattern", written=origins.get(f"aliases.{each.pattern}"))
        for each in plan.patterns
    ]
    return tuple(sorted((*routes, *patterns), key=lambda each: (each.kind == "model", each.kind, each.name)))


def explain(
    artefact: Artefact,
    name: str,
    endpoint: Endpoint = Endpoint.CHAT,
    usable: AbstractSet[str] | None = None,
    dark: Mapping[str, str] = NOTHING,
) -> Explanation:
    """Explain ``name``. ``usable`` are the connections that have their secret (`Secrets.connections`), None: unknown.

    ``dark`` says what is wrong with the secrets of others (`Secrets.dark`).
    """
    plan = artefact.plan
    ids = meant(plan, name, absent(plan, usable) if usable is not None else ())
    route = resolve(plan, ids[0] if len(ids) == 1 else name)
    if len(ids) > 1:
        ambiguous = f"the name {name!r} is ambiguous; write one of {', '.join(ids)}"
        return Explanation(name=name, endpoint=endpoint, problem=ambiguous)
    if route is None:
        near = closest(name, plan.routes)
        unknown = f"no model, alias or combo {name!r}" + (f"; did you mean {near!r}?" if near else "")
        return Explanation(name=name, endpoint=endpoint, problem=unknown)
    targets = tuple(_target(artefact, target, usable, dark, (name,) * len(ids)) for target in route.targets)
    order = explain_order(plan, artefact.origins, route.combo) if route.combo is not None else None
    first = next((target.model for target in targets if target.usable), None)
    chosen = first if order is None or said_once(order) else None
    problem: str | None = None
    if route.endpoint is not endpoint:
        problem = f"{name} answers {route.endpoint.value}, not {endpoint.value}"
    elif usable is not None and first is None:
        problem = "every target is dark: none of their connections has its secret"
    return Explanation(
        name=name,
        endpoint=endpoint,
        kind=route.kind,
        problem=problem,
        chosen=chosen if problem is None else None,
        targets=targets,
        order=order,
        promises=tuple(promise.value for promise in route.promises),
        context=route.context,
        price_nano_usd=nominal_price(plan, route),
    )


def render_explanation(explanation: Explanation) -> str:
    """``explanation`` for people."""
    return "".join(f"{line}\n" for line in _lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    kind = f" ({explanation.kind})" if explanation.kind else ""
    yield f"{explanation.name}{kind}, {explanation.endpoint.value}"
    if explanation.problem:
        yield f"  refused: {explanation.problem}"
    if explanation.promises:
        yield f"  promises {', '.join(explanation.promises)}"
    if explanation.context is not None:
        yield f"  context {explanation.context} tokens"
    if explanation.price_nano_usd is not None:
        yield f"  ${explanation.price_nano_usd / 10**9:.6f} for 1,000 tokens in and 1,000 out at the first target"
    if explanation.order is not None:
        yield from order_lines(explanation.order)
    for number, target in enumerate(explanation.targets, 1):
        mark = {True: "", False: ", dark", None: ""}[target.usable]
        chosen = ", answers" if target.model == explanation.chosen and target.usable else ""
        yield f"  {number}. {target.model} in {' or '.join(target.protocols)}{mark}{chosen}"
        chain = zip(target.path, target.written, strict=True)
        yield "     " + " → ".join(f"{step} ({where})" if where else step for step, where in chain)
        for connection in target.connections:
            where = f" ({connection.written})" if connection.written else ""
            yield f"     connection {connection.id}{where}: {connection.reason}"


def _target(
    artefact: Artefact,
    target: PlannedTarget,
    usable: AbstractSet[str] | None,
    dark: Mapping[str, str],
    asked: tuple[str, ...],
) -> ExplainedTarget:
    """``asked`` is the bare name it was reached by, if it was."""
    plan, path = artefact.plan, (*asked, *target.path)
    planned = find_model(plan, target.model)
    assert planned is not None, "a plan's targets have models"
    surfaces = tuple(protocols_for(planned.facts.endpoint, plan.providers[planned.provider].surfaces))
    pinned = planned.facts.protocol
    return ExplainedTarget(
        model=target.model,
        provider=planned.provider,
        protocols=surfaces if pinned is None else (pinned,),
        path=path,
        written=tuple(written_at(plan, artefact.origins, step) for step in path),
        connections=tuple(_connection(artefact, id_, usable, dark) for id_ in target.connections),
        usable=None if usable is None else any(id_ in usable for id_ in target.connections),
    )


def written_at(plan: Plan, origins: Mapping[str, str], name: str) -> str | None:
    """Where a public name was written: as an alias, a combo, or a model of a configured provider."""
    provider, _, model = name.partition("/")
    entities = (f"aliases.{name}", f"combos.{name}", f"providers.{provider}.models.{model}", f"providers.{provider}")
    found = next((origins[entity] for entity in entities if entity in origins), None)
    if found is not None or name in plan.routes:
        return found
    return next((origins.get(f"aliases.{item.pattern}") for item in plan.patterns if match(item.pattern, name)), None)


def _connection(
    artefact: Artefact, id_: str, usable: AbstractSet[str] | None, dark: Mapping[str, str]
) -> ExplainedConnection:
    connection = artefact.plan.connections[id_]
    name = id_.removeprefix(f"{connection.provider}/")
    lit = None if usable is None else id_ in usable
    if not connection.enabled:
        reason = "is not enabled"
    elif connection.secret is None:
        reason = "needs no secret"
    elif lit is None:
        reason = f"needs {connection.secret}"
    else:
        reason = f"{connection.secret} {'is set' if lit else dark.get(id_, 'is not set')}"
    if connection.discovered:
        reason += " (found by its customary variable)"
    written = artefact.origins.get(f"providers.{connection.provider}.connections.{name}")
    return ExplainedConnection(id=id_, usable=lit, reason=reason, written=written)
