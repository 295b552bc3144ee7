"""Which models there are: those a key may use and whose providers can be called now, in the asking client's dialect."""

from __future__ import annotations

import msgspec

from runtime.errors import ModelNotFound
from runtime.routing import RouteTable
from runtime.services.access import Access
from runtime.services.listing import DIALECTS, Listed
from runtime.web.exchange import Exchange
from runtime.web.key import KeyRecord
from runtime.web.negotiate import dialect

__all__ = ["Models"]

JSON = ("content-type", "application/json")


class Models:
    """Implements `generated.api.models.ModelsService`."""

    def __init__(self, routes: RouteTable, access: Access) -> None:
        self._routes = routes
        self._access = access

    async def list_models(self, exchange: Exchange) -> None:
        key = self._access.check(exchange.headers, exchange.query, exchange.required_scope)
        speak = DIALECTS[dialect(exchange.headers)]
        page = speak.page(self._listed(key), exchange.query)
        await self._answer(exchange, speak.render_list(page))

    async def get_model(self, exchange: Exchange) -> None:
        key = self._access.check(exchange.headers, exchange.query, exchange.required_scope)
        speak = DIALECTS[dialect(exchange.headers)]
        name = exchange.path_params["model_id"].removeprefix("models/")
        found = next((each for each in self._listed(key) if each.id == name), None)
        if found is None:
            raise ModelNotFound(f"the model {name!r} does not exist", param="model", code="model_not_found")
        await self._answer(exchange, speak.render_one(found))

    def _listed(self, key: KeyRecord) -> list[Listed]:
        """In the order of names."""
        listed = [
            Listed(
                id=route.name,
                kind=route.kind,
                provider=route.targets[0].model.partition("/")[0],
                endpoint=route.endpoint,
                facts=self._routes.facts(route),
                promises=route.promises,
            )
            for route in self._routes.listed()
            if key.may_use(route.name)
        ]
        return sorted(listed, key=lambda each: each.id)

    async def _answer(self, exchange: Exchange, body: msgspec.Struct) -> None:
        await exchange.respond(200, (JSON, ("x-request-id", exchange.request_id)), msgspec.json.encode(body))
