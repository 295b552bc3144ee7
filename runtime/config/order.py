"""The order of a combo, as it is explained: strategies, weights and conditions, combos inside combos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from generated.config import TargetConditions
from runtime.config.plan import Combo, Member, Plan

__all__ = ["ExplainedMember", "ExplainedOrder", "condition_words", "explain_order", "order_lines", "said_once"]

_AS_WRITTEN = frozenset({"priority", "fill-first"})


class ExplainedMember(msgspec.Struct, frozen=True, kw_only=True):
    """``when`` are its conditions in words; ``order`` is set for a combo. One that was shown before is not shown again."""

    name: str
    weight: int | None = None
    connection: str | None = None
    when: str | None = None
    order: ExplainedOrder | None = None


class ExplainedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """``written`` is where the combo stands."""

    combo: str
    strategy: str
    written: str | None
    members: tuple[ExplainedMember, ...]
    factors: dict[str, float] = {}
    refusals: str = "pass"
    handoff_percent: int = 100
    sessions: str | None = None
    rescue: str = "none"
    hedge_after_ms: int | None = None


def explain_order(plan: Plan, origins: Mapping[str, str], combo: str) -> ExplainedOrder:
    """The order of ``combo`` with all that is below."""
    return _order(plan, origins, plan.combos[combo], set())


def said_once(order: ExplainedOrder) -> bool:
    """Whether every request takes the targets as they are written."""
    return order.strategy in _AS_WRITTEN and all(
        member.when is None and (member.order is None or said_once(member.order)) for member in order.members
    )


def order_lines(order: ExplainedOrder, indent: str = "  ") -> Iterator[str]:
    """``order`` for people: nothing where the list of targets says it all."""
    flat = all(member.order is None and member.weight is None and member.when is None for member in order.members)
    factors = "".join(f", {name} {weight:g}" for name, weight in order.factors.items())
    where = f" ({order.written})" if order.written else ""
    rescue = f", rescue {order.rescue}" if order.rescue != "none" else ""
    hedge = f", hedged after {order.hedge_after_ms} ms" if order.hedge_after_ms is not None else ""
    if indent == "  " and flat and order.strategy == "priority" and not rescue and not hedge:
        return
    handoff = f", from {order.handoff_percent} % of a quota" if order.handoff_percent < 100 else ""
    sessions = f", sessions {order.sessions}" if order.sessions is not None else ""
    yield f"{indent}order of {order.combo}{where}: {order.strategy}{factors}{handoff}{sessions}{rescue}{hedge}"
    for member in order.members:
        notes = [f"weight {member.weight}"] if member.weight is not None else []
        notes += [f"over {member.connection}"] if member.connection else []
        notes += [f"when {member.when}"] if member.when else []
        yield f"{indent}  {member.name}" + (f": {', '.join(notes)}" if notes else "")
        if member.order is not None:
            yield from order_lines(member.order, indent + "    ")


def _order(plan: Plan, origins: Mapping[str, str], combo: Combo, shown: set[str]) -> ExplainedOrder:
    shown.add(combo.name)
    return ExplainedOrder(
        combo=combo.name,
        strategy=combo.strategy,
        written=origins.get(f"combos.{combo.name}"),
        members=tuple(_member(plan, origins, member, shown) for member in combo.members),
        factors=_factors(combo),
        refusals=combo.refusals,
        handoff_percent=combo.handoff_percent,
        sessions=combo.sessions,
        rescue=combo.rescue,
        hedge_after_ms=None if combo.hedge is None else combo.hedge.after_ms,
    )


def _member(plan: Plan, origins: Mapping[str, str], member: Member, shown: set[str]) -> ExplainedMember:
    inner = plan.combos[member.combo] if member.combo is not None and member.combo not in shown else None
    return ExplainedMember(
        name=member.model or member.combo or "",
        weight=member.weight,
        connection=member.connection,
        when=None if member.when is None else condition_words(member.when),
        order=None if inner is None else _order(plan, origins, inner, shown),
    )


def _factors(combo: Combo) -> dict[str, float]:
    if combo.factors is None:
        return {}
    return {name: weight for name, weight in msgspec.structs.asdict(combo.factors).items() if weight}


def condition_words(when: TargetConditions) -> str:
    """What ``when`` asks of a request, to follow on "when"."""
    words = [f"it needs {' and '.join(when.needs)}"] if when.needs else []
    words += [f"it has at least {when.min_input_tokens} tokens"] if when.min_input_tokens is not None else []
    words += [f"it has at most {when.max_input_tokens} tokens"] if when.max_input_tokens is not None else []
    words += [f"its key is {' or '.join(when.keys)}"] if when.keys else []
    return " and ".join(words)
