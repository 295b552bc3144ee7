"""Connections that are left alone for a while, wholly or for one model. Pure: times are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from generated.config import CooldownSettings
from runtime.errors import GatewayError
from runtime.resilience.snapshot import RestState

__all__ = ["Cooldown", "Cooldowns"]

_MAX_LEVEL: Final = 30.0
"""How many times the first cooldown one without a provider's word can grow to."""

Kind = Literal["rate_limit", "quota", "credential"]


class Cooldown(msgspec.Struct, frozen=True):
    """``error`` is what began it; ``level`` how many times as long as the first one it was."""

    until_s: float
    kind: Kind
    error: GatewayError
    level: float = 1.0


class Cooldowns:
    """By connection and model; the model None stands for all of them.

    Attributes:
        rests: those that began; most of the time there is none, and nothing need be asked.
    """

    def __init__(self, settings: CooldownSettings) -> None:
        self._settings = settings
        self.rests: dict[tuple[str, str | None], Cooldown] = {}

    def begin(
        self, connection: str, model: str | None, kind: Kind, error: GatewayError, now_s: float
    ) -> Cooldown | None:
        """Leave ``connection`` alone: as long as the provider says, else as long as configured. None: it rests longer already."""
        before = self.rests.get((connection, model))
        level = 1.0
        wait_s = error.retry_after_s if kind != "credential" else None
        if wait_s is None:
            if kind == "rate_limit" and before is not None and before.kind == kind:
                level = min(before.level * (2 if now_s >= before.until_s else 1), _MAX_LEVEL)
            wait_s = getattr(self._settings, f"{kind}_ms") / 1000 * level
        until_s = now_s + min(wait_s, self._settings.max_ms / 1000)
        if before is None or until_s > before.until_s:
            # Without its traceback, which would keep the whole call.
            cause = type(error)(error.message, code=error.code)
            rest = self.rests[connection, model] = Cooldown(until_s, kind, cause, level)
            return rest
        return None

    def heard(self, connection: str, model: str | None, rest: Cooldown, now_s: float) -> None:
        """Another worker's cooldown. Ours stands where it ends later."""
        before = self.rests.get((connection, model))
        until_s = min(rest.until_s, now_s + self._settings.max_ms / 1000)
        if until_s > now_s and (before is None or until_s > before.until_s):
            self.rests[connection, model] = msgspec.structs.replace(rest, until_s=until_s)

    def answered(self, connection: str, model: str, now_s: float) -> None:
        """An answer came: rests that are over are forgotten. One that still runs is not: the call may be older."""
        for key in ((connection, model), (connection, None)):
            rest = self.rests.get(key)
            if rest is not None and rest.until_s <= now_s:
                del self.rests[key]

    def configure(self, settings: CooldownSettings) -> None:
        """From now on by other settings; what rests goes on resting."""
        self._settings = settings

    def forget(self, connection: str) -> None:
        """``connection`` is another one now, whatever its name."""
        for place in [place for place in self.rests if place[0] == connection]:
            del self.rests[place]

    def reset(self, now_s: float) -> list[RestState]:
        """Let nobody rest any more; who did."""
        resting = list(self.states(now_s))
        self.rests.clear()
        return resting

    def states(self, now_s: float) -> Iterator[RestState]:
        """Who rests at this moment."""
        for (connection, model), rest in self.rests.items():
            if rest.until_s > now_s:
                yield RestState(connection=connection, model=model, kind=rest.kind, left_s=rest.until_s - now_s)

    def find(self, connection: str, model: str, now_s: float) -> Cooldown | None:
        """The cooldown that keeps ``model`` from being asked over ``connection``, the one that ends last."""
        found = (self.rests.get((connection, model)), self.rests.get((connection, None)))
        running = [rest for rest in found if rest is not None and rest.until_s > now_s]
        return max(running, key=lambda rest: rest.until_s, default=None)
