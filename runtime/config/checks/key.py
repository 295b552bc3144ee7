"""Client keys: each has one secret of its own, and may use names that exist."""

from __future__ import annotations

import re
from typing import Final

from generated.config import KeySettings
from runtime.config.checks.reference import matches_any
from runtime.config.checks.unknown import why_unknown
from runtime.config.draft import Draft
from runtime.config.resolve import match
from runtime.config.scope import Scope
from runtime.source import Note, closest

__all__ = ["check_keys"]

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_keys(scope: Scope, draft: Draft) -> None:
    """Check the section `keys`."""
    owners: dict[str, tuple[str, str]] = {}
    for id_, settings in scope.config.keys.items():
        if not _ID.fullmatch(id_):
            hint = "use letters, digits, `.`, `_` and `-`"
            scope.diagnostics.error("invalid-name", scope.at.key("keys", id_), f"{id_!r} cannot be a key's id", hint)
        _check_secret(scope, id_, settings)
        _check_owner(scope, id_, settings, owners)
        if not settings.scopes and scope.sound("keys", id_):
            message = f"key {id_!r} has no scope, so it can do nothing"
            scope.diagnostics.error(
                "useless-key", scope.at.value("keys", id_, "scopes"), message, "write `scopes: [chat]`"
            )
        for index, name in enumerate(settings.models):
            _check_model(scope, draft, id_, index, name)
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


def _check_model(scope: Scope, draft: Draft, id_: str, index: int, name: str) -> None:
    span = scope.at.value("keys", id_, "models", index)
    if name.count("*") > 1:
        scope.diagnostics.error("bad-pattern", span, f"{name!r} holds two `*`", "one `*` is understood")
        return
    if "*" not in name:
        if draft.names.lead(name) is None and (reason := why_unknown(scope, draft, name)) is not None:
            message = f"key {id_!r} allows what does not exist: {reason.message}"
            scope.diagnostics.error(reason.code, span, message, reason.hint)
        return
    names = (*draft.names.models, *draft.names.uses)
    if name == "*" or matches_any(name, names) or any(_overlap(name, item.pattern) for item in draft.names.patterns):
        return
    if not scope.broken:
        message = f"key {id_!r} allows {name!r}, which no public name fits"
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


def _overlap(wanted: str, pattern: str) -> bool:
    """Whether a name can fit both one-star patterns."""
    (head, _, tail), (other_head, _, other_tail) = wanted.partition("*"), pattern.partition("*")
    heads = head.startswith(other_head) or other_head.startswith(head)
    tails = tail.endswith(other_tail) or other_tail.endswith(tail)
    return (
        heads
        and tails
        and match(wanted, max(head, other_head, key=len) + "x" + max(tail, other_tail, key=len)) is not None
    )
