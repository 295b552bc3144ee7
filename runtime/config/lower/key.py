"""Client keys of the configuration, as the plan holds them: a hash, or a reference to the key."""

from __future__ import annotations

from typing import Final

from runtime.config.lower.limit import lower_limits
from runtime.config.lower.name import Names
from runtime.config.plan import Key
from runtime.config.scope import Scope
from runtime.config.secrets import read_reference

__all__ = ["HASH_PREFIX", "lower_keys"]

HASH_PREFIX: Final = "hmac-sha256:"


def lower_keys(scope: Scope, names: Names) -> tuple[Key, ...]:
    """Keys in the order of their ids. One without a usable secret is left out; the check of keys says why.

    Bare names become the public ids they stand for, by which requests are judged.
    """
    keys: list[Key] = []
    for id_, settings in sorted(scope.config.keys.items()):
        reference = read_reference(settings.key) if settings.key is not None else None
        hash_ = settings.hash.removeprefix(HASH_PREFIX) if settings.hash is not None else None
        if reference is None and hash_ is None:
            continue
        keys.append(
            Key(
                id=id_,
                scopes=tuple(sorted(set(settings.scopes))),
                hash=hash_,
                secret=reference,
                models=tuple(sorted({names.public(name) for name in settings.models})),
                pins=tuple(sorted(set(settings.pins))),
                tenant=settings.tenant,
                limits=lower_limits(settings.limits),
            )
        )
    return tuple(keys)
