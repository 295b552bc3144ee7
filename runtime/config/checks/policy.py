"""Policies: each says something, of keys, tenants and models that there are."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from generated.config import PolicySettings
from runtime.config.checks.key import check_model_name
from runtime.config.checks.reference import matches_any
from runtime.config.draft import Draft
from runtime.config.plan import DEFAULT_TENANT
from runtime.config.scope import Scope
from runtime.config.wildcard import allows
from runtime.source import closest

__all__ = ["check_policies"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MADE: Final = re.compile(r"key_[0-9a-f]{16}")
"""How the ids of keys look that were made while a gateway ran."""


def check_policies(scope: Scope, draft: Draft) -> None:
    """Check the section `policies`."""
    for name, policy in scope.config.policies.items():
        path = ("policies", name)
        if not _NAME.fullmatch(name):
            hint = "use letters, digits, `.`, `_` and `-`"
            scope.diagnostics.error("invalid-name", scope.at.key(*path), f"{name!r} cannot be a policy's name", hint)
        if not policy.limits and not policy.allowed_models and scope.sound(*path):
            hint = "write `limits` or `allowed_models` in it"
            scope.diagnostics.error("useless-policy", scope.at.key(*path), f"policy {name!r} rules nothing", hint)
        for index, key in enumerate(policy.keys):
            if not _MADE.fullmatch(key):
                _check_name(scope, (*path, "keys", index), ("key", "keys"), key, scope.config.keys)
        tenants = {DEFAULT_TENANT, *scope.config.tenants}
        for index, tenant in enumerate(policy.tenants):
            _check_name(scope, (*path, "tenants", index), ("tenant", "tenants"), tenant, tenants)
        for field, models in (("models", policy.models), ("allowed_models", policy.allowed_models)):
            for index, model in enumerate(models):
                check_model_name(scope, draft, (*path, field, index), f"policy {name!r} names", model)
        if _fits_nobody(scope, policy):
            message = f"policy {name!r} holds for nobody: none of its keys belongs to one of its tenants"
            scope.diagnostics.warn("useless-policy", scope.at.key(*path, "tenants"), message, "correct one of the two")
        if policy.count != "key" and not policy.limits and scope.sound(*path):
            message = "there are no limits to count"
            scope.diagnostics.warn("ignored-setting", scope.at.key(*path, "count"), message, "remove it")


def _fits_nobody(scope: Scope, policy: PolicySettings) -> bool:
    """Whether all keys that ``policy`` names are known, and of other tenants."""
    known = [scope.config.keys.get(key) for key in policy.keys]
    owners = {key.tenant for key in known if key is not None}
    if not policy.tenants or not known or None in known:
        return False
    return not any(allows(policy.tenants, owner) for owner in owners)


def _check_name(
    scope: Scope, path: tuple[str | int, ...], what: tuple[str, str], wanted: str, known: Collection[str]
) -> None:
    kind, section = what
    span = scope.at.value(*path)
    if wanted.count("*") > 1:
        scope.diagnostics.error("bad-pattern", span, f"{wanted!r} holds two `*`", "one `*` is understood")
        return
    if "*" in wanted:
        if kind == "key" or wanted == "*" or matches_any(wanted, known):  # keys are made while the gateway runs, too
            return
    elif wanted in known or (section, wanted) in scope.broken:
        return
    near = closest(wanted, sorted(known))
    hint = f"did you mean {near!r}?" if near else f"{kind}s are written under `{section}`"
    code = "unknown-key" if kind == "key" else "unknown-tenant"
    scope.diagnostics.error(code, span, f"no {kind} {wanted!r}", hint)
