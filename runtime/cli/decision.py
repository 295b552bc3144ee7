"""A decision for people: its reasons, and its orders made anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from generated.types.explain import Decision, OrderedChoice, Reason
from runtime.cli.terminal import FAULT, Stop
from runtime.routing.deriving import Derived

__all__ = ["read_decision", "render_decision", "render_derived"]

_FIGURES = (
    "weight", "price_nano_usd", "context_tokens", "in_flight", "used", "latency_s", "success", "headroom", "ready", "bound",
)  # fmt: skip


def read_decision(data: bytes) -> Decision:
    """What the gateway answered. Raises Stop for anything else."""
    try:
        return msgspec.json.decode(data, type=Decision)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Stop(
            FAULT, f"this is no decision: {error}; `gatewright explain --request ID --json` prints one"
        ) from None


def render_decision(decision: Decision) -> str:
    return "".join(f"{line}\n" for line in _lines(decision))


def render_derived(derived: Sequence[Derived]) -> str:
    """Each order with what became of it."""
    if not derived:
        return "nothing had to be put in order\n"
    return "".join(f"{line}\n" for each in derived for line in _compared(each))


def _lines(decision: Decision) -> Iterator[str]:
    at = datetime.fromtimestamp(decision.at, UTC).isoformat(timespec="milliseconds")
    model = decision.model or "no model"
    yield f"{decision.id}: {decision.operation} of {model} in {decision.protocol}, {at}, key {decision.key}"
    session = f", session {decision.session}" if decision.session else ""
    yield f"  build {decision.build}, request {decision.request_id}{session}, {decision.outcome}"
    for number, reason in enumerate(decision.reasons, 1):
        yield f"  {number}. {_reason(reason)}"
        for choice in reason.choices or ():
            yield f"       {_choice(choice)}"


def _reason(reason: Reason) -> str:
    about = " over ".join(part for part in (reason.target or "", reason.connection or "") if part)
    where = f" ({reason.written})" if reason.written else ""
    until = f", until {datetime.fromtimestamp(reason.until, UTC).isoformat(timespec='seconds')}" if reason.until else ""
    about = f"{about}: " if about else ""
    return f"[{reason.kind}] {about}{reason.text}{until}{where}"


def _choice(choice: OrderedChoice) -> str:
    given = ((name, getattr(choice, name)) for name in _FIGURES)
    figures = ", ".join(f"{name} {value}" for name, value in given if value is not msgspec.UNSET)
    where = f" ({choice.written})" if choice.written else ""
    return f"{choice.name}{where}" + (f": {figures}" if figures else "")


def _compared(derived: Derived) -> Iterator[str]:
    if derived.same:
        yield f"{derived.entity} by {derived.strategy}: {', '.join(derived.noted)}: the same again"
        return
    yield f"{derived.entity} by {derived.strategy}: differs"
    yield f"  then {', '.join(derived.noted)}"
    yield f"  now  {', '.join(derived.now) if derived.now is not None else derived.problem}"
