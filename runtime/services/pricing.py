"""Prices over HTTP: what models cost, and changes laid over the catalogue. The ledger reckons by the plan's prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from generated.types.pricing import PriceChanges, PricedModel, PricedModels, PriceTable
from runtime.config.catalog import Catalog
from runtime.config.plan import Plan
from runtime.errors import InvalidRequest, NotFound
from runtime.management.body import Document, settings_of
from runtime.management.price import price_document, restored, shown_prices, written_prices
from runtime.services.overrides import Change, Overrides
from runtime.services.written import Entries, Written, edit
from runtime.source import closest
from runtime.web.key import KeyRecord

__all__ = ["Pricing"]

SOURCE: Final = "management API"


class Pricing:
    """Implements `generated.api.pricing.PricingService`. ``now`` gives Unix seconds."""

    def __init__(self, overrides: Overrides, catalog: Catalog, now: Callable[[], float]) -> None:
        self._overrides = overrides
        self._written = Written(overrides, "providers", "provider")
        self._catalog = catalog
        self._now = now

    async def get_pricing(self, caller: KeyRecord, provider: str | None = None) -> PriceTable:
        await self._written.reads(caller)
        if provider is not None and provider not in self._plan.providers:
            raise _no_provider(provider, self._plan)
        return self._table(None if provider is None else {provider})

    async def change_pricing(self, caller: KeyRecord, data: PriceChanges) -> PriceTable:
        await self._written.manages(caller)
        date = datetime.fromtimestamp(self._now(), UTC).date().isoformat()

        def changed() -> Entries:
            return {provider: self._repriced(provider, models, date) for provider, models in data.items()}

        await self._written.edit(caller, "prices_changed", changed)
        return self._table(set(data))

    async def reset_pricing(
        self,
        caller: KeyRecord,
        provider: str | None = None,
        model: str | None = None,
        all: bool = False,  # noqa: A002 — as it stands in the query
    ) -> PriceTable:
        await self._written.manages(caller)
        if (provider is None) != all:
            said = "`all=true` is for all of them" if provider is None else "give `provider` or `all=true`, not both"
            raise InvalidRequest(f"provider: whose prices are meant? {said}", param="provider")
        if model is not None and provider is None:
            raise InvalidRequest("model: it is known by its provider; give `provider` too", param="provider")
        if provider is not None and provider not in self._written.all() and provider not in self._plan.providers:
            raise _no_provider(provider, self._plan)

        def changes() -> list[Change]:
            found, files = self._written.all(), self._files()
            laid = self._overrides.overridden("providers") & found.keys()
            wanted = laid if provider is None else laid & {provider}
            made: list[Change] = []
            for id_ in sorted(wanted):
                before, theirs = settings_of(found[id_]), settings_of(files.get(id_))
                after = restored(before, theirs, model)
                if after != before:
                    same = id_ in files and after == theirs
                    made.append(Change(section="providers", name=id_, document=None if same else after))
            if model is not None and not made:
                raise NotFound(f"nothing was changed of the prices of {model[:100]!r}")
            return made

        await edit(self._overrides, caller, "provider.prices_reset", changes)
        return self._table(None if provider is None else {provider})

    async def get_default_pricing(self, caller: KeyRecord) -> PriceTable:
        await self._written.reads(caller)
        table: PriceTable = {}
        for id_ in self._catalog.ids:
            priced = {model.id: shown_prices(model.prices) for model in self._catalog.load(id_).models if model.prices}
            if priced:
                table[id_] = priced
        return table

    async def list_priced_models(self, caller: KeyRecord, provider: str | None = None) -> PricedModels:
        await self._written.reads(caller)
        if provider is not None and provider not in self._plan.providers:
            raise _no_provider(provider, self._plan)
        models = [
            PricedModel(
                id=each.id,
                provider=each.provider,
                model=each.facts.id,
                priced=each.facts.prices is not None,
                source=each.facts.prices.source if each.facts.prices is not None else "",
                date=each.facts.prices.date if each.facts.prices is not None else "",
            )
            for each in self._plan.models.values()
            if provider is None or each.provider == provider
        ]
        return PricedModels(models=models, total=len(models))

    @property
    def _plan(self) -> Plan:
        return self._overrides.effective.artefact.plan

    def _files(self) -> Mapping[str, object]:
        """The providers as the files alone have them."""
        effective = self._overrides.effective
        return settings_of(msgspec.structs.replace(effective, overrides=()).config.get("providers"))

    def _table(self, providers: set[str] | None) -> PriceTable:
        table: PriceTable = {}
        for each in self._plan.models.values():
            if each.facts.prices is not None and (providers is None or each.provider in providers):
                table.setdefault(each.provider, {})[each.facts.id] = shown_prices(each.facts.prices)
        return table

    def _repriced(self, provider: str, changes: Mapping[str, Mapping[str, object]], date: str) -> Document:
        entry = settings_of(self._written.all().get(provider))
        files = self._files().get(provider)
        models = dict(settings_of(entry.get("models")))
        for model, fields in changes.items():
            before = written_prices(entry, model)
            prices = price_document(fields, before, written_prices(files, model), f"{provider}.{model}", SOURCE, date)
            rest = {name: value for name, value in settings_of(models.get(model)).items() if name != "prices"}
            models[model] = {**rest, "prices": prices} if prices else rest
        return {**entry, "models": models}


def _no_provider(provider: str, plan: Plan) -> NotFound:
    near = closest(provider, plan.providers)
    hint = f"; did you mean {near!r}?" if near else ""
    return NotFound(f"there is no provider {provider[:100]!r}{hint}")
