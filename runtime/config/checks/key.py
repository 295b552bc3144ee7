"""Client keys: each has one secret of its own, and may use names that exist."""

from __future__ import annotations

import re
from typing import Final

from generated.config import KeySettings
from runtime.config.checks.reference import matches_any
from runtime.config.checks.unknown import why_unknown
from runtime.config.draft import Draft
from runtime.config.plan import DEFAULT_TENANT
from runtime.config.scope import Scope
from runtime.config.wildcard import overlap
from runtime.source import Note, closest

__all__ = ["check_keys", "check_model_name", "complaint_of_id"]

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID_HINT: Final = "use letters, digits, `.`, `_` and `-`, at most 64, and begin with a letter or digit"


def complaint_of_id(id_: str) -> tuple[str, str] | None:
    """Why ``id_`` cannot be a key's id and what to write, or None."""
    return None if _ID.fullmatch(id_) else (f"{id_!r} cannot be a key's id", _ID_HINT)


def check_keys(scope: Scope, draft: Draft) -> None:
    """Check the section `keys`."""
    owners: dict[str, tuple[str, str]] = {}
    for id_, settings in scope.config.keys.items():
        if (complaint := complaint_of_id(id_)) is not None:
            scope.diagnostics.error("invalid-name", scope.at.key("keys", id_), *complaint)
        _check_secret(scope, id_, settings)
        _check_owner(scope, id_, settings, owners)
        _check_tenant(scope, id_, settings)
        if not settings.scopes and scope.sound("keys", id_):
            message = f"key {id_!r} has no scope, so it can do nothing"
            scope.diagnostics.error(
                "useless-key", scope.at.value("keys", id_, "scopes"), message, "write `scopes: [chat]`"
            )
        for index, name in enumerate(settings.models):
            check_model_name(scope, draft, ("keys", id_, "models", index), f"key {id_!r} allows", name)
        for index, pin in enumerate(settings.pins):
            _check_pin(scope, draft, id_, index, pin)


def _check_secret(scope: Scope, id_: str, settings: KeySettings) -> None:
    span = scope.at.key("keys", id_)
    if settings.key is not None and settings.hash is not None:
        message = f"key {id_!r} has both `key` and `hash`"
        scope.diagnostics.error("contradiction", scope.at.key("keys", id_, "hash"), message, "keep one")
    elif settings.key is None and settings.hash is None and scope.sound("keys", id_):
        hint = "write `key: ${NAME}`, or the `hash:` that `gatewright keys new` prints"
        scope.diagnostics.error("missing-field", span, f"key {id_!r} lacks the field 'key' or 'hash'", hint)


def _check_owner(scope: Scope, id_: str, settings: KeySettings, owners: dict[str, tuple[str, str]]) -> None:
    """Two ids with one secret: nobody could say who called."""
    for field, secret in (("key", settings.key), ("hash", settings.hash)):
        if secret is None:
            continue
        first = owners.setdefault(secret, (id_, field))
        if first != (id_, field):
            note = Note(scope.at.value("keys", first[0], first[1]), f"the key {first[0]!r}")
            message = f"key {id_!r} is the same key as {first[0]!r}"
            hint = "give each its own"
            scope.diagnostics.error("duplicate-key-secret", scope.at.value("keys", id_, field), message, hint, [note])


def _check_tenant(scope: Scope, id_: str, settings: KeySettings) -> None:
    known = {DEFAULT_TENANT, *scope.config.tenants}
    if settings.tenant not in known and scope.sound("keys", id_):
        near = closest(settings.tenant, sorted(known))
        hint = f"did you mean {near!r}?" if near else "tenants are written under `tenants`"
        message = f"key {id_!r} belongs to {settings.tenant!r}, and there is no such tenant"
        scope.diagnostics.error("unknown-tenant", scope.at.value("keys", id_, "tenant"), message, hint)


def check_model_name(scope: Scope, draft: Draft, path: tuple[str | int, ...], said: str, name: str) -> None:
    """Check that the model or pattern at ``path`` fits some public name; ``said`` begins the complaint."""
    span = scope.at.value(*path)
    if name.count("*") > 1:
        scope.diagnostics.error("bad-pattern", span, f"{name!r} holds two `*`", "one `*` is understood")
        return
    if "*" not in name:
        if draft.names.lead(name) is None and (reason := why_unknown(scope, draft, name)) is not None:
            what = "is not clear" if reason.code == "ambiguous-name" else "does not exist"
            message = f"{said} what {what}: {reason.message}"
            scope.diagnostics.error(reason.code, span, message, reason.hint)
        return
    names = (*draft.names.models, *draft.names.uses)
    if name == "*" or matches_any(name, names) or any(overlap(name, item.pattern) for item in draft.names.patterns):
        return
    if not scope.broken:
        message = f"{said} {name!r}, which no public name fits"
        scope.diagnostics.error("unknown-model", span, message, "`gatewright explain` lists the names")


def _check_pin(scope: Scope, draft: Draft, id_: str, index: int, pin: str) -> None:
    span = scope.at.value("keys", id_, "pins", index)
    known = pin in draft.connections or pin == "*" or ("*" in pin and matches_any(pin, draft.connections))
    if not known and not scope.broken:
        near = closest(pin, draft.connections)
        hint = f"did you mean {near!r}?" if near else "connections are named `provider/id`"
        scope.diagnostics.error(
            "unknown-connection", span, f"key {id_!r} may demand {pin!r}, which no connection fits", hint
        )
