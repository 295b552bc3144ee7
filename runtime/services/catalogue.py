"""Which models a key may use and whose providers can be called now: one table, whoever asks and in whichever dialect."""

from __future__ import annotations

import msgspec

from runtime.config.plan import Route
from runtime.routing import RouteTable
from runtime.services.access import Access
from runtime.services.listing import Listed
from runtime.web.exchange import Exchange
from runtime.web.header import KEPT_BY_NOBODY
from runtime.web.key import KeyRecord

__all__ = ["JSON", "Catalogue"]

JSON = ("content-type", "application/json")


class Catalogue:
    """The public names, for operations that list or describe them."""

    def __init__(self, routes: RouteTable, access: Access) -> None:
        self._routes = routes
        self._access = access

    async def admit(self, exchange: Exchange) -> KeyRecord:
        """Whose call it is. Raises AuthenticationFailed or PermissionDenied."""
        return await self._access.admit(exchange.headers, exchange.query, exchange.required_scope)

    def listed(self, key: KeyRecord) -> list[Listed]:
        """In the order of names."""
        listed = [self._describe(route) for route in self._routes.listed() if key.may_use(route.name)]
        return sorted(listed, key=lambda each: each.id)

    def one(self, key: KeyRecord, name: str) -> Listed:
        """The model of this very name, also one that no list has because its provider takes any. Raises ModelNotFound."""
        name = self._routes.spelt(name, key.may_use)
        route = self._routes.find(name) if key.may_use(name) else None
        if route is None:
            raise self._routes.unknown(name)
        return self._describe(route)

    def _describe(self, route: Route) -> Listed:
        return Listed(
            id=route.name,
            kind=route.kind,
            provider=route.targets[0].model.partition("/")[0],
            endpoint=route.endpoint,
            facts=self._routes.facts(route),
            promises=route.promises,
        )

    async def answer(self, exchange: Exchange, body: msgspec.Struct) -> None:
        headers = (JSON, KEPT_BY_NOBODY, ("x-request-id", exchange.request_id))
        await exchange.respond(200, headers, msgspec.json.encode(body))
