"""Two plans compared: which entities came, went and changed, and what that means for those who call.

The second part is the one to read in a review: who may call what, which targets in which order, what a call costs, where
requests may go. A nominal call is 1,000 tokens in and 1,000 tokens out at its first target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, cast

import msgspec

from runtime.config.build import canonical
from runtime.config.data import plan_data, plan_sections
from runtime.config.lower.route import connection_ids
from runtime.config.order import explain_order, order_lines
from runtime.config.plan import Key, Plan, Route
from runtime.config.redact import printable
from runtime.config.resolve import find_model
from runtime.config.wildcard import allows

__all__ = ["Access", "Behaviour", "Change", "PlanDiff", "diff_plans", "nominal_price", "render_diff"]

NOMINAL_TOKENS = 1000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One entity, such as `routes.smart` or `server`. ``fields`` are those that changed, with both values as JSON text.

    The two texts are equal where only what is not shown of them is another.
    """

    kind: Literal["added", "removed", "changed"]
    entity: str
    fields: tuple[tuple[str, str, str], ...] = ()


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """One thing callers of ``name`` will notice. ``before`` and ``after`` are None where there is nothing."""

    what: Literal["targets", "order", "price", "promises", "context", "egress", "authentication"]
    name: str
    before: str | None
    after: str | None


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Public names that a key, or with `authentication: none` everybody (``key`` is `*`), can call more or no longer."""

    key: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]


class PlanDiff(msgspec.Struct, frozen=True, kw_only=True):
    changes: tuple[Change, ...] = ()
    behaviour: tuple[Behaviour, ...] = ()
    access: tuple[Access, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.behaviour or self.access)


def diff_plans(old: Plan, new: Plan) -> PlanDiff:
    """What ``new`` changes. Empty when both are the same build."""
    return PlanDiff(
        changes=tuple(_changes(old, new)),
        behaviour=tuple(_behaviour(old, new)),
        access=tuple(_access(old, new)),
    )


def nominal_price(plan: Plan, route: Route) -> int | None:
    """Nano-dollars for a nominal call of ``route``'s first target, or None when its prices are not known."""
    planned = find_model(plan, route.targets[0].model)
    prices = planned.facts.prices if planned is not None else None
    return None if prices is None else (prices.input + prices.output) * NOMINAL_TOKENS // 1_000_000


def render_diff(diff: PlanDiff) -> str:
    """``diff`` for people; empty when nothing changed."""
    signs = {"added": "+", "removed": "-", "changed": "~"}
    lines: list[str] = []
    for change in diff.changes:
        lines.append(f"{signs[change.kind]} {change.entity}")
        lines += [f"    {name}: {before} → {_after(before, after)}" for name, before, after in change.fields]
    if diff.behaviour or diff.access:
        lines += [*([""] if lines else []), "What callers will notice:"]
    for item in diff.behaviour:
        lines.append(f"  {item.name}: {item.what}: {item.before or 'none'} → {item.after or 'none'}")
    for access in diff.access:
        who = "everybody" if access.key == "*" else f"key {access.key}"
        lines += [f"  {who}: may now call {_few(access.gained)}"] if access.gained else []
        lines += [f"  {who}: may no longer call {_few(access.lost)}"] if access.lost else []
    return "".join(f"{line}\n" for line in lines)


def _after(before: str, after: str) -> str:
    return after if after != before else f"{after}, which is another one"


# -- entities


class _Entity(msgspec.Struct, frozen=True):
    """Its fields as they are, and as they may be shown."""

    fields: Mapping[str, object]
    shown: Mapping[str, object]


def _entities(plan: Plan) -> dict[str, _Entity]:
    whole, shown = _by_name(plan_data(plan)), _by_name(printable(plan))
    return {name: _Entity(fields, shown[name]) for name, fields in whole.items()}


