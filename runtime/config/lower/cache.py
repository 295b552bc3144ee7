"""Caches as the plan holds them: with public names, because that is what requests are looked up by."""

from __future__ import annotations

import msgspec

from generated.config import CacheSettings
from runtime.config.lower.name import Names

__all__ = ["lower_cache"]


def lower_cache(settings: CacheSettings, names: Names) -> CacheSettings:
    """``settings``, with the public ids of bare names."""
    exact, semantic = settings.exact, settings.semantic
    if exact is not None:
        exact = msgspec.structs.replace(exact, models=tuple(map(names.public, exact.models)))
    if semantic is not None:
        models, embedding = tuple(map(names.public, semantic.models)), names.public(semantic.embedding)
        semantic = msgspec.structs.replace(semantic, models=models, embedding=embedding)
    return msgspec.structs.replace(settings, exact=exact, semantic=semantic)
