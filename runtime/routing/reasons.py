"""What was noted of a call, put into words: the reasons in order, and the inputs from which the orders follow again.

Done when somebody asks, never on the request path. What a name stands for and which line says so comes from the plan and
its origins; what happened comes from the call's record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet

import msgspec
from msgspec import UNSET

from generated.types.explain import (
    Decision,
    DecisionInputs,
    DecisionNeeds,
    NamedChoice,
    OrderedChoice,
    OrderingInputs,
    Reason,
    SeenFigure,
)
from runtime.config.explain import written_at
from runtime.config.order import condition_words
from runtime.config.plan import Artefact, Route
from runtime.config.resolve import resolve
from runtime.routing.base import Choice
from runtime.routing.needs import Needs, meets
from runtime.telemetry import AttemptRecord, CallRecord, Note, Ordering, Skipped

__all__ = ["explain_call"]

_WHY = {
    "circuit_open": "its circuit breaker is open: it failed too often",
    "rate_limit": "it rests after a rate limit",
    "quota": "it rests: its quota was exhausted",
    "credential": "it rests: it refused the gateway's credential",
    "limit": "a limit that the gateway keeps to was reached",
    "spent": "its provider says that its quota is used up",
    "busy": "all places of its connection were taken",
}

_DRAWING = frozenset({"weighted", "random", "strict-random", "p2c", "prefix-affinity"})

_REPLAYED = {
    "idempotent": "answered with what an earlier request with the same idempotency key got",
    "exact": "answered from the cache: an equal request was answered before",
    "semantic": "answered from the cache: a request that means the same was answered before",
}


def explain_call(
    artefact: Artefact, lit: AbstractSet[str], record: CallRecord, wall_s: Callable[[float], float]
) -> Decision:
    """Everything about ``record``. ``lit`` are the connections that have a credential; ``wall_s`` turns its times to Unix ones."""
    over = record.ended_s > 0
    return Decision(
        id=record.decision,
        request_id=record.id,
        build=artefact.build,
        at=round(wall_s(record.started_s), 3),
        key=record.key,
        operation=record.operation,
        protocol=record.protocol,
        model=record.model or UNSET,
        served=record.served or UNSET,
        connection=record.connection or UNSET,
        outcome=record.outcome if over else "running",
        status=record.status if over else UNSET,
        error=record.error or UNSET,
        duration_ms=round((record.ended_s - record.started_s) * 1000, 1) if over else UNSET,
        reasons=[*_resolved(artefact, lit, record), *_steps(artefact, record, wall_s), *_end(record)],
        inputs=_inputs(artefact, lit, record),
    )


# -- what the name stands for


def _resolved(artefact: Artefact, lit: AbstractSet[str], record: CallRecord) -> Iterator[Reason]:
    route = resolve(artefact.plan, record.model) if record.model else None
    if route is None:
        return
    plan = artefact.plan
    chain = route.path or (route.name,)
    for index, name in enumerate(chain):
        if name in plan.combos:
            text = f"{name} is a combo of {len(plan.combos[name].members)}, ordered by {plan.combos[name].strategy}"
        elif index + 1 < len(chain):
            text = f"{name} is an alias of {chain[index + 1]}"
        else:
            text = f"{name} is a model"
        yield Reason(kind="resolve", text=text, written=written_at(plan, artefact.origins, name) or UNSET)
        if name in plan.combos:  # from here on it depends on the request
            break
    yield from _dark(artefact, lit, route)


def _dark(artefact: Artefact, lit: AbstractSet[str], route: Route) -> Iterator[Reason]:
    """The connections without a credential, each once."""
    seen: set[tuple[str, str]] = set()
    for target in route.targets:
        for id_ in target.connections:
            if id_ in lit or (target.model, id_) in seen:
                continue
            seen.add((target.model, id_))
            connection = artefact.plan.connections[id_]
            name = id_.removeprefix(f"{connection.provider}/")
            where = artefact.origins.get(f"providers.{connection.provider}.connections.{name}")
            text = f"the connection is dark: {connection.secret} is not set"
            yield Reason(kind="left_out", text=text, target=target.model, connection=id_, written=where or UNSET)


# -- what happened


def _steps(artefact: Artefact, record: CallRecord, wall_s: Callable[[float], float]) -> Iterator[Reason]:
    for step in record.trail:
        match step:
            case Ordering():
                yield from _unmet(artefact, step, record)
                if step.choices:
                    yield _ordered(artefact, step)
            case Skipped():
                due_s = round(wall_s(step.due_s), 3) if step.due_s is not None else UNSET
                why = _WHY.get(step.reason, step.reason)
                yield Reason(
                    kind="left_out", text=why, target=step.target, connection=step.connection, until=due_s
                )  # fmt: skip
            case AttemptRecord():
                yield _attempted(step)
            case Note():
                yield Reason(
                    kind=step.kind,
                    text=step.text,
                    target=step.target or UNSET,
                    connection=step.connection or UNSET,
                )


def _attempted(attempt: AttemptRecord) -> Reason:
    status = f", status {attempt.status}" if attempt.status is not None else ""
    took = f" after {attempt.ended_s - attempt.started_s:.3f} s" if attempt.outcome else ""
    outcome = {"": "under way", "ok": "it answered"}.get(attempt.outcome, f"it ended with {attempt.outcome}")
    text = f"asked: {outcome}{status}{took}"
    return Reason(kind="attempt", text=text, target=attempt.target, connection=attempt.connection)


def _unmet(artefact: Artefact, ordering: Ordering, record: CallRecord) -> Iterator[Reason]:
    """The targets whose conditions the request did not meet."""
    combo = artefact.plan.combos.get(ordering.entity.removeprefix("combos."))
    needs = record.needs
    if combo is None or not isinstance(needs, Needs):
        return
    for index, member in enumerate(combo.members):
        if member.when is not None and not meets(needs, member.when):
            uses = ", ".join(sorted(needs.uses)) or "nothing special"
            yield Reason(
                kind="left_out",
                text=f"only when {condition_words(member.when)}; this request has about {needs.input_tokens} tokens, "
                f"uses {uses}, and its key is {needs.key}",
                target=member.model or member.combo or "",
                written=artefact.origins.get(f"{ordering.entity}.targets.{index}") or UNSET,
            )


def _ordered(artefact: Artefact, ordering: Ordering) -> Reason:
    figures: dict[int, dict[str, float | None]] = {}
    for what, key, value in ordering.seen:
        figures.setdefault(key, {})[what] = value
    combo = ordering.entity.startswith("combos.")
    choices = [
        _choice(artefact, ordering, each, figures.get(each.key, {}), combo=combo)
        for each in ordering.order
        if isinstance(each, Choice)
    ]
    name = ordering.entity.partition(".")[2]
    of = f"the targets of {name}" if combo else f"the connections of {name}"
    names = ", ".join(choice.name for choice in choices)
    how = [f"drawn from {ordering.seed}"] if ordering.strategy in _DRAWING else []
    how += [f"remembering {list(ordering.memory)}"] if ordering.memory else []
    basis = f", {', '.join(how)}" if how else ""
    where = artefact.origins.get(ordering.entity) or UNSET
    return Reason(kind="order", text=f"{of} by {ordering.strategy}{basis}: {names}", written=where, choices=choices)


def _choice(
    artefact: Artefact, ordering: Ordering, choice: Choice, seen: dict[str, float | None], *, combo: bool
) -> OrderedChoice:
    place = f"targets.{choice.key}" if combo else f"connections.{choice.name.partition('/')[2]}"
    given: dict[str, object] = {what: value for what, value in seen.items() if value is not None}
    if combo:
        given |= {"weight": choice.weight}
        given |= {"price_nano_usd": choice.price_nano_usd} if choice.price_nano_usd is not None else {}
        given |= {"context_tokens": choice.context_tokens} if choice.context_tokens is not None else {}
    written = artefact.origins.get(f"{ordering.entity}.{place}")
    given |= {"written": written} if written else {}
    return msgspec.convert({"name": choice.name, "key": choice.key, **given}, OrderedChoice)


def _end(record: CallRecord) -> Iterator[Reason]:
    if not record.ended_s:
        return
    if record.outcome == "ok" and record.served:
        text = f"served by {record.served}, spoken to in {record.upstream_protocol}"
        yield Reason(kind="served", text=text, target=record.served, connection=record.connection)
    elif record.outcome == "ok":
        yield Reason(kind="served", text=_REPLAYED.get(record.replay, "answered without asking a model"))
    elif record.outcome == "error":
        yield Reason(kind="refused", text=f"the client was told {record.error}, status {record.status}")
    else:
        yield Reason(kind="refused", text="given up: the client left or cancelled it")


# -- what it depended on


def _inputs(artefact: Artefact, lit: AbstractSet[str], record: CallRecord) -> DecisionInputs:
    needs = record.needs
    return DecisionInputs(
        build=artefact.build,
        name=record.model,
        protocol=record.surface,
        endpoint=record.endpoint,
        connections=sorted(lit),
        needs=UNSET
        if needs is None
        else DecisionNeeds(uses=sorted(needs.uses), input_tokens=needs.input_tokens, key=needs.key),
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
