"""Facts about models: the catalogue's, with the operator's own laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from generated.config import ModelSettings, PriceSettings, ProviderSettings
from runtime.catalog import Capability, Endpoint, Limits, Model, Prices, Provider, ReasoningFacts
from runtime.config.lower.given import given, overridden
from runtime.config.lower.parameter import lower_parameters
from runtime.config.plan import PlannedModel
from runtime.config.protocol import protocols_for
from runtime.config.scope import Scope

__all__ = ["lower_facts", "lower_models", "speakable"]


def lower_facts(scope: Scope, id_: str, known: Provider, settings: ProviderSettings) -> tuple[Model, ...]:
    """The provider's models: the catalogue's in its order, then the operator's own by name."""
    listed = {model.id: model for model in known.models}
    for name in sorted(settings.models):
        listed[name] = _model(scope, id_, listed.get(name) or Model(id=name), settings.models[name])
    return tuple(listed.values())


def lower_models(providers: Mapping[str, Provider], usable: Iterable[str]) -> dict[str, PlannedModel]:
    """Models by public id, of the providers in ``usable`` that have a protocol we speak for them."""
    return {
        f"{id_}/{model.id}": PlannedModel(id=f"{id_}/{model.id}", provider=id_, facts=model)
        for id_ in sorted(usable)
        for model in sorted(providers[id_].models, key=lambda model: model.id)
        if speakable(providers[id_], model)
    }


def speakable(provider: Provider, model: Model) -> bool:
    """Whether this release speaks a protocol that the provider offers for ``model``."""
    offered = provider.surfaces if model.protocol is None else {model.protocol} & provider.surfaces.keys()
    return bool(protocols_for(model.endpoint, offered))


def _model(scope: Scope, provider: str, known: Model, settings: ModelSettings) -> Model:
    changes = {key: value for key, value in given(settings).items() if key in {"name", "protocol"}}
    if settings.endpoint is not None:
        changes["endpoint"] = Endpoint(settings.endpoint)
    has, lacks = set(map(Capability, settings.has)), set(map(Capability, settings.lacks))
    path = ("providers", provider, "models", known.id)
    return msgspec.structs.replace(
        known,
        **changes,
        has=_ordered(has | (set(known.has) - lacks)),
        lacks=_ordered(lacks | (set(known.lacks) - has)),
        limits=_limits(scope, path, known.limits, settings),
        prices=_prices(scope, path, known.prices, settings.prices),
        parameters=lower_parameters(settings.parameters, known.parameters),
        reasoning=_reasoning(known, settings),
    )


def _ordered(capabilities: Iterable[Capability]) -> tuple[Capability, ...]:
    wanted = set(capabilities)
    return tuple(capability for capability in Capability if capability in wanted)


def _limits(scope: Scope, path: tuple[str, ...], known: Limits, settings: ModelSettings) -> Limits:
    written = Limits(context=settings.context, max_input=settings.max_input, max_output=settings.max_output)
    limits = overridden(known, written)
    for name, value in (("max_input", limits.max_input), ("max_output", limits.max_output)):
        if limits.context is not None and value is not None and value > limits.context:
            message = f"{name} {value} is more than the context of {limits.context} tokens"
            hint = "the context holds input and output together"
            scope.diagnostics.error("contradiction", scope.at.value(*path, name), message, hint)
    return limits


def _prices(scope: Scope, path: tuple[str, ...], known: Prices | None, settings: PriceSettings | None) -> Prices | None:
    if settings is None:
        return known
    prices = {name.removesuffix("_nano_usd"): value for name, value in given(settings).items()}
    if known is not None:
        return _sound(scope, path, msgspec.structs.replace(known, **prices))
    lacks = [name for name in ("input", "output") if name not in prices]
    if not lacks:
        return _sound(scope, path, msgspec.convert(prices, Prices))
    if scope.sound("providers", path[1]):
        message = f"prices of {path[1]}/{path[3]} lack {' and '.join(lacks)}"
        scope.diagnostics.error(
            "missing-field", scope.at.key(*path, "prices"), message, f"write `{lacks[0]}: …`; 0 is free"
        )
    return None


def _sound(scope: Scope, path: tuple[str, ...], prices: Prices) -> Prices:
    if prices.complaint is not None:
        scope.diagnostics.error(
            "contradiction", scope.at.key(*path, "prices"), prices.complaint, "say both, or neither"
        )
    return prices


def _reasoning(known: Model, settings: ModelSettings) -> ReasoningFacts | None:
    if settings.reasoning is None:
        return known.reasoning
    return overridden(known.reasoning or ReasoningFacts(), settings.reasoning)
