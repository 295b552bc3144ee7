"""What is known of providers while the process runs: who fails, who rests, who is busy, how fast they are.

One object per process. It sends nothing and decides no order: `runtime.routing` asks it and tells it. A model is named
by its public id; the caller sees to it that clients cannot make up names without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

from generated.config import BreakerSettings, ConnectionLimit, CooldownSettings
from runtime.errors import GatewayError, RateLimited
from runtime.resilience.breaker import Breaker
from runtime.resilience.change import Change, rest_of, rests
from runtime.resilience.cooldown import Cooldowns
from runtime.resilience.judgement import judge
from runtime.resilience.quota import Quotas
from runtime.resilience.reported import read_reports
from runtime.resilience.slots import Room, Slots
from runtime.resilience.snapshot import HealthSnapshot, LaneState

__all__ = ["Health", "Hindrance", "Lane", "Reason", "Ticket"]

Reason: TypeAlias = Literal["circuit_open", "rate_limit", "quota", "credential", "limit", "spent", "busy"]

_LATENCY_WEIGHT: Final = 0.3
_SUCCESS_WEIGHT: Final = 0.1


class Hindrance(msgspec.Struct, frozen=True):
    """Why a model is not asked over a connection now, and when it can be. ``error`` is what led to it, where one did."""

    reason: Reason
    due_s: float
    error: GatewayError | None = None


class Lane:
    """A model over a connection: the calls on it. ``latency_s`` and ``success`` are moving averages.

    ``latency_s`` is the time to the first byte of an answer, None before the first; ``measured_s`` when it was taken.
    ``room`` are the connection's places, ``breaker`` is the model's, None until a call is sent, or where there is none.
    """

    __slots__ = ("breaker", "connection", "in_flight", "latency_s", "measured_s", "model", "room", "success", "used")

    def __init__(self, model: str, connection: str, room: Room) -> None:
        self.model = model
        self.connection = connection
        self.room = room
        self.breaker: Breaker | None = None
        self.in_flight = 0
        self.used = 0
        self.latency_s: float | None = None
        self.measured_s = 0.0
        self.success = 1.0


class Health:
    """``places`` maps connections to their `max_in_flight`, ``limits`` to what they may use. ``clock`` gives monotonic seconds."""

    def __init__(
        self,
        breakers: BreakerSettings,
        cooldowns: CooldownSettings,
        places: Mapping[str, int],
        clock: Callable[[], float],
        limits: Mapping[str, Sequence[ConnectionLimit]] = MappingProxyType({}),
    ) -> None:
        self._quotas = Quotas(limits, cooldowns.max_ms / 1000)
        self._breaker_settings = breakers if breakers.mode == "open" else None
        self._breakers: dict[str, Breaker] = {}
        self._cooldowns = Cooldowns(cooldowns)
        self._slots = Slots(places)
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._changed: Callable[[Change], None] | None = None
        self.clock = clock

    def listen(self, changed: Callable[[Change], None]) -> None:
        """``changed`` is called from now on with what calls change for others, too."""
        self._changed = changed

    def apply(self, change: Change) -> None:
        """Know what another worker learned; its time is by our clock."""
        if change.what == "rests":
            self._cooldowns.heard(change.connection, change.model, rest_of(change), self.clock())
            return
        breaker = self._breaker(change.model or "")
        if breaker is None:
            return
        if change.what == "opened":
            breaker.heard_opened(change.at_s, change.for_s)
        elif change.what == "trial":
            breaker.heard_trial(change.at_s)
        else:
            breaker.heard_closed(change.at_s)

    def lane(self, model: str, connection: str) -> Lane:
        """The calls of ``model`` over ``connection``."""
        key = (model, connection)
        found = self._lanes.get(key)
        if found is None:
            found = self._lanes[key] = Lane(model, connection, self._slots.room(connection))
        return found

    def hindrance(self, model: str, connection: str) -> Hindrance | None:
        """Why ``model`` must not be asked over ``connection`` now, or None."""
        breaker = self._breakers.get(model)
        opened = breaker is not None and breaker.open_until_s is not None
        if not (opened or self._cooldowns.rests or self._quotas.declared):
            return None
        now_s = self.clock()
        if breaker is not None and (due_s := breaker.due_s(now_s)) is not None:
            return Hindrance("circuit_open", due_s)
        if self._cooldowns.rests and (rest := self._cooldowns.find(connection, model, now_s)) is not None:
            return Hindrance(rest.kind, rest.until_s, rest.error)
        if self._quotas.declared and (due_s := self._quotas.full_until_s(connection, now_s)) is not None:
            return Hindrance("limit", due_s, RateLimited("a limit of the gateway's is reached"))
        return None

    def spent_until_s(self, model: str, connection: str) -> float | None:
        """When ``model`` has its quota back over ``connection``, which its provider said is used up; None: not as far as is known."""
        return self._quotas.spent_until_s(connection, model, self.clock())

    def headroom(self, model: str, connection: str) -> float:
        """What part of the quota of ``model`` over ``connection`` is left, 0 to 1; 1 where nothing is known."""
        return self._quotas.headroom(connection, model, self.clock())

    def configure(self, breakers: BreakerSettings, cooldowns: CooldownSettings) -> None:
        """From now on by other settings; what is known stays known."""
        self._breaker_settings = breakers if breakers.mode == "open" else None
        if self._breaker_settings is None:
            self._breakers.clear()
            for lane in self._lanes.values():
                lane.breaker = None
        for breaker in self._breakers.values():
            breaker.configure(breakers)
        self._cooldowns.configure(cooldowns)

    def adopt(
        self,
        places: Mapping[str, int],
        limits: Mapping[str, Sequence[ConnectionLimit]],
        longest_s: float,
        renewed: Iterable[str],
    ) -> None:
        """From now on with other connections. Of ``renewed`` ones, with another credential or address, nothing is held against them.

        ``longest_s`` bounds what providers report.
        """
        self._slots.configure(places)
        self._quotas.configure(limits, longest_s)
        for connection in renewed:
            self._cooldowns.forget(connection)
            self._quotas.forget(connection)

    def reset(self) -> HealthSnapshot:
        """Close all breakers and end all cooldowns; which were not closed, and who rested."""
        now_s = self.clock()
        opened = [breaker.state(model, now_s) for model, breaker in self._breakers.items() if not breaker.closed]
        for breaker in self._breakers.values():
            breaker.reset()
        return HealthSnapshot(breakers=tuple(opened), rests=tuple(self._cooldowns.reset(now_s)))

    def snapshot(self) -> HealthSnapshot:
        """All that is known at this moment."""
        now_s = self.clock()
        return HealthSnapshot(
            breakers=tuple(breaker.state(model, now_s) for model, breaker in self._breakers.items()),
            rests=tuple(self._cooldowns.states(now_s)),
            lanes=tuple(
                LaneState(
                    model=model,
                    connection=connection,
                    in_flight=lane.in_flight,
                    used=lane.used,
                    success=lane.success,
                    latency_s=lane.latency_s,
                )
                for (model, connection), lane in self._lanes.items()
            ),
            places=tuple(self._slots.states()),
        )

    def enter(self, model: str, connection: str) -> Ticket | None:
        """Begin a call; None when the connection has no free place. Ask `hindrance` first."""
        lane = self._lanes.get((model, connection)) or self.lane(model, connection)
        return self._ticket(lane) if lane.room.take() else None

    def enter_late(self, model: str, connection: str) -> Ticket | Hindrance | None:
        """`enter`, some time after `hindrance` was asked: it is asked again, and nothing begins where there is one now."""
        lane = self.lane(model, connection)
        return self._unless_hindered(lane) if lane.room.take() else None

    async def queue(self, model: str, connection: str, limit_s: float) -> Ticket | Hindrance | None:
        """`enter_late`, as soon as the connection has a free place; None when it had none in time."""
        lane = self.lane(model, connection)
        return self._unless_hindered(lane) if await lane.room.wait(limit_s) else None

    def _unless_hindered(self, lane: Lane) -> Ticket | Hindrance:
        """Asked before the call begins: one on trial hinders all others, and would find itself in its own way."""
        hindrance = self.hindrance(lane.model, lane.connection)
        if hindrance is None:
            return self._ticket(lane)
        lane.room.release()
        return hindrance

    def _ticket(self, lane: Lane) -> Ticket:
        breaker = lane.breaker
        if breaker is None:
            breaker = lane.breaker = self._breaker(lane.model)
        lane.in_flight += 1
        lane.used += 1
        trial = breaker is not None and breaker.open_until_s is not None and breaker.begin()
        began_s = self.clock()
        if trial and self._changed is not None:
            self._changed(Change(what="trial", at_s=began_s, model=lane.model))
        return Ticket(self, self._quotas, self.clock, lane, breaker, began_s, trial)

    def _breaker(self, model: str) -> Breaker | None:
        breaker = self._breakers.get(model)
        if breaker is None and self._breaker_settings is not None:
            breaker = self._breakers[model] = Breaker(self._breaker_settings)
        return breaker

    def ended(self, ticket: Ticket, error: GatewayError | None, now_s: float) -> None:
        """Learn from the call of ``ticket``. For the ticket only."""
        healthy: bool | None = True
        lane = ticket.lane
        if error is not None:
            judgement = judge(error)
            healthy = judgement.healthy
            if judgement.rests is not None:
                model = None if judgement.whole else lane.model
                rest = self._cooldowns.begin(lane.connection, model, judgement.rests, error, now_s)
                if rest is not None and self._changed is not None:
                    self._changed(rests(lane.connection, model, rest, now_s))
        elif self._cooldowns.rests:
            self._cooldowns.answered(lane.connection, lane.model, now_s)
        if healthy is not None:
            lane.success += (healthy - lane.success) * _SUCCESS_WEIGHT
        self.left(ticket, healthy, now_s)

    def take_used(self) -> dict[str, tuple[int, int]]:
        """Requests and tokens by connection, of those with a limit, that were used since this was last asked."""
        return self._quotas.take_untold()

    def put_back(self, amounts: Mapping[str, tuple[int, int]]) -> None:
        """What `take_used` gave is to be given again."""
        self._quotas.put_back(amounts)

    def used_elsewhere(self, amounts: Mapping[str, tuple[int, int]]) -> None:
        """Another worker used so many requests and tokens."""
        self._quotas.used_elsewhere(amounts, self.clock())

    def left(self, ticket: Ticket, healthy: bool | None, now_s: float) -> None:
        """Give back what the call of ``ticket`` held. For the ticket only."""
        lane, breaker = ticket.lane, ticket.breaker
        lane.in_flight -= 1
        lane.room.release()
        if breaker is not None and breaker.end(healthy, now_s, trial=ticket.trial):
            self.turned(breaker, lane.model, now_s)

    def turned(self, breaker: Breaker, model: str, now_s: float) -> None:
        """The breaker of ``model`` was opened or closed by the end of a call. For tickets only."""
        if self._changed is None:
            return
        after = breaker.opening
        if after is None:
            self._changed(Change(what="closed", at_s=now_s, model=model))
        else:
            self._changed(Change(what="opened", at_s=now_s, for_s=after[1], model=model))


class Ticket(msgspec.Struct, eq=False):
    """One call that is under way since ``began_s``. Ended exactly once; further ends are no event."""

    health: Health
    quotas: Quotas
    clock: Callable[[], float]
    lane: Lane
    breaker: Breaker | None
    began_s: float
    trial: bool
    over: bool = False

    def sent(self) -> None:
        """The request goes out now."""
        self.quotas.sent(self.lane.connection, self.clock())

    def heard(self, headers: Mapping[str, str]) -> None:
        """The head of an answer is here, an error's or not: what the provider says of its quotas is learned."""
        reports = read_reports(headers)
        if reports:
            self.quotas.learn(self.lane.connection, self.lane.model, reports, self.clock())

    def used(self, tokens: int) -> None:
        """So many tokens were sent and answered."""
        self.quotas.used(self.lane.connection, tokens, self.clock())

    def answered(self) -> None:
        """The first byte of the answer is here: the time it took is remembered, and a trial is passed."""
        now_s = self.clock()
        lane, took_s = self.lane, now_s - self.began_s
        before_s = lane.latency_s
        lane.latency_s = took_s if before_s is None else before_s + (took_s - before_s) * _LATENCY_WEIGHT
        lane.measured_s = now_s
        if self.trial and self.breaker is not None:
            if self.breaker.end(True, now_s, trial=True):
                self.health.turned(self.breaker, lane.model, now_s)
            self.trial = False

    def end(self, error: GatewayError | None = None) -> float:
        """The call is over: well, or with ``error``. When that was."""
        now_s = self.clock()
        if not self.over:
            self.over = True
            self.health.ended(self, error, now_s)
        return now_s

    def abandon(self) -> float:
        """The call was given up by us or the client, which says nothing about the provider. When that was."""
        now_s = self.clock()
        if not self.over:
            self.over = True
            self.health.left(self, None, now_s)
        return now_s
