"""Models of providers over HTTP: what the catalogue knows of them, with what was said here laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from generated.types.provider_models import ServedModel, ServedModelAnswer, ServedModelDeleted, ServedModels
from generated.types.values import Document
from runtime.errors import InvalidRequest, NotFound
from runtime.management.body import settings_of, shown
from runtime.management.served_model import OWN, api_format, model_document, read_served_model
from runtime.services.overrides import Overrides
from runtime.services.written import Entries, Written
from runtime.source import closest
from runtime.web.key import KeyRecord

__all__ = ["ProviderModels"]


class ProviderModels:
    """Implements `generated.api.provider_models.ProviderModelsService`."""

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides
        self._written = Written(overrides, "providers", "provider")

    async def list_served_models(self, caller: KeyRecord, provider: str | None = None) -> ServedModels:
        await self._written.manages(caller)
        plan = self._overrides.effective.artefact.plan
        providers = sorted({*self._written.all(), *plan.providers})
        if provider is not None and provider not in providers:
            raise _no_provider(provider, providers)
        wanted = providers if provider is None else [provider]
        return ServedModels(models={id_: self._models(id_) for id_ in wanted})

    async def add_served_model(self, caller: KeyRecord, data: Document) -> ServedModelAnswer:
        return await self._change(caller, data)

    async def set_served_model(self, caller: KeyRecord, data: Document) -> ServedModelAnswer:
        return await self._change(caller, data)

    async def patch_served_model(self, caller: KeyRecord, data: Document) -> ServedModelAnswer:
        return await self._change(caller, data)

    async def delete_served_model(
        self, caller: KeyRecord, provider: str | None = None, model: str | None = None
    ) -> ServedModelDeleted:
        await self._written.manages(caller)
        if not provider or not model:
            missing = "model" if provider else "provider"
            raise InvalidRequest("say which: `?provider=…&model=…`", param=missing)

        def deleted() -> Entries:
            entry = settings_of(self._written.all().get(provider))
            models = settings_of(entry.get("models"))
            if model not in models:
                near = closest(model, models)
                hint = f"; did you mean {near!r}?" if near else ""
                raise NotFound(f"nothing is said of a model {model[:100]!r} of {provider[:100]!r}{hint}")
            rest = {name: value for name, value in models.items() if name != model}
            after = {name: value for name, value in entry.items() if name != "models"}
            return {provider: {**after, "models": rest} if rest else after}

        await self._written.edit(caller, "model_deleted", deleted)
        return ServedModelDeleted(provider=provider, model=model, deleted=True)

    async def _change(self, caller: KeyRecord, data: Document) -> ServedModelAnswer:
        await self._written.manages(caller)
        fields = read_served_model(data)
        provider, name = fields.provider, fields.modelId

        def changed() -> Entries:
            entry = settings_of(self._written.all().get(provider))
            models = settings_of(entry.get("models"))
            before = settings_of(models.get(name))
            return {provider: {**entry, "models": {**models, name: model_document(fields, before)}}}

        await self._written.edit(caller, "model_changed", changed)
        return ServedModelAnswer(model=self._shown(provider, name))

    def _models(self, provider: str) -> list[ServedModel]:
        plan = self._overrides.effective.artefact.plan
        written = settings_of(settings_of(self._written.all().get(provider)).get("models"))
        known = [each.facts.id for each in plan.models.values() if each.provider == provider]
        return [self._shown(provider, name) for name in sorted({*written, *known})]

    def _shown(self, provider: str, name: str) -> ServedModel:
        written = settings_of(settings_of(self._written.all().get(provider)).get("models"))
        document: Mapping[str, object] = settings_of(written.get(name))
        planned = self._overrides.effective.artefact.plan.models.get(f"{provider}/{name}")
        endpoint, protocol = document.get("endpoint"), document.get("protocol")
        if planned is not None:
            endpoint, protocol = planned.facts.endpoint.value, planned.facts.protocol
        source: Literal["catalog", "config", "override"] = (
            self._written.origin(provider) if name in written else "catalog"
        )
        called = document.get("name") or (planned.facts.name if planned is not None else None) or name
        return ServedModel(
            provider=provider,
            modelId=name,
            modelName=str(called),
            apiFormat=api_format(str(endpoint or "chat"), protocol if isinstance(protocol, str) else None),
            isHidden=document.get("listed") is False,
            settings=shown({key: value for key, value in document.items() if key not in (*OWN, "listed")}),
            source=source,
        )


def _no_provider(provider: str, known: list[str]) -> NotFound:
    near = closest(provider, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return NotFound(f"there is no provider {provider[:100]!r}{hint}")
