"""Public names and what they lead to: models, aliases, combos, patterns. A graph of words; no facts, no connections.

A name leads to an exact name, or through the first pattern that fits it to an exact name or an open model; that is the
same rule as `runtime.config.resolve` follows, so that what was checked is what is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from generated.config import ComboTarget, GatewayConfig
from runtime.config.plan import Pattern
from runtime.config.resolve import match, substitute

__all__ = ["Names", "Step", "Use", "read_names"]


class Use(msgspec.Struct, frozen=True):
    """One place where a name refers to another. ``path`` is where it stands; ``connection`` what a target demands."""

    owner: str
    target: str
    path: tuple[str | int, ...]
    connection: str | None = None


class Step(msgspec.Struct, frozen=True):
    """What a reference leads to: an alias, a combo or a model, exactly named, or a model of an open provider."""

    name: str
    model: bool


class Names(msgspec.Struct, frozen=True):
    """``uses`` maps each alias without a star and each combo to what it refers to, in order."""

    models: AbstractSet[str]
    open_providers: AbstractSet[str]
    uses: dict[str, tuple[Use, ...]]
    wildcards: tuple[Use, ...]
    patterns: tuple[Pattern, ...]

    def lead(self, name: str) -> Step | None:
        """What ``name`` leads to in one step, or None."""
        exact = self._exact(name)
        if exact is not None:
            return exact
        for pattern in self.patterns:
            rest = match(pattern.pattern, name)
            if rest is not None:
                target = substitute(pattern.target, rest)
                return self._exact(target) or self._open(target)
        return None

    def _exact(self, name: str) -> Step | None:
        if name in self.uses:
            return Step(name, model=False)
        return Step(name, model=True) if name in self.models else None

    def _open(self, name: str) -> Step | None:
        provider, slash, model = name.partition("/")
        return Step(name, model=True) if slash and model and provider in self.open_providers else None


def read_names(config: GatewayConfig, models: Iterable[str], open_providers: Iterable[str]) -> Names:
    """The names of ``config`` over ``models``."""
    uses: dict[str, tuple[Use, ...]] = {}
    wildcards: list[Use] = []
    for name, target in sorted(config.aliases.items()):
        use = Use(name, target, ("aliases", name))
        if "*" in name:
            wildcards.append(use)
        else:
            uses[name] = (use,)
    for name, combo in sorted(config.combos.items()):
        uses.setdefault(name, tuple(_target(name, index, target) for index, target in enumerate(combo.targets)))
    providers = frozenset(open_providers)
    return Names(frozenset(models), providers, uses, tuple(wildcards), _patterns(config.aliases, providers))


def _target(owner: str, index: int, target: str | ComboTarget) -> Use:
    path = ("combos", owner, "targets", index)
    if isinstance(target, str):
        return Use(owner, target, path)
    return Use(owner, target.model, (*path, "model"), target.connection)


def _patterns(aliases: Mapping[str, str], open_providers: Iterable[str]) -> tuple[Pattern, ...]:
    """Most specific first: more characters beside the star, then the alphabet."""
    found = {name: target for name, target in aliases.items() if name.count("*") == 1}
    for provider in open_providers:
        found.setdefault(f"{provider}/*", f"{provider}/*")
    ordered = sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))
    return tuple(Pattern(pattern=pattern, target=target) for pattern, target in ordered)
