"""Every reference leads somewhere, and none in a circle."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.config.checks.unknown import why_unknown
from runtime.config.draft import Draft
from runtime.config.lower.name import Use
from runtime.config.lower.reach import MAX_NAMES
from runtime.config.resolve import match
from runtime.config.scope import Scope
from runtime.source import Note

__all__ = ["check_references", "matches_any"]


def check_references(scope: Scope, draft: Draft) -> None:
    """Check the targets of aliases and combos."""
    for uses in draft.names.uses.values():
        for use in uses:
            if "*" not in use.target and draft.names.lead(use.target) is None:
                _unknown(scope, draft, use)
    for use in draft.names.wildcards:
        _check_wildcard(scope, draft, use)
    for cycle in draft.reach.cycles:
        _report_cycle(scope, cycle)
    for use in draft.reach.too_long:
        message = f"{use.owner!r} leads to a model through more than {MAX_NAMES} names"
        scope.diagnostics.error("chain-too-long", scope.at.value(*use.path), message, "name what the chain leads to")


def _unknown(scope: Scope, draft: Draft, use: Use) -> None:
    reason = why_unknown(scope, draft, use.target)
    if reason is not None:
        scope.diagnostics.error(reason.code, scope.at.value(*use.path), reason.message, reason.hint)


def _check_wildcard(scope: Scope, draft: Draft, use: Use) -> None:
    if use.owner.count("*") > 1 or use.target.count("*") > 1:
        return  # the check of names says so
    if "*" not in use.target:
        if use.target not in draft.names.uses and use.target not in draft.names.models:
            if draft.names.lead(use.target) is None:
                _unknown(scope, draft, use)
            elif not _opens(draft, use.target) and not draft.names.meant(use.target):
                _report_second_pattern(scope, use)
        return
    if matches_any(use.target, (*draft.names.models, *draft.names.uses)) or _opens(draft, use.target):
        return
    provider = use.target.partition("/")[0]
    if ("providers", provider) in scope.broken:
        return
    if any(use.target == other.owner for other in draft.names.wildcards):
        _report_second_pattern(scope, use)
        return
    reason = why_unknown(scope, draft, use.target.replace("*", "x")) if "/" in use.target else None
    if reason is not None and reason.code == "no-connection":
        scope.diagnostics.error(reason.code, scope.at.value(*use.path), f"{use.target}: {reason.message}", reason.hint)
        return
    message = f"no model, alias or combo fits {use.target!r}"
    hint = (
        reason.hint if reason is not None and "provider" in reason.message else "`gatewright explain` lists the names"
    )
    scope.diagnostics.error("unknown-model", scope.at.value(*use.path), message, hint)


def matches_any(pattern: str, names: Iterable[str]) -> bool:
    """Whether the one-star ``pattern`` fits one of ``names``."""
    return any(match(pattern, name) is not None for name in names)


def _opens(draft: Draft, target: str) -> bool:
    """Whether ``target``, its star filled in somehow, is a name that an open provider takes."""
    provider, slash, model = target.partition("/")
    return bool(slash and model) and provider in draft.names.open_providers


def _report_second_pattern(scope: Scope, use: Use) -> None:
    message = f"alias {use.owner!r} leads to another wildcard, which is not followed"
    scope.diagnostics.error("bad-pattern", scope.at.value(*use.path), message, "name what that one leads to")


def _report_cycle(scope: Scope, cycle: tuple[Use, ...]) -> None:
    owners = [use.owner for use in cycle]
    chain = owners[0]
    for use, owner in zip(cycle, [*owners[1:], owners[0]], strict=True):
        through = "" if use.target == owner else f" → {use.target}"
        chain += f"{through} → {owner}"
    notes = [Note(scope.at.value(*use.path), f"{use.owner} refers to {use.target}") for use in cycle[1:]]
    what = "itself" if len(cycle) == 1 else "each other in a circle"
    message = f"{chain}: the name refers to {what}" if len(cycle) == 1 else f"{chain}: these names refer to {what}"
    hint = "let one of them name a model"
    scope.diagnostics.error("cycle", scope.at.value(*cycle[0].path), message, hint, notes)
