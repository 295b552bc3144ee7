"""Who can be asked now, who rests and why, and the settings that decide it; in all workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from generated.types.resilience import (
    AvailabilityList,
    AvailabilityQuestion,
    Circuit,
    ConfiguredLimits,
    ConnectionLimits,
    ConnectionLoad,
    ModelAvailability,
    RateLimits,
    Resilience,
    ResilienceReset,
    ResilienceSettings,
    Rest,
    TargetAvailability,
    UsageLimit,
)
from runtime.config.plan import Plan, Route
from runtime.config.resolve import resolve
from runtime.errors import PermissionDenied, RouteUnavailable
from runtime.resilience import Health, HealthSnapshot
from runtime.resilience.snapshot import merged
from runtime.routing import Candidate, RouteTable
from runtime.services.dials import Settings, configured_settings, settings_of, shown, with_changes
from runtime.services.overrides import Change, Overrides
from runtime.shared.colleagues import Colleagues
from runtime.web.key import KeyRecord

__all__ = ["HEALTH", "RESET", "ResilienceControl", "told_health", "told_reset"]

HEALTH: Final = "health"
RESET: Final = "reset"
LASTS: Final = "until it is changed again"


def _changes(data: ResilienceSettings) -> list[Change]:
    return [
        Change(section=section, name=name, document=value)
        for section, settings in data.items()
        for name, value in settings.items()
    ]


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers know, and how many of them said it."""

    health: HealthSnapshot
    workers: int
    heard: int


def told_health(health: Health) -> Callable[[bytes], bytes]:
    """What a worker answers to HEALTH."""
    return lambda _: msgspec.msgpack.encode(health.snapshot())


def told_reset(health: Health) -> Callable[[bytes], bytes]:
    """What a worker does and answers at RESET."""
    return lambda _: msgspec.msgpack.encode(health.reset())


