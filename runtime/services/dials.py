"""How failures are dealt with, as the management API says it: read, checked as a configuration is, and shown.

A change is a piece of `gateway.yaml`. It is decoded by the same decoder with the same bounds, so that what is refused there
is refused here, in the same words, before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from generated.config import BreakerSettings, CooldownSettings, RetrySettings
from generated.types.resilience import ResilienceSettings
from runtime.config.dial import inverted
from runtime.config.effective import Base
from runtime.config.load import load
from runtime.config.plan import Plan
from runtime.errors import InvalidRequest
from runtime.source import Diagnostic, Diagnostics, MappingNode, closest, decode, parse
from runtime.source.unit import Milliseconds

__all__ = ["Settings", "configured_settings", "settings_of", "shown", "with_changes"]

S = TypeVar("S", bound=msgspec.Struct)


class _Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one limit of `timeouts` that is a dial."""

    queue_ms: Milliseconds = msgspec.field(name="queue", default=0)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    breakers: BreakerSettings
    cooldowns: CooldownSettings
    retries: RetrySettings
    timeouts: _Queue


def configured_settings(base: Base) -> Settings:
    """What the files say."""
    loaded = load(base.sources, Diagnostics())
    assert loaded is not None, "what was built can be read"
    config = loaded.config
    return Settings(
        breakers=config.breakers,
        cooldowns=config.cooldowns,
        retries=config.retries,
        timeouts=_Queue(queue_ms=config.timeouts.queue_ms),
    )


def settings_of(plan: Plan) -> Settings:
    """What is in force."""
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


def shown(section: msgspec.Struct) -> dict[str, str | int]:
    """A section as it would be written."""
    values: dict[str, str | int] = {}
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        values[field.encode_name] = _duration(value) if field.name.endswith("_ms") else value
    return values


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
