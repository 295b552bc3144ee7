"""Public names and what they lead to: models, aliases, combos, patterns. A graph of words; no facts, no connections.

A name leads to an exact name, or through the first pattern that fits it to an exact name or an open model; else it may be
a bare name, a model's without its provider, which leads to that model where one provider only has it. That is the same rule
as `runtime.config.resolve` follows, so that what was checked is what is served.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
    """``uses`` maps each alias without a star and each of ``combos`` to what it refers to, in order.

    ``bare`` maps the names of models without their providers to all public ids that end so.
    """

    models: AbstractSet[str]
    combos: AbstractSet[str]
    open_providers: AbstractSet[str]
    uses: dict[str, tuple[Use, ...]]
    wildcards: tuple[Use, ...]
    patterns: tuple[Pattern, ...]
    bare: Mapping[str, tuple[str, ...]]

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
        ids = self.bare.get(name, ())
        return Step(ids[0], model=True) if len(ids) == 1 else None

    def meant(self, name: str) -> tuple[str, ...]:
        """The public ids that ``name`` may stand for as a bare name; none where it is a name itself or fits a pattern."""
        if self._exact(name) is not None or any(match(item.pattern, name) is not None for item in self.patterns):
            return ()
        return self.bare.get(name, ())

    def public(self, name: str) -> str:
        """``name``, or the public id it stands for as a bare name."""
        ids = self.meant(name)
        return ids[0] if len(ids) == 1 else name

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


def read_names(
    config: GatewayConfig, models: Iterable[str], open_providers: Iterable[str], known: Collection[str] = ()
) -> Names:
    """The names of ``config`` over ``models``. What begins with one of the ``known`` providers is never a bare name."""
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
    ids = frozenset(models)
    names = Names(ids, combos, providers, uses, tuple(wildcards), patterns, _bare(ids, known))
    spelt = (Pattern(pattern=item.pattern, target=names.public(item.target)) for item in patterns)
    return msgspec.structs.replace(names, patterns=tuple(spelt))


def conditional(target: str | ComboTarget) -> bool:
    """Whether the target has conditions, so that it takes some requests only."""
    return isinstance(target, ComboTarget) and target.when is not None and target.when != TargetConditions()


def _target(owner: str, index: int, target: str | ComboTarget) -> Use:
    path = ("combos", owner, "targets", index)
    if isinstance(target, str):
        return Use(owner, target, path)
    return Use(owner, target.model, (*path, "model"), target.connection, conditional(target))


def _bare(models: Iterable[str], known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Names without their providers, to the public ids in the order of the alphabet."""
    found: dict[str, tuple[str, ...]] = {}
    for id_ in sorted(models):
        name = id_.partition("/")[2]
        if name.partition("/")[0] not in known:
            found[name] = (*found.get(name, ()), id_)
    return found


def _patterns(aliases: Mapping[str, str], open_providers: Iterable[str]) -> tuple[Pattern, ...]:
    """Most specific first: more characters beside the star, then what a provider takes, then the alphabet."""
    found = {name: target for name, target in aliases.items() if name.count("*") == 1}
    taken = {f"{provider}/*" for provider in open_providers}
    found = {pattern: pattern for pattern in taken} | found
    ordered = sorted(found.items(), key=lambda item: (-len(item[0]), item[0] not in taken, item[0]))
    return tuple(Pattern(pattern=pattern, target=target) for pattern, target in ordered)
