"""How failures are dealt with, as it can be changed while the gateway runs: read, checked as a configuration is, applied.

A change is a piece of `gateway.yaml`. It is decoded by the same decoder with the same bounds, so that what is refused there
is refused here, in the same words, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from generated.config import BreakerSettings, CooldownSettings, RetrySettings
from generated.types.resilience import ResilienceSettings
from runtime.config.dial import inverted
from runtime.config.plan import Plan
from runtime.errors import InvalidRequest
from runtime.routing import Attempts
from runtime.shared.colleagues import Colleagues
from runtime.source import Diagnostic, Diagnostics, MappingNode, closest, decode, parse
from runtime.source.unit import Milliseconds

__all__ = [
    "DIALS",
    "DIALS_ASKED",
    "Dials",
    "Settings",
    "apply_settings",
    "changed_from",
    "settings_of",
    "shown",
    "with_changes",
]

DIALS: Final = "dials"
"""The kind of news that `Dials.set` hears."""

DIALS_ASKED: Final = "dials.asked"
"""The kind of question that `Dials.last` answers."""

_APART_S: Final = 0.000_001

S = TypeVar("S", bound=msgspec.Struct)


class _Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one limit of `timeouts` that is a dial."""

    queue_ms: Milliseconds = msgspec.field(name="queue", default=0)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    breakers: BreakerSettings
    cooldowns: CooldownSettings
    retries: RetrySettings
    timeouts: _Queue


def settings_of(plan: Plan) -> Settings:
    """What the configuration says."""
    return Settings(
        breakers=plan.breakers,
        cooldowns=plan.cooldowns,
        retries=plan.retries,
        timeouts=_Queue(queue_ms=plan.timeouts.queue_ms),
    )


def with_changes(settings: Settings, change: ResilienceSettings) -> Settings:
    """``settings`` with what is given in ``change``. Raises InvalidRequest, naming the setting, and what to write instead."""
    known = settings.__struct_fields__
    for name in change:
        if name not in known:
            near = closest(name, known)
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(known)}"
            raise InvalidRequest(f"{name}: no section that can be changed here; {hint}", param=name)
    changed = Settings(
        breakers=_section("breakers", settings.breakers, change.get("breakers")),
        cooldowns=_section("cooldowns", settings.cooldowns, change.get("cooldowns")),
        retries=_section("retries", settings.retries, change.get("retries")),
        timeouts=_section("timeouts", settings.timeouts, change.get("timeouts")),
    )
    for paths, message, hint in inverted(changed.retries, changed.breakers):
        given = next((path for path in paths if path[1] in (change.get(path[0]) or {})), paths[0])
        path = ".".join(given)
        raise InvalidRequest(f"{path}: {message}; {hint}", param=path)
    return changed


def changed_from(configured: Settings, now: Settings) -> list[str]:
    """The settings that differ, as `breakers.window`."""
    return [
        f"{section}.{field.encode_name}"
        for section in configured.__struct_fields__
        for field in msgspec.structs.fields(getattr(now, section))
        if getattr(getattr(configured, section), field.name) != getattr(getattr(now, section), field.name)
    ]


def shown(section: msgspec.Struct) -> dict[str, str | int]:
    """A section as it would be written."""
    values: dict[str, str | int] = {}
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        values[field.encode_name] = _duration(value) if field.name.endswith("_ms") else value
    return values


def apply_settings(settings: Settings, attempts: Attempts) -> None:
    """From now on by these."""
    attempts.health.configure(settings.breakers, settings.cooldowns)
    attempts.configure(settings.retries, settings.timeouts.queue_ms)


class _Set(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``settings`` as they were set at ``at_s``, in Unix seconds."""

    at_s: float
    settings: Settings


class Dials:
    """This worker's settings. ``configured`` are those of the plan; ``clock`` gives Unix seconds.

    Of two settings the later ones hold, in whatever order a worker hears of them, so that all agree in the end.
    """

    def __init__(self, configured: Settings, attempts: Attempts, clock: Callable[[], float]) -> None:
        self.configured = configured
        self.now = configured
        self._attempts = attempts
        self._clock = clock
        self._last: _Set | None = None

    def message(self, settings: Settings) -> bytes:
        """That ``settings`` hold from now on, for `set`, here and everywhere."""
        after_s = self._last.at_s + _APART_S if self._last is not None else 0.0
        return msgspec.msgpack.encode(_Set(at_s=max(self._clock(), after_s), settings=settings))

    def set(self, message: bytes) -> None:
        """Take over what a worker was told, this one or another, unless something later is known."""
        try:
            told = msgspec.msgpack.decode(message, type=_Set)
        except msgspec.MsgspecError:  # of another release
            return
        if self._last is not None and told.at_s <= self._last.at_s:
            return
        self._last, self.now = told, told.settings
        apply_settings(self.now, self._attempts)

    def last(self, _: bytes) -> bytes | None:
        """What was set last, for who asks; None where it is as configured since the start."""
        return None if self._last is None else msgspec.msgpack.encode(self._last)

    def adopt(self, configured: Settings) -> None:
        """Another plan is served: what it says holds now."""
        self.configured = self.now = configured

    async def join(self, colleagues: Colleagues) -> None:
        """Take over what was set before this worker came, as far as others know it. It must be listening by now."""
        for message in (await colleagues.ask(DIALS_ASKED, b"")).answers:
            self.set(message)


def _section(name: str, now: S, change: Mapping[str, str | int] | None) -> S:
    if change is None:
        return now
    diagnostics = Diagnostics()
    root = parse(msgspec.json.encode(change), name, diagnostics)
    if not isinstance(root, MappingNode):
        raise InvalidRequest(f"{name}: expected settings", param=name)
    decoded = decode(root, type(now), diagnostics, name)
    for diagnostic in diagnostics:
        raise _refused(name, root, type(now), diagnostic)
    assert decoded is not None, "what has no fault is a value"
    given = {entry.key for entry in root.entries}
    fields = (field for field in msgspec.structs.fields(now) if field.encode_name in given)
    return msgspec.structs.replace(now, **{field.name: getattr(decoded, field.name) for field in fields})


def _refused(name: str, root: MappingNode, type_: type[msgspec.Struct], diagnostic: Diagnostic) -> InvalidRequest:
    """In the compiler's words, at the setting that is meant."""
    key = next((entry.key for entry in root.entries if diagnostic.span in {entry.span, entry.node.span}), None)
    known = [field.encode_name for field in msgspec.structs.fields(type_)]
    near = closest(key, known) if key is not None and key not in known else None
    hint = f"did you mean {near!r}?" if near else diagnostic.hint
    path = f"{name}.{key}" if key is not None else name
    message = f"{path}: {diagnostic.message}" + (f"; {hint}" if hint else "")
    return InvalidRequest(message, param=path)


def _duration(value_ms: int) -> str:
    for unit, length_ms in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if value_ms and value_ms % length_ms == 0:
            return f"{value_ms // length_ms}{unit}"
    return f"{value_ms}ms"
