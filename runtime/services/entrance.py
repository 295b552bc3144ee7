"""Who may manage: a key, as everywhere, or else the login that a browser's cookie stands for.

A cookie is good for managing only, never for calling a model. What a browser sends by itself is not a wish of whoever
sits before it, so what changes something has to come from a page of the gateway's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from runtime.errors import AuthenticationFailed, RouteUnavailable
from runtime.services.access import Access
from runtime.stores.base import StoreError
from runtime.stores.people import Login, SqlPeople
from runtime.web.address import Network
from runtime.web.asking import Askings
from runtime.web.cookie import find_cookie
from runtime.web.credential import find_key
from runtime.web.exchange import Exchange
from runtime.web.key import ADMIN, PUBLIC, KeyRecord, hash_key
from runtime.web.visit import Visit, visit_of

__all__ = ["PERSON", "Entrance", "stored_logins", "token_hash"]

MANAGING: Final = frozenset({"view", "action", ADMIN})
"""The scopes of operations that a login is good for."""

PERSON: Final = "person:"
"""How the id begins under which a person stands where others have a key's."""


class Entrance:
    """``required`` false lets everybody manage who is on this machine, as an operator may choose on loopback.

    ``trusted`` are the proxies in front that are believed.
    """

    def __init__(
        self,
        access: Access,
        people: SqlPeople,
        pepper: bytes,
        now: Callable[[], float],
        askings: Askings,
        trusted: tuple[Network, ...] = (),
        *,
        required: bool,
    ) -> None:
        self._access = access
        self._people = people
        self._pepper = pepper
        self._now = now
        self._askings = askings
        self._trusted = trusted
        self._required = required

    def visit(self, exchange: Exchange) -> Visit:
        """How the call of ``exchange`` came; what is written down about it says so."""
        visit = visit_of(exchange, self._trusted)
        self._askings.note(exchange.request_id, visit.address)
        return visit

    async def enter(self, exchange: Exchange) -> KeyRecord:
        """Whose call it is, of an operation that is served raw. Raises as `admit` does."""
        return await self.admit(self.visit(exchange), exchange.required_scope)

    async def admit(self, visit: Visit, scope: str) -> KeyRecord:
        """Whose call it is.

        Raises AuthenticationFailed without a good key or login, PermissionDenied where it lacks ``scope`` or a page of
        another site made the call, RouteUnavailable where logins cannot be looked up.
        """
        by_key = not self._access.required or find_key(visit.headers, visit.query) is not None
        if by_key or scope == PUBLIC or scope not in MANAGING:
            return await self._access.admit(visit.headers, visit.query, scope)
        if (found := await self.login(visit)) is not None:
            visit.demand_own_page()
            record = record_of(found)
            record.require(scope)
            return record
        if not self._required and visit.local and not visit.foreign(unsaid=False):
            return KeyRecord(id="this machine", scopes=frozenset({ADMIN}))
        if find_cookie(visit.headers) is not None:
            raise AuthenticationFailed("the login is over; log in again", code="login_over")
        return await self._access.admit(visit.headers, visit.query, scope)

    async def login(self, visit: Visit) -> Login | None:
        """The login that its cookie stands for, if that is good. Raises RouteUnavailable."""
        token = find_cookie(visit.headers)
        if token is None:
            return None
        async with stored_logins():
            return await self._people.who(token_hash(self._pepper, token), self._now())


def record_of(login: Login) -> KeyRecord:
    """The login where others have a key."""
    return KeyRecord(id=f"{PERSON}{login.name}", scopes=frozenset(login.scopes) & MANAGING, tenant=login.tenant)


def token_hash(pepper: bytes, token: str) -> str:
    """What is stored of a cookie's token; no key has the same hash."""
    return hash_key(pepper, f"login:{token}")


@asynccontextmanager
async def stored_logins() -> AsyncGenerator[None, None]:
    """Logins are in the store; without it nobody can be let in by one."""
    try:
        yield
    except StoreError as error:
        raise RouteUnavailable("the store of logins cannot be reached now", retry_after_s=1) from error
