"""One attempt at one target, from the decision to ask it to the last byte of its answer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from runtime.canonical import Usage
from runtime.errors import GatewayError
from runtime.resilience import Ticket
from runtime.routing.candidate import Candidate
from runtime.telemetry import AttemptRecord

__all__ = ["Attempt", "UnsayableError"]


class UnsayableError(Exception):
    """The request cannot be put into this target's protocol, which another target might speak better. ``error`` says why."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error


class Attempt(msgspec.Struct, eq=False):
    """Ended exactly once: by whoever made it, or, when it is ``held``, by who holds it. Later ends are no event.

    ``more``: other targets may be left. ``ends_s`` is when the whole request must be over, by the ticket's clock.
    ``counted``: it takes of the account's quotas, as counts of tokens do not. ``losses`` are what translating for it lost.
    """

    candidate: Candidate
    ticket: Ticket
    record: AttemptRecord
    ends_s: float
    more: bool
    held: bool = False
    counted: bool = True
    losses: tuple[str, ...] = ()

    def left_ms(self) -> int:
        """What is left of the time of the whole request."""
        left_ms = int((self.ends_s - self.ticket.clock()) * 1000)
        return left_ms if left_ms > 0 else 1

    def patience_ms(self, left_ms: int | None = None) -> int:
        """How long an answer may take to begin, whatever the limits: half of what is left while others could be asked."""
        left_ms = left_ms or self.left_ms()
        return left_ms // 2 or 1 if self.more else left_ms

    def sent(self) -> None:
        """The request goes out now."""
        if self.counted and self.ticket.quotas.declared:
            self.ticket.sent()

    def heard(self, headers: Mapping[str, str]) -> None:
        """The head of the provider's answer is here, lower-case."""
        if self.counted:
            self.ticket.heard(headers)

    def answered(self) -> None:
        """The answer has begun."""
        self.ticket.answered()

    def end(self, error: GatewayError | None = None, usage: Usage | None = None) -> None:
        """It is over: well, or with ``error``."""
        record = self.record
        if not record.outcome:
            record.outcome = "ok" if error is None else error.kind
            if usage is not None:
                self._took(usage)
            record.ended_s = self.ticket.end(error)

    def abandon(self, outcome: str = "cancelled", usage: Usage | None = None) -> None:
        """It is over, which says nothing about the provider."""
        record = self.record
        if not record.outcome:
            record.outcome = outcome
            if usage is not None:
                self._took(usage)
            record.ended_s = self.ticket.abandon()

    def _took(self, usage: Usage) -> None:
        self.record.usage = usage
        if self.ticket.quotas.declared:
            self.ticket.used(usage.total)
