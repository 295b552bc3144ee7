"""Logging in and out, and the passwords that it takes. Nobody has one until the operator sets it.

An attempt counts as failed before the password is compared, for the account and for the address: however many are made at
once, no more than are allowed are compared.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec
from msgspec import UNSET

from generated.config import LoginSettings
from generated.types.login import Credentials, InitStatus, LoggedIn, LoggedOut, LoginChange, LoginStatus, RequireLogin
from runtime.errors import (
    AuthenticationFailed,
    Conflict,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    RouteUnavailable,
)
from runtime.services.audit import Audit
from runtime.services.entrance import PERSON, Entrance, stored_logins, token_hash
from runtime.services.passwords import Passwords
from runtime.stores.attempts import SqlAttempts
from runtime.stores.audit import AuditStatus
from runtime.stores.people import Login, Person, SqlPeople
from runtime.web.address import origin_of
from runtime.web.cookie import cleared_cookie, find_cookie, login_cookie
from runtime.web.exchange import Exchange
from runtime.web.json_exchange import read_json, respond_json
from runtime.web.key import ADMIN, OPERATOR, KeyRecord, hash_key
from runtime.web.password import demand_good_name, demand_good_password
from runtime.web.visit import Visit

__all__ = ["FIRST", "LoggingIn", "Require"]

FIRST: Final = "admin"
"""Who it is where no name is given."""

DEV: Final = "dev"
"""The id of the data directory's own key."""

TOKEN_BYTES: Final = 32

Require = Callable[[bool, KeyRecord], Awaitable[None]]
"""Changes whether managing needs a login, on behalf of somebody; raises what the caller is told."""


