"""What the log says of a call that is over: the facts of its record, put together once and encoded at once."""

from __future__ import annotations

from math import floor

import msgspec

from runtime.telemetry.call import CallRecord
from runtime.telemetry.log import Level, Record
from runtime.telemetry.trail import AttemptRecord

__all__ = ["CallEnded", "call_ended"]


class Tried(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One attempt. What is None is not said."""

    target: str
    connection: str
    outcome: str
    status: int | None = None
    duration_ms: float | None = None
    output_tokens: int | None = None


class CallEnded(Record, frozen=True, omit_defaults=True, gc=False):
    """What is empty is not said, nor is a tenant that is the default one."""

    request_id: str = ""
    decision: str = ""
    operation: str = ""
    key: str = ""
    tenant: str = ""
    session: str = ""
    model: str = ""
    served: str = ""
    connection: str = ""
    protocol: str = ""
    upstream_protocol: str = ""
    passed_through: bool | None = None
    stream: bool | None = None
    status: int | None = None
    upstream_status: int | None = None
    outcome: str = ""
    error: str | None = None
    duration_ms: float | None = None
    first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nano_usd: int = 0
    unpriced: bool = False
    losses: tuple[str, ...] = ()
    rescues: int = 0
    replay: str = ""
    attempts: list[Tried] | None = None
    skipped: list[str] | None = None


def call_ended(call: CallRecord, timestamp: str, level: Level, build: str) -> CallEnded:
    """The record of ``call``, whose end is noted."""
    usage, attempts, first_s = call.usage, call.attempts, call.first_token_s
    told = attempts and (len(attempts) > 1 or attempts[0].outcome != "ok")
    return CallEnded(
        timestamp,
        level,
        "call_ended",
        build,
        call.id,
        call.decision,
        call.operation,
        call.key,
        "" if call.tenant == "default" else call.tenant,
        call.session,
        call.model,
        call.served,
        call.connection,
        call.protocol,
        call.upstream_protocol,
        call.passed_through,
        call.stream,
        call.status,
        call.upstream_status,
        call.outcome,
        call.error or None,
        _ms(call.ended_s - call.started_s),
        None if first_s is None else _ms(first_s - call.started_s),
        None if usage is None else usage.total_input,
        None if usage is None else usage.output,
        call.cost_nano_usd,
        call.unpriced,
        call.losses,
        call.rescues,
        call.replay,
        [_tried(each) for each in attempts] if told else None,  # a single one that went well is the call
        [f"{each.target} over {each.connection}: {each.reason}" for each in call.skipped] if call.skipped else None,
    )


def _tried(attempt: AttemptRecord) -> Tried:
    return Tried(
        attempt.target,
        attempt.connection,
        attempt.outcome,
        attempt.status,
        _ms(attempt.ended_s - attempt.started_s),
        None if attempt.usage is None else attempt.usage.output,
    )


def _ms(seconds: float) -> float:
    """To a tenth."""
    return floor(seconds * 10_000 + 0.5) / 10
