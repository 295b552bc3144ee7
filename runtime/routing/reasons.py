"""What was noted of a call, put into words: the reasons in order, and the inputs from which the orders follow again.

Done when somebody asks, never on the request path. What a name stands for and which line says so comes from the plan and
its origins; what happened comes from the call's record.

Tenants share connections: how busy, how fast and how well one was says what the others do, and is for the operator alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

import msgspec
from msgspec import UNSET

from generated.types.explain import Decision, OrderedChoice, Reason
from runtime.config.explain import written_at
from runtime.config.order import condition_words
from runtime.config.plan import Artefact, Route
from runtime.config.resolve import resolve
from runtime.routing.base import Choice
from runtime.routing.inputs import decision_inputs
from runtime.routing.kept import BY_SESSION
from runtime.routing.needs import Needs, meets
from runtime.routing.written import Lines
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

_OWN = frozenset({"ready", "bound"})
"""What of a choice's figures says nothing of other tenants' calls."""

_BY = {"idempotent": ("idempotency",), "exact": ("cache.exact", "cache"), "semantic": ("cache.semantic", "cache")}

_REPLAYED = {
    "idempotent": "answered with what an earlier request with the same idempotency key got",
    "exact": "answered from the cache: an equal request was answered before",
    "semantic": "answered from the cache: a request that means the same was answered before",
}


def explain_call(
    artefact: Artefact,
    lit: AbstractSet[str],
    record: CallRecord,
    wall_s: Callable[[float], float],
    dark: Mapping[str, str] = MappingProxyType({}),
    *,
    operator: bool = True,
) -> Decision:
    """Everything about ``record``, or what is not the ``operator``'s alone to know.

    ``lit`` are the connections that have a credential, ``dark`` says what is wrong with those of others (`Secrets.dark`);
    ``wall_s`` turns the record's times to Unix ones.
    """
    over, lines = record.ended_s > 0, Lines(artefact, record.model)
    return Decision(
        id=record.decision,
        request_id=record.id,
        build=artefact.build,
        at=round(wall_s(record.started_s), 3),
        key=record.key,
        company_id=record.tenant,
        session=record.session or UNSET,
        operation=record.operation,
        protocol=record.protocol,
        model=record.model or UNSET,
        served=record.served or UNSET,
        connection=record.connection or UNSET,
        outcome=record.outcome if over else "running",
        status=record.status if over else UNSET,
        error=record.error or UNSET,
        duration_ms=round((record.ended_s - record.started_s) * 1000, 1) if over else UNSET,
        reasons=[
            *_resolved(artefact, lit, dark if operator else None, lines, record),
            *_steps(artefact, record, lines, wall_s, operator=operator),
            *_end(record, lines),
        ],
        inputs=decision_inputs(artefact.build, lit, record) if operator else UNSET,
    )


# -- what the name stands for


def _resolved(
    artefact: Artefact, lit: AbstractSet[str], dark: Mapping[str, str] | None, lines: Lines, record: CallRecord
) -> Iterator[Reason]:
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
    yield from _dark(artefact, lit, dark, lines, route)


def _dark(
    artefact: Artefact, lit: AbstractSet[str], dark: Mapping[str, str] | None, lines: Lines, route: Route
) -> Iterator[Reason]:
    """The connections without a credential, each once; without ``dark`` not where one is looked for."""
    seen: set[tuple[str, str]] = set()
    for target in route.targets:
        for id_ in target.connections:
            if id_ in lit or (target.model, id_) in seen:
                continue
            seen.add((target.model, id_))
            connection = artefact.plan.connections[id_]
            if not connection.enabled:
                text = "the connection is not enabled"
            elif dark is None:
                text = "the connection is dark: it has no credential here"
            else:
                text = f"the connection is dark: {connection.secret} {dark.get(id_, 'is not set')}"
            where = lines.connection(id_) or lines.target(target.model)
            yield Reason(kind="left_out", text=text, target=target.model, connection=id_, written=where)


# -- what happened


def _steps(
    artefact: Artefact, record: CallRecord, lines: Lines, wall_s: Callable[[float], float], *, operator: bool
) -> Iterator[Reason]:
    told: set[str] = set()
    for step in record.trail:
        match step:
            case Ordering():
                if step.entity not in told:  # once, though an order may be made in two pieces
                    yield from _unmet(artefact, step, record)
                told.add(step.entity)
                if step.strategy == BY_SESSION:
                    yield _kept(artefact, step, record, lines)
                elif step.choices:
                    yield _ordered(artefact, step, operator=operator)
            case Skipped():
                due_s = round(wall_s(step.due_s), 3) if step.due_s is not None else UNSET
                why = _WHY.get(step.reason, step.reason)
                yield Reason(
                    kind="left_out",
                    text=why,
                    target=step.target,
                    connection=step.connection,
                    until=due_s,
                    written=lines.skipped(step),
                )
            case AttemptRecord():
                yield _attempted(step, lines)
            case Note():
                yield Reason(
                    kind=step.kind,
                    text=f"the session {record.session}: {step.text}" if step.kind == "session" else step.text,
                    target=step.target or UNSET,
                    connection=step.connection or UNSET,
                    written=lines.note(step),
                )


def _attempted(attempt: AttemptRecord, lines: Lines) -> Reason:
    status = f", status {attempt.status}" if attempt.status is not None else ""
    took = f" after {attempt.ended_s - attempt.started_s:.3f} s" if attempt.outcome else ""
    outcome = {"": "under way", "ok": "it answered"}.get(attempt.outcome, f"it ended with {attempt.outcome}")
    text = f"asked: {outcome}{status}{took}"
    return Reason(
        kind="attempt",
        text=text,
        target=attempt.target,
        connection=attempt.connection,
        written=lines.target(attempt.target, attempt.connection),
    )


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


def _ordered(artefact: Artefact, ordering: Ordering, *, operator: bool) -> Reason:
    figures: dict[int, dict[str, float | None]] = {}
    for what, key, value in ordering.seen:
        if operator or what in _OWN:
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
    how += [f"remembering {list(ordering.memory)}"] if ordering.memory and operator else []
    basis = f", {', '.join(how)}" if how else ""
    where = artefact.origins.get(ordering.entity) or UNSET
    return Reason(kind="order", text=f"{of} by {ordering.strategy}{basis}: {names}", written=where, choices=choices)


def _kept(artefact: Artefact, ordering: Ordering, record: CallRecord, lines: Lines) -> Reason:
    """Where the session was, of which a strategy was not asked."""
    combo = ordering.entity.startswith("combos.")
    choices = [
        _choice(artefact, ordering, each, {}, combo=combo) for each in ordering.order if isinstance(each, Choice)
    ]
    first = ordering.order[0].name
    what = "target" if combo else "connection"
    return Reason(
        kind="session",
        text=f"the session {record.session} is at this {what}, which is asked before the others of {ordering.entity}",
        target=first if combo else UNSET,
        connection=UNSET if combo else first,
        written=lines.sessions(first) or (choices[0].written if choices else UNSET),
        choices=choices,
    )


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


def _end(record: CallRecord, lines: Lines) -> Iterator[Reason]:
    if not record.ended_s:
        return
    if record.outcome == "ok" and record.served and record.replay not in _REPLAYED:
        text = f"served by {record.served}, spoken to in {record.upstream_protocol}"
        written = lines.target(record.served, record.connection)
        yield Reason(
            kind="served", text=text, target=record.served, connection=record.connection, written=written
        )  # fmt: skip
    elif record.outcome == "ok":
        text = _REPLAYED.get(record.replay, "answered without asking a model")
        if record.served:
            text += f", by {record.served}"
        yield Reason(kind="served", text=text, written=lines.entity(*_BY.get(record.replay, ())))
    elif record.outcome == "error":
        yield Reason(kind="refused", text=f"the client was told {record.error}, status {record.status}")
    else:
        yield Reason(kind="refused", text="given up: the client left or cancelled it")