def _by_name(data: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    entities: dict[str, Mapping[str, object]] = {}
    for section in plan_sections():
        entities[section] = cast("Mapping[str, object]", data[section])
    for section in (
        "providers",
        "connections",
        "models",
        "routes",
        "combos",
        "provider_timeouts",
        "tenants",
        "policies",
    ):
        named = cast("Mapping[str, Mapping[str, object]]", data.get(section, {}))
        entities |= {f"{section}.{name}": value for name, value in named.items()}
    for section in ("connection_strategies", "provider_sessions", "meters"):
        if section in data:
            entities[section] = cast("Mapping[str, object]", data[section])
    for section, name in (("keys", "id"), ("patterns", "pattern")):
        listed = cast("list[Mapping[str, object]]", data.get(section, []))
        entities |= {f"{section}.{item[name]}": item for item in listed}
    for model in cast("list[str]", data.get("unlisted", [])):
        entities[f"models.{model}"] = {**entities.get(f"models.{model}", {}), "listed": False}
    return entities


def _changes(old: Plan, new: Plan) -> list[Change]:
    return sorted((*_entity_changes(_entities(old), _entities(new)), *_orders(old, new)), key=lambda item: item.entity)


def _entity_changes(old: Mapping[str, _Entity], new: Mapping[str, _Entity]) -> Iterator[Change]:
    for entity in {*old, *new}:
        if entity not in old:
            yield Change(kind="added", entity=entity)
        elif entity not in new:
            yield Change(kind="removed", entity=entity)
        elif fields := tuple(_fields(old[entity], new[entity])):
            yield Change(kind="changed", entity=entity, fields=fields)


def _fields(old: _Entity, new: _Entity) -> Iterator[tuple[str, str, str]]:
    for name in sorted({*old.fields, *new.fields}):
        if canonical({name: old.fields.get(name)}) != canonical({name: new.fields.get(name)}):
            yield name, _json(old.shown.get(name)), _json(new.shown.get(name))


def _orders(old: Plan, new: Plan) -> Iterator[Change]:
    """Providers whose connections are the same in another order."""
    before, after = connection_ids(old.connections.values()), connection_ids(new.connections.values())
    for provider in before.keys() & after.keys():
        first, then = before[provider], after[provider]
        if first != then and {*first} == {*then}:
            fields = (("order", _json(first), _json(then)),)
            yield Change(kind="changed", entity=f"connections.{provider}", fields=fields)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# -- behaviour


def _behaviour(old: Plan, new: Plan) -> Iterator[Behaviour]:
    if old.server.authentication != new.server.authentication:
        yield Behaviour(
            what="authentication", name="all", before=old.server.authentication, after=new.server.authentication
        )
    for host in sorted({*old.egress} ^ {*new.egress}):
        before, after = (host, None) if host in old.egress else (None, host)
        yield Behaviour(what="egress", name="all", before=before, after=after)
    for name in sorted({*old.routes} & {*new.routes}):
        before_after = zip(_facets(old, old.routes[name]), _facets(new, new.routes[name]), strict=True)
        for (what, before), (_, after) in before_after:
            if before != after:
                yield Behaviour(what=what, name=name, before=before, after=after)


def _facets(
    plan: Plan, route: Route
) -> tuple[tuple[Literal["targets", "order", "price", "promises", "context"], str | None], ...]:
    price = nominal_price(plan, route)
    return (
        ("targets", ", ".join(_target(target.model, target.connections) for target in route.targets)),
        ("order", None if route.combo is None else _order(plan, route.combo)),
        ("price", None if price is None else f"${price / 10**9:.6f} per nominal call"),
        ("promises", ", ".join(route.promises) or None),
        ("context", None if route.context is None else f"{route.context} tokens"),
    )


def _order(plan: Plan, combo: str) -> str:
    """A combo's order in one line."""
    return "; ".join(line.strip() for line in order_lines(explain_order(plan, {}, combo))) or "priority"


def _target(model: str, connections: tuple[str, ...]) -> str:
    return f"{model} over {' or '.join(connections)}"


def _access(old: Plan, new: Plan) -> Iterator[Access]:
    before, after = _rights(old), _rights(new)
    for key in sorted({*before, *after}):
        gained = after.get(key, frozenset()) - before.get(key, frozenset())
        lost = before.get(key, frozenset()) - after.get(key, frozenset())
        if gained or lost:
            yield Access(key=key, gained=tuple(sorted(gained)), lost=tuple(sorted(lost)))


def _rights(plan: Plan) -> dict[str, frozenset[str]]:
    names = (*plan.routes, *(pattern.pattern for pattern in plan.patterns))
    if plan.server.authentication == "none":
        return {"*": frozenset(names)}
    return {key.id: frozenset(_callable(key, names)) for key in plan.keys}


def _callable(key: Key, names: Iterable[str]) -> Iterator[str]:
    if {"chat", "admin"} & {*key.scopes}:
        yield from (name for name in names if allows(key.models, name))


def _few(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
