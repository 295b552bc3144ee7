"""How failures are dealt with, as it can be changed while the gateway runs: read, checked as a configuration is, applied.

A change is a piece of `gateway.yaml`. It is decoded by the same decoder with the same bounds, so that what is refused there
is refused here, in the same words, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from generated.config import BreakerSettings, CooldownSettings, RetrySettings
from generated.types.resilience import ResilienceSettings
from runtime.config.plan import Plan
from runtime.errors import InvalidRequest
from runtime.routing import Attempts
from runtime.source import Diagnostic, Diagnostics, MappingNode, closest, decode, parse
from runtime.source.unit import Milliseconds

__all__ = ["DIALS", "Dials", "Settings", "apply_settings", "changed_from", "settings_of", "shown", "with_changes"]

DIALS: Final = "dials"
"""The kind of news that `Dials.set` hears."""

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
    return Settings(
        breakers=_section("breakers", settings.breakers, change.get("breakers")),
        cooldowns=_section("cooldowns", settings.cooldowns, change.get("cooldowns")),
        retries=_section("retries", settings.retries, change.get("retries")),
        timeouts=_section("timeouts", settings.timeouts, change.get("timeouts")),
    )


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


class Dials:
    """This worker's settings. ``configured`` are those of the plan."""

    def __init__(self, configured: Settings, attempts: Attempts) -> None:
        self.configured = configured
        self.now = configured
        self._attempts = attempts

    def set(self, message: bytes) -> None:
        """Take over what a worker was told, this one or another."""
        self.now = msgspec.msgpack.decode(message, type=Settings)
        apply_settings(self.now, self._attempts)


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
