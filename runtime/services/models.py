"""The models, as the asking client's dialect lists them; and calls of them where their name stands in the path."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.services.catalogue import Catalogue
from runtime.services.gemini import Gemini
from runtime.services.listing import DIALECTS
from runtime.web.exchange import Exchange

__all__ = ["Models"]


class Models:
    """Implements `generated.api.models.ModelsService`. ``speaks`` gives the dialect of a path and headers."""

    def __init__(self, catalogue: Catalogue, speaks: Callable[[str, Mapping[str, str]], str], gemini: Gemini) -> None:
        self._catalogue = catalogue
        self._speaks = speaks
        self._gemini = gemini

    async def list_models(self, exchange: Exchange) -> None:
        key = await self._catalogue.admit(exchange)
        speak = DIALECTS[self._speaks(exchange.path, exchange.headers)]
        page = speak.page(self._catalogue.listed(key), exchange.query)
        await self._catalogue.answer(exchange, speak.render_list(page))

    async def get_model(self, exchange: Exchange) -> None:
        key = await self._catalogue.admit(exchange)
        speak = DIALECTS[self._speaks(exchange.path, exchange.headers)]
        found = self._catalogue.one(key, exchange.path_params["model_id"].removeprefix("models/"))
        await self._catalogue.answer(exchange, speak.render_one(found))

    async def call_model(self, exchange: Exchange) -> None:
        await self._gemini.call(exchange, exchange.path_params["model_id"])
