"""Combos as their strategies see them: members with weights and conditions, other combos among them as wholes."""

from __future__ import annotations

from generated.config import ComboTarget
from runtime.config.lower.limit import lower_limits
from runtime.config.lower.name import Names, conditional
from runtime.config.lower.reach import Reach
from runtime.config.plan import Combo, Member
from runtime.config.scope import Scope

__all__ = ["lower_combos"]


def lower_combos(scope: Scope, names: Names, reach: Reach) -> dict[str, Combo]:
    """Every combo that leads to a model. Members that lead nowhere are left out: they are reported where they stand."""
    combos: dict[str, Combo] = {}
    for name, settings in sorted(scope.config.combos.items()):
        if name not in names.combos or not reach.targets.get(name):
            continue
        members = (_member(names, reach, target) for target in settings.targets)
        combos[name] = Combo(
            name=name,
            members=tuple(member for member in members if member is not None),
            strategy=settings.strategy,
            factors=settings.factors,
            refusals=settings.refusals,
            sessions=settings.sessions,
            handoff_percent=settings.handoff_percent,
            rescue=settings.rescue,
            buffer_limit_bytes=settings.buffer_limit_bytes,
            hedge=settings.hedge,
            limits=lower_limits(settings.limits),
        )
    return combos


def _member(names: Names, reach: Reach, target: str | ComboTarget) -> Member | None:
    if isinstance(target, str):
        target = ComboTarget(model=target)
    step = names.settle(target.model)
    if step is None or not (step.model or reach.targets.get(step.name)):
        return None
    return Member(
        model=step.name if step.model else None,
        combo=None if step.model else step.name,
        connection=target.connection,
        weight=target.weight,
        when=target.when if conditional(target) else None,
    )
