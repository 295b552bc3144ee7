"""One provider's models, by their own names: what a client asks for below `/providers/<provider>` goes nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from runtime.errors import InvalidRequest, NotFound
from runtime.protocols.base import Envelope
from runtime.routing import RouteTable
from runtime.services.catalogue import Catalogue
from runtime.services.completions import Completions
from runtime.services.inference import Adapt, Inference
from runtime.services.listing import DIALECTS
from runtime.services.responses import Responses
from runtime.source import closest
from runtime.web.exchange import Exchange

__all__ = ["Providers"]


class Providers:
    """Implements `generated.api.providers.ProvidersService`. ``speaks`` gives the dialect of a path and headers."""

    def __init__(
        self,
        inference: Inference,
        catalogue: Catalogue,
        routes: RouteTable,
        responses: Responses,
        completions: Completions,
        speaks: Callable[[str, Mapping[str, str]], str],
    ) -> None:
        self._inference = inference
        self._catalogue = catalogue
        self._routes = routes
        self._responses = responses
        self._completions = completions
        self._speaks = speaks

    async def create_provider_chat_completion(self, exchange: Exchange) -> None:
        await self._inference.chat("openai_chat", adapt=self._within(exchange))(exchange)

    async def create_provider_completion(self, exchange: Exchange) -> None:
        await self._completions.create(exchange, self._within(exchange))

    async def create_provider_message(self, exchange: Exchange) -> None:
        await self._inference.chat("anthropic_messages", adapt=self._within(exchange))(exchange)

    async def create_provider_response(self, exchange: Exchange) -> None:
        await self._responses.create(exchange, self._within(exchange))

    async def create_provider_embeddings(self, exchange: Exchange) -> None:
        await self._inference.embed("openai_embeddings", adapt=self._within(exchange))(exchange)

    async def list_provider_models(self, exchange: Exchange) -> None:
        key = await self._catalogue.admit(exchange)
        provider = self._known(exchange.path_params["provider"])
        own = [
            msgspec.structs.replace(each, id=each.id.removeprefix(f"{provider}/"))
            for each in self._catalogue.listed(key)
            if each.kind == "model" and each.provider == provider
        ]
        speak = DIALECTS[self._speaks(exchange.path, exchange.headers)]
        await self._catalogue.answer(exchange, speak.render_list(speak.page(own, exchange.query)))

    def _within(self, exchange: Exchange) -> Adapt:
        """Takes a request to the provider that its path names."""

        def adapt(envelope: Envelope) -> Envelope:
            provider = self._known(exchange.path_params["provider"])
            name = self._public(provider, envelope.model)
            return envelope if name == envelope.model else msgspec.structs.replace(envelope, model=name)

        return adapt

    def _public(self, provider: str, model: str) -> str:
        """The public name of ``provider``'s ``model``. Raises InvalidRequest when it is another provider's.

        A vendor's own names may begin with what is another provider's id here, so the provider's list is asked first.
        """
        prefix = f"{provider}/"
        if model.startswith(prefix):
            return model
        own, other = prefix + model, model.partition("/")[0]
        if not self._routes.lists(own) and other in self._routes.providers() and self._routes.lists(model):
            message = f"the model {model!r} is of the provider {other!r}, not of {provider!r}; write {own!r} for one of its own"
            raise InvalidRequest(message, param="model", code="invalid_model")
        return own

    def _known(self, provider: str) -> str:
        if provider not in self._routes.providers():
            near = closest(provider, self._routes.providers())
            hint = f"; did you mean {near!r}?" if near else ""
            raise NotFound(f"there is no provider {provider!r}{hint}", param="provider", code="invalid_provider")
        return provider
