"""The catalogue as the compiler sees it: providers by id, read when asked for. Holds facts; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from runtime.catalog import Provider

__all__ = ["Catalog"]


class Catalog(msgspec.Struct, frozen=True):
    """``ids`` in order; ``load`` gives the provider of an id in ``ids``."""

    ids: tuple[str, ...]
    load: Callable[[str], Provider]

    @classmethod
    def shipped(cls) -> Catalog:
        """The catalogue that was generated from `schemas/providers`."""
        from generated import catalog as shipped  # its own compiler imports this module before it exists

        return cls(shipped.PROVIDER_IDS, shipped.load)

    @classmethod
    def of(cls, providers: Iterable[Provider]) -> Catalog:
        """A catalogue of these providers."""
        known = {provider.id: provider for provider in providers}
        return cls(tuple(sorted(known)), known.__getitem__)

    def get(self, provider_id: str) -> Provider | None:
        """The provider, or None when the catalogue has no such id."""
        return self.load(provider_id) if provider_id in self.ids else None