class LoggingIn:
    """Implements `generated.api.login.LoginService`. ``random`` gives so many random bytes, ``require`` changes the setting.

    ``fixed``: nothing is changed here, neither `login.required` nor a password.
    """

    def __init__(
        self,
        settings: LoginSettings,
        entrance: Entrance,
        people: SqlPeople,
        attempts: SqlAttempts,
        passwords: Passwords,
        audit: Audit,
        pepper: bytes,
        now: Callable[[], float],
        random: Callable[[int], bytes],
        require: Require,
        *,
        fixed: bool = False,
    ) -> None:
        self._settings = settings
        self._entrance = entrance
        self._people = people
        self._attempts = attempts
        self._passwords = passwords
        self._audit = audit
        self._pepper = pepper
        self._now = now
        self._random = random
        self._require = require
        self._fixed = fixed

    async def log_in(self, exchange: Exchange) -> None:
        visit = self._entrance.visit(exchange)
        if visit.foreign(unsaid=False):  # nobody is to be logged in by a page of somebody else's
            raise PermissionDenied("a page of another site cannot log in here", code="cross_origin")
        said = await read_json(exchange, Credentials)
        async with stored_logins():
            person = await self._compared(visit, said.username, said.password)
            login, token = await self._opened(person)
            await self._note("auth.login", person.name, person.tenant)
        answer = LoggedIn(
            success=True, username=person.name, company_id=person.tenant, expiresAt=_time(login.expires_s)
        )
        await respond_json(
            exchange, answer, login_cookie(token, self._settings.session_ms // 1000, secure=visit.secure)
        )

    async def log_out(self, exchange: Exchange) -> None:
        visit = self._entrance.visit(exchange)
        token = find_cookie(visit.headers)
        if token is not None:
            visit.demand_own_page()
            async with stored_logins():
                login = await self._entrance.login(visit)
                name = await self._people.close(token_hash(self._pepper, token))
                if name is not None and login is not None:
                    await self._note("auth.logout", name, login.tenant)
        await respond_json(exchange, LoggedOut(success=True), cleared_cookie(secure=visit.secure))

    async def get_login_status(self, exchange: Exchange) -> None:
        visit = self._entrance.visit(exchange)
        login, token = await self._entrance.login(visit), find_cookie(visit.headers)
        if login is None or token is None:
            await respond_json(exchange, LoginStatus(authenticated=False))
            return
        session_s = self._settings.session_ms / 1000
        expires_s, cookie = login.expires_s, None
        if expires_s - self._now() < session_s / 2 and not visit.foreign(unsaid=False):
            async with stored_logins():
                if await self._people.prolong(token_hash(self._pepper, token), self._now() + session_s):
                    expires_s = self._now() + session_s
                    cookie = login_cookie(token, int(session_s), secure=visit.secure)
        answer = LoginStatus(
            authenticated=True,
            username=login.name,
            company_id=login.tenant,
            scopes=sorted(login.scopes),
            expiresAt=_time(expires_s),
        )
        await respond_json(exchange, answer, cookie)

    async def get_init(self) -> InitStatus:
        async with stored_logins():
            return InitStatus(initialized=await self._people.any())

    async def get_require_login(self, exchange: Exchange) -> None:
        await respond_json(exchange, await self._required())

    async def set_require_login_too(self, exchange: Exchange) -> None:
        await self.set_require_login(exchange)

    async def set_require_login(self, exchange: Exchange) -> None:
        visit = self._entrance.visit(exchange)
        caller = await self._caller(visit)
        said = await read_json(exchange, LoginChange)
        if said.password is not UNSET:
            if self._fixed:
                raise PermissionDenied("passwords are not changed here: `server.management` is `read_only`")
            demand_good_password(said.password)
        elif said.requireLogin is UNSET:
            raise InvalidRequest("nothing is changed; give `requireLogin` or `password`", param="requireLogin")
        if said.requireLogin is not UNSET:
            caller.require(ADMIN)
            caller.require_manages()
            if self._fixed:
                raise PermissionDenied("`login.required` is not changed here: `server.management` is `read_only`")
        async with stored_logins():
            set_password = await self._password_change(visit, caller, said)
        if said.requireLogin is not UNSET and said.requireLogin != self._settings.required:
            await self._require(said.requireLogin, caller)
        async with stored_logins():
            await set_password()
        told = await self._required()
        if said.requireLogin is not UNSET:
            told = msgspec.structs.replace(told, requireLogin=said.requireLogin)
        await respond_json(exchange, told)

    # -- inside

    async def _compared(self, visit: Visit, name: str, password: str) -> Person:
        """Who it is, if it is the password. Raises what the caller is told."""
        account = f"account:{hash_key(self._pepper, f'account:{name}')}"  # people type passwords there, too
        attempt = self._random(16).hex()
        wait_s = await self._attempts.begin(attempt, (account, f"address:{origin_of(visit.address)}"), self._now())
        if wait_s > 0:
            raise RateLimited("too many attempts to log in failed; wait", retry_after_s=wait_s, code="locked_out")
        person, somebody = await self._people.get(name), await self._people.any()
        try:
            matches = await self._passwords.matches(None if person is None else person.password, password)
        except RouteUnavailable:
            await self._attempts.withdraw(attempt)
            raise
        if not matches:
            await self._refused(person, somebody=somebody)
        assert person is not None
        await self._attempts.succeeded(attempt, account)
        return person

    async def _refused(self, person: Person | None, *, somebody: bool) -> NoReturn:
        if not somebody:
            raise PermissionDenied(
                "nobody can log in yet: the operator sets the first password with `gatewright people add`",
                code="needs_setup",
            )
        name, tenant = ("unknown", OPERATOR) if person is None else (person.name, person.tenant)
        await self._note("auth.login.failed", name, tenant, status="refused")
        raise AuthenticationFailed("the name or the password is wrong", code="invalid_credentials")

    async def _opened(self, person: Person) -> tuple[Login, str]:
        token = base64.urlsafe_b64encode(self._random(TOKEN_BYTES)).rstrip(b"=").decode()
        now_s = self._now()
        expires_s = now_s + self._settings.session_ms / 1000
        await self._people.open(token_hash(self._pepper, token), person.name, now_s, expires_s)
        login = Login(
            name=person.name, tenant=person.tenant, scopes=person.scopes, created_s=now_s, expires_s=expires_s
        )
        return login, token

    async def _caller(self, visit: Visit) -> KeyRecord:
        """Who changes something: an admin, anybody who is logged in, or this machine's own key before anybody can log in."""
        login = await self._entrance.login(visit)
        if login is not None:
            return await self._entrance.admit(visit, next(iter(login.scopes), ADMIN))
        try:
            return await self._entrance.admit(visit, ADMIN)
        except PermissionDenied:
            if not visit.local:
                raise
            record = await self._entrance.admit(visit, "view")
            if record.id != DEV:
                raise
            return record

    async def _password_change(
        self, visit: Visit, caller: KeyRecord, said: LoginChange
    ) -> Callable[[], Awaitable[None]]:
        """What sets the password, once nothing speaks against it; nothing, where none is given."""
        if said.password is UNSET:
            return _nothing
        own = caller.id.startswith(PERSON)
        name = await self._own_name(visit, caller, said) if own else await self._name(visit, caller, said)
        first = not own and not await self._people.any()
        token = find_cookie(visit.headers) if own else None
        kept = None if token is None else token_hash(self._pepper, token)
        hashed = await self._passwords.hash(said.password)

        async def set_password() -> None:
            now_s = self._now()
            if first:
                person = Person(name=name, password=hashed, created_s=now_s, changed_s=now_s)
                if not await self._people.add_first(person):
                    raise Conflict("somebody else set the first password at this moment")
            elif not await self._people.set_password(name, hashed, now_s, kept):
                raise Conflict(f"{name!r} was removed at this moment")
            await self._note("auth.password.set", name, caller.tenant, actor=caller.id)

        return set_password

    async def _name(self, visit: Visit, caller: KeyRecord, said: LoginChange) -> str:
        """Whose password somebody sets who shows a key."""
        if caller.tenant != OPERATOR:
            raise PermissionDenied("people are set by keys of the operator only")
        name = FIRST if said.username is UNSET else said.username
        if not await self._people.any():
            demand_good_name(name, "username")
            if not visit.local:
                raise PermissionDenied(
                    "the first password is set on the gateway's own machine, or with `gatewright people add`"
                )
            return name
        caller.require(ADMIN)
        if await self._people.get(name) is None:
            raise InvalidRequest(f"there is nobody called {name!r}", param="username")
        return name

    async def _own_name(self, visit: Visit, caller: KeyRecord, said: LoginChange) -> str:
        """Whose password somebody sets who is logged in: their own, and they show the one until now."""
        name = caller.id.removeprefix(PERSON)
        if said.username is not UNSET and said.username != name:
            raise PermissionDenied("with a login only the password of its own is changed", param="username")
        if said.currentPassword is UNSET:
            raise InvalidRequest("a new password needs the `currentPassword`", param="currentPassword")
        await self._compared(visit, name, said.currentPassword)
        return name

    async def _required(self) -> RequireLogin:
        async with stored_logins():
            there = await self._people.any()
        return RequireLogin(requireLogin=self._settings.required, hasPassword=there, setupComplete=there)

    async def _note(
        self, action: str, name: str, tenant: str, *, status: AuditStatus = "success", actor: str = ""
    ) -> None:
        await self._audit.write(
            action,
            actor=actor or f"{PERSON}{name}",
            target=name,
            resource_type="person",
            status=status,
            tenant=tenant,
        )


async def _nothing() -> None:
    return


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
