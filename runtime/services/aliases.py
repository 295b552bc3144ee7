"""Aliases over HTTP, and the public names and models that there are."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from generated.types.aliases import (
    AliasChanged,
    AliasDeleted,
    AliasFields,
    AliasList,
    AliasMap,
    AliasPair,
    CatalogModel,
    CatalogProvider,
    ManagedModel,
    ManagedModels,
    ModelAliases,
    ModelCatalog,
)
from runtime.catalog import Endpoint
from runtime.config.plan import Artefact, PlannedModel
from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.management.body import settings_of
from runtime.routing import RouteTable
from runtime.services.overrides import Overrides
from runtime.services.written import Entries, Written
from runtime.source import closest
from runtime.web.key import KeyRecord

__all__ = ["Aliases"]


class Aliases:
    """Implements `generated.api.aliases.AliasesService`."""

    def __init__(self, artefact: Artefact, overrides: Overrides, routes: RouteTable) -> None:
        self._artefact = artefact
        self._overrides = overrides
        self._written = Written(overrides, "aliases", "alias")
        self._routes = routes

    # -- as OmniRoute's clients know them

    async def list_aliases(self, caller: KeyRecord) -> AliasList:
        await self._written.reads(caller)
        return AliasList(aliases=self._all(), catalogVersion=self._overrides.effective.artefact.build)

    async def create_alias(self, caller: KeyRecord, data: AliasFields) -> AliasChanged:
        await self._written.manages(caller)

        def created() -> Entries:
            led = self._all().get(data.alias)
            if led is not None and led != data.model:
                raise Conflict(f"the alias {data.alias!r} stands for {led!r}; PUT changes it")
            return {data.alias: data.model}

        await self._written.edit(caller, "created", created)
        return AliasChanged(success=True, alias=data.alias, model=data.model)

    async def set_alias(self, caller: KeyRecord, data: AliasFields) -> AliasChanged:
        await self._set(caller, {data.alias: data.model})
        return AliasChanged(success=True, alias=data.alias, model=data.model)

    async def delete_alias(self, caller: KeyRecord, alias: str | None = None) -> AliasDeleted:
        return AliasDeleted(success=True, alias=await self._delete(caller, alias))

    # -- as one map

    async def get_model_aliases(self, caller: KeyRecord) -> ModelAliases:
        await self._written.reads(caller)
        return self._map()

    async def set_model_aliases(self, caller: KeyRecord, data: AliasMap) -> ModelAliases:
        await self._written.manages(caller)

        def changed() -> Entries:
            gone = dict.fromkeys(self._all().keys() - data.aliases.keys())
            return {**gone, **{name: to for name, to in data.aliases.items() if self._all().get(name) != to}}

        await self._written.edit(caller, "changed", changed)
        return self._map()

    async def add_model_alias(self, caller: KeyRecord, data: AliasPair) -> ModelAliases:
        await self._set(caller, {data.from_: data.to})
        return self._map()

    async def remove_model_alias(self, caller: KeyRecord, alias: str | None = None) -> ModelAliases:
        await self._delete(caller, alias)
        return self._map()

    # -- what there is

    async def get_model_catalog(self, caller: KeyRecord, endpoint: str | None = None) -> ModelCatalog:
        kinds = [each.value for each in Endpoint]
        if endpoint is not None and endpoint not in kinds:
            near = closest(endpoint, kinds)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(kinds)}"
            raise InvalidRequest(f"endpoint: there is no {endpoint[:100]!r}; {hint}", param="endpoint")
        plan = self._artefact.plan
        catalog: dict[str, CatalogProvider] = {}
        for model in plan.models.values():
            if not caller.may_use(model.id) or endpoint not in {None, model.facts.endpoint.value}:
                continue
            listed = catalog.setdefault(
                model.provider,
                CatalogProvider(provider=model.provider, active=self._active(model.provider), models=[]),
            )
            listed.models.append(self._described(model))
        return ModelCatalog(catalog=catalog, catalogVersion=self._artefact.build)

    async def list_managed_models(self, caller: KeyRecord) -> ManagedModels:
        lit = {route.name for route in self._routes.listed()}
        models = [
            ManagedModel(
                id=route.name,
                kind=route.kind,
                provider=route.targets[0].model.partition("/")[0],
                type=route.endpoint.value,
                active=route.name in lit,
            )
            for route in self._artefact.plan.routes.values()
            if route.targets and caller.may_use(route.name)
        ]
        return ManagedModels(models=models, total=len(models))

    # -- parts

    def _all(self) -> dict[str, str]:
        return {name: str(target) for name, target in self._written.all().items()}

    def _map(self) -> ModelAliases:
        aliases = self._all()
        return ModelAliases(builtIn={}, custom=aliases, all=aliases)

    async def _set(self, caller: KeyRecord, entries: Mapping[str, str]) -> None:
        await self._written.manages(caller)
        await self._written.edit(caller, "changed", lambda: entries)

    async def _delete(self, caller: KeyRecord, alias: str | None) -> str:
        await self._written.manages(caller)
        if not alias:
            raise InvalidRequest("say which alias: `?alias=…`", param="alias")

        def deleted() -> Entries:
            found = self._all()
            if alias not in found:
                near = closest(alias, found)
                hint = f"; did you mean {near!r}?" if near else ""
                raise NotFound(f"there is no alias {alias[:100]!r}{hint}")
            return {alias: None}

        await self._written.edit(caller, "deleted", deleted)
        return alias

    def _active(self, provider: str) -> bool:
        connections = self._artefact.plan.connections
        return any(self._routes.lit(id_) for id_, each in connections.items() if each.provider == provider)

    def _described(self, model: PlannedModel) -> CatalogModel:
        facts = model.facts
        written = settings_of(settings_of(self._overrides.config.get("providers")).get(model.provider))
        return CatalogModel(
            id=model.id,
            name=facts.name or facts.id,
            type=facts.endpoint.value,
            custom=facts.id in settings_of(written.get("models")),
            capabilities=[capability.value for capability in facts.has],
            context_length=UNSET if facts.limits.context is None else facts.limits.context,
            max_output_tokens=UNSET if facts.limits.max_output is None else facts.limits.max_output,
        )
