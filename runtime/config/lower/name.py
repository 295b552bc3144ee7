"""Public names and what they lead to: models, aliases, combos, patterns. A graph of words; no facts, no connections.

A name leads to an exact name, or through the first pattern that fits it to an exact name or an open model; that is the
same rule as `runtime.config.resolve` follows, so that what was checked is what is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from generated.config import ComboTarget, GatewayConfig, TargetConditions
from runtime.config.plan import Pattern
from runtime.config.resolve import match, substitute

__all__ = ["Names", "Step", "Use", "conditional", "read_names"]


class Use(msgspec.Struct, frozen=True):
    """One place where a name refers to another. ``path`` is where it stands; ``connection`` what a target demands.

    ``conditional``: only some requests take it.
    """

    owner: str
    target: str
    path: tuple[str | int, ...]
    connection: str | None = None
    conditional: bool = False


class Step(msgspec.Struct, frozen=True):
    """What a reference leads to: an alias, a combo or a model, exactly named, or a model of an open provider."""

    name: str
    model: bool


class Names(msgspec.Struct, frozen=True):
    """``uses`` maps each alias without a star and each of ``combos`` to what it refers to, in order."""

    models: AbstractSet[str]
    combos: AbstractSet[str]
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

    def settle(self, name: str) -> Step | None:
        """The model or combo that ``name`` leads to, through any number of aliases; None where it leads nowhere."""
        step, seen = self.lead(name), set[str]()
        while step is not None and not step.model and step.name not in seen and step.name not in self.combos:
            seen.add(step.name)
            step = self.lead(self.uses[step.name][0].target)
        return step

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
    combos = frozenset(config.combos) - config.aliases.keys()
    patterns = _patterns(config.aliases, providers)
    return Names(frozenset(models), combos, providers, uses, tuple(wildcards), patterns)


def conditional(target: str | ComboTarget) -> bool:
    """Whether the target has conditions, so that it takes some requests only."""
    return isinstance(target, ComboTarget) and target.when is not None and target.when != TargetConditions()


def _target(owner: str, index: int, target: str | ComboTarget) -> Use:
    path = ("combos", owner, "targets", index)
    if isinstance(target, str):
        return Use(owner, target, path)
    return Use(owner, target.model, (*path, "model"), target.connection, conditional(target))


def _patterns(aliases: Mapping[str, str], open_providers: Iterable[str]) -> tuple[Pattern, ...]:
    """Most specific first: more characters beside the star, then the alphabet."""
    found = {name: target for name, target in aliases.items() if name.count("*") == 1}
    for provider in open_providers:
        found.setdefault(f"{provider}/*", f"{provider}/*")
    ordered = sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))
    return tuple(Pattern(pattern=pattern, target=target) for pattern, target in ordered)