class ResilienceControl:
    """Implements `generated.api.resilience.ResilienceService`. ``now`` gives Unix seconds."""

    def __init__(
        self,
        plan: Plan,
        routes: RouteTable,
        health: Health,
        overrides: Overrides,
        colleagues: Colleagues,
        now: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._routes = routes
        self._health = health
        self._overrides = overrides
        self._colleagues = colleagues
        self._now = now

    # -- who can be asked

    async def list_availability(self, caller: KeyRecord) -> AvailabilityList:
        listed = (route for route in self._routes.listed() if caller.may_use(route.name))
        return AvailabilityList(models=[self._availability(route) for route in listed])

    async def get_availability(self, caller: KeyRecord, data: AvailabilityQuestion) -> ModelAvailability:
        name = self._routes.spelt(data.model, caller.may_use)
        if not caller.may_use(name):
            raise PermissionDenied(f"this key may not use the model {name!r}", param="model")
        route = resolve(self._plan, name)
        if route is None:
            raise self._routes.unknown(name)
        found = self._availability(route)
        found.targets = self._targets(route)
        return found

    def _availability(self, route: Route) -> ModelAvailability:
        targets = self._targets(route)
        if any(target.available for target in targets):
            return ModelAvailability(model=route.name, available=True)
        due = [target for target in targets if isinstance(target.until, float)]
        first = min(due, key=lambda target: target.until or 0.0, default=targets[0] if targets else None)
        reason, until = (first.reason, first.until) if first is not None else ("dark", UNSET)
        return ModelAvailability(model=route.name, available=False, reason=reason, until=until)

    def _targets(self, route: Route) -> list[TargetAvailability]:
        """Each target over each of its connections, dark ones too."""
        lit = {(each.id, each.connection): each for each in self._candidates(route)}
        return [
            self._target(target.model, connection, lit.get((target.model, connection)))
            for target in route.targets
            for connection in target.connections
        ]

    def _candidates(self, route: Route) -> Iterator[Candidate]:
        try:
            yield from self._routes.candidates(route.name, "openai_chat", route.endpoint)
        except RouteUnavailable:
            return

    def _target(self, model: str, connection: str, candidate: Candidate | None) -> TargetAvailability:
        told = TargetAvailability(model=model, connection=connection, available=False)
        if candidate is None:
            told.reason = "dark"
            return told
        hindrance = self._health.hindrance(candidate.lane, connection)
        if hindrance is None:
            told.available = True
        else:
            told.reason, told.until = hindrance.reason, self._at(hindrance.due_s - self._health.clock())
        return told

    # -- settings and state

    async def get_resilience(self) -> Resilience:
        known, now = await self._known(), self._settings
        return Resilience(
            breakers=shown(now.breakers),
            cooldowns=shown(now.cooldowns),
            retries=shown(now.retries),
            timeouts=shown(now.timeouts),
            changed=[f"{section}.{name}" for section, name in self._changed()],
            lasts=LASTS,
            circuits=[
                Circuit(
                    model=each.model,
                    state=each.state,
                    calls=each.calls,
                    failures=each.failures,
                    until=UNSET if each.due_s is None else self._at(each.due_s),
                )
                for each in known.health.breakers
            ],
            resting=self._resting(known.health),
            workers=known.workers,
            heard=known.heard,
        )

    async def change_resilience(self, caller: KeyRecord, data: ResilienceSettings) -> Resilience:
        caller.require_manages()
        with_changes(self._settings, data)
        await self._overrides.change(_changes(data), caller, action="resilience.changed")
        return await self.get_resilience()

    async def set_resilience(self, caller: KeyRecord, data: ResilienceSettings) -> Resilience:
        caller.require_manages()
        with_changes(configured_settings(self._overrides.effective.base), data)
        back = [
            Change(section=section, name=name) for section, name in self._changed() if name not in data.get(section, {})
        ]
        await self._overrides.change([*back, *_changes(data)], caller, action="resilience.set")
        return await self.get_resilience()

    async def reset_resilience(self) -> ResilienceReset:
        answers = await self._colleagues.ask(RESET, b"")
        was = merged(tuple(msgspec.msgpack.decode(answer, type=HealthSnapshot) for answer in answers.answers))
        opened, rests = len(was.breakers), len(was.rests)
        silent = answers.workers - answers.heard
        message = f"Reset {opened} circuit breaker(s) and {rests} cooldown(s)"
        message += f"; {silent} of {answers.workers} workers did not answer" if silent else ""
        return ResilienceReset(ok=not silent, reset_count=opened, cooldowns=rests, message=message)

    @property
    def _settings(self) -> Settings:
        """What is in force: a change that is made here takes this object's plan out of it."""
        return settings_of(self._overrides.effective.artefact.plan)

    def _changed(self) -> list[tuple[str, str]]:
        """The settings that are not the files' own."""
        settings = self._settings
        return [
            (section, field.encode_name)
            for section in settings.__struct_fields__
            for field in msgspec.structs.fields(getattr(settings, section))
            if field.encode_name in self._overrides.overridden(section)
        ]

    # -- connections

    async def list_rate_limits(self) -> RateLimits:
        known = await self._known()
        connections = [self._load(id_, known.health) for id_ in self._plan.connections if self._routes.lit(id_)]
        resting = self._resting(known.health)
        return RateLimits(connections=connections, lockouts=resting, workers=known.workers, heard=known.heard)

    async def get_rate_limit(self) -> ConfiguredLimits:
        limited = [
            ConnectionLimits(connection=id_, max_in_flight=each.max_in_flight or UNSET, limits=self._limits(id_))
            for id_, each in self._plan.connections.items()
            if each.max_in_flight is not None or each.limits
        ]
        return ConfiguredLimits(queue_s=self._plan.timeouts.queue_ms / 1000, connections=limited)

    def _load(self, id_: str, health: HealthSnapshot) -> ConnectionLoad:
        connection = self._plan.connections[id_]
        lanes = [lane for lane in health.lanes if lane.connection == id_]
        whole = any(rest.connection == id_ and rest.model is None for rest in health.rests)
        return ConnectionLoad(
            connection=id_,
            provider=connection.provider,
            active=not whole,
            running=sum(lane.in_flight for lane in lanes),
            queued=sum(place.waiting for place in health.places if place.connection == id_),
            max_in_flight=connection.max_in_flight or UNSET,
            limits=self._limits(id_),
            headroom=min((self._health.headroom(lane.model, id_) for lane in lanes), default=1.0),
        )

    def _limits(self, id_: str) -> list[UsageLimit]:
        return [
            UsageLimit(requests=each.requests or UNSET, tokens=each.tokens or UNSET, per_s=each.per_ms / 1000)
            for each in self._plan.connections[id_].limits
        ]

    # -- all workers

    async def _known(self) -> _Known:
        answers = await self._colleagues.ask(HEALTH, b"")
        snapshots = tuple(msgspec.msgpack.decode(answer, type=HealthSnapshot) for answer in answers.answers)
        return _Known(health=merged(snapshots), workers=answers.workers, heard=answers.heard)

    def _resting(self, health: HealthSnapshot) -> list[Rest]:
        return [
            Rest(connection=each.connection, model=each.model or UNSET, kind=each.kind, until=self._at(each.left_s))
            for each in health.rests
        ]

    def _at(self, left_s: float) -> float:
        return round(self._now() + left_s, 3)
