"""What the orders of a request depended on beside the configuration, in the form in which it is told and read back."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from msgspec import UNSET, UnsetType

from generated.types.explain import (
    DecisionInputs,
    DecisionNeeds,
    NamedChoice,
    OrderingInputs,
    SeenFigure,
    SessionInputs,
)
from runtime.telemetry import CallRecord, Ordering

__all__ = ["decision_inputs"]


def decision_inputs(build: str, lit: AbstractSet[str], record: CallRecord) -> DecisionInputs:
    """Everything that the orders of ``record`` depended on. ``lit`` are the connections that have a credential."""
    needs = record.needs
    return DecisionInputs(
        build=build,
        name=record.model,
        protocol=record.surface,
        endpoint=record.endpoint,
        connections=sorted(lit),
        needs=UNSET
        if needs is None
        else DecisionNeeds(uses=sorted(needs.uses), input_tokens=needs.input_tokens, key=needs.key),
        session=_session(record),
        orderings=[
            OrderingInputs(
                entity=step.entity,
                strategy=step.strategy,
                choices=[NamedChoice(key=each.key, name=each.name) for each in step.choices],
                seed=step.seed,
                memory=list(step.memory),
                seen=[
                    SeenFigure(what=what, key=key, value=None if value is None else float(value))
                    for what, key, value in step.seen
                ],
                order=[each.key for each in step.order],
            )
            for step in record.trail
            if isinstance(step, Ordering)
        ],
    )


def _session(record: CallRecord) -> SessionInputs | UnsetType:
    remembered = record.remembered
    if remembered is None:
        return UNSET
    return SessionInputs(
        id=record.session,
        connections=list(remembered.connections.values()),
        target=remembered.target or UNSET,
        keeps_target=remembered.keeps_target,
    )
