"""Which limits hold for a call: those of its key, its tenant, its combo, and of the policies that it fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from runtime.config.plan import Plan, Policy
from runtime.config.wildcard import allows
from runtime.limits.rule import Rule
from runtime.web.key import KeyRecord
from runtime.window import Limit

__all__ = ["Ruling", "Rulings"]

_KNOWN: Final = 4096
"""Combinations of a key and a name that are kept in mind."""


class Ruling(msgspec.Struct, frozen=True):
    """``counters`` are those of policies, beside key, tenant and combo. ``barred`` names the policy that forbids the model."""

    rules: tuple[Rule, ...] = ()
    counters: tuple[str, ...] = ()
    barred: str | None = None


class Rulings:
    """Of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[tuple[str, str, str, str, str, tuple[Limit, ...]], Ruling] = {}
        combos = any(combo.limits for combo in plan.combos.values())
        self._everybody = bool(plan.policies) or combos or any(each.limits for each in plan.tenants.values())

    def concern(self, key: KeyRecord) -> bool:
        """Whether there may be any for ``key``: most have none, and pay for nothing more than this."""
        return self._everybody or bool(key.limits)

    def of(self, key: KeyRecord, model: str, combo: str, sole: str) -> Ruling:
        """``model`` is the public name that is asked for, ``combo`` the one it leads to, ``sole`` the only model it does."""
        named = (key.tenant, key.id, model, combo, sole, key.limits)
        found = self._known.get(named)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[named] = self._read(key, model, combo, sole)
        return found

    def _read(self, key: KeyRecord, model: str, combo: str, sole: str) -> Ruling:
        plan, rules, counters = self._plan, list[Rule](), list[str]()
        rules += _rules(f"key/{key.id}", "this key", key.limits)
        if (tenant := plan.tenants.get(key.tenant)) is not None:
            rules += _rules(f"tenant/{key.tenant}", f"all keys of {tenant.name}", tenant.limits)
        if (known := plan.combos.get(combo)) is not None:
            rules += _rules(f"combo/{combo}", f"all calls for {combo!r}", known.limits)
        barred: str | None = None
        for name, policy in plan.policies.items():
            if not _fits(policy, key, (model, combo, sole)):
                continue
            if barred is None and not allows(policy.allowed_models, model):
                barred = name
            if policy.limits:
                subject, whose = _counted(name, policy, key)
                rules += _rules(subject, whose, policy.limits)
                counters.append(subject)
        return Ruling(tuple(rules), tuple(counters), barred)


def _fits(policy: Policy, key: KeyRecord, names: Sequence[str]) -> bool:
    return (
        allows(policy.keys, key.id)
        and allows(policy.tenants, key.tenant)
        and (not policy.models or any(name and allows(policy.models, name) for name in names))
    )


def _counted(name: str, policy: Policy, key: KeyRecord) -> tuple[str, str]:
    match policy.count:
        case "key":
            return f"policy/{name}/key/{key.id}", f"this key under the policy {name!r}"
        case "tenant":
            return f"policy/{name}/tenant/{key.tenant}", f"all keys of this tenant under the policy {name!r}"
        case "together":
            return f"policy/{name}", f"all calls under the policy {name!r}"


def _rules(subject: str, whose: str, limits: Sequence[Limit]) -> list[Rule]:
    return [Rule(subject, whose, limit) for limit in limits]
