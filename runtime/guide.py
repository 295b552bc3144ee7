"""What a request brings along that steers it: the connection it demands, its session, how its conversation begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from runtime.canonical import Request
from runtime.errors import InvalidRequest, PermissionDenied
from runtime.routing import Candidate, Prepared
from runtime.routing.steering import UNSTEERED, Steering, conversation
from runtime.sessions import SESSION_HEADERS, Bound, Session, Sessions, said_session
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord

__all__ = ["GUIDING", "PIN_HEADERS", "UNGUIDED", "Guide", "Guided", "demand", "session_of"]

PIN_HEADERS: Final = ("x-omniroute-connection", "x-gatewright-connection")

GUIDING: Final = frozenset((*PIN_HEADERS, *SESSION_HEADERS))
"""All headers that have a part in where a request goes."""

_PINS: Final = frozenset(PIN_HEADERS)
_HARMLESS: Final = ("", "ok", "cancelled")
"""Outcomes of attempts that say nothing against who was asked."""


def demand(prepared: Prepared, headers: Mapping[str, str], key: KeyRecord) -> Prepared:
    """What is left of ``prepared`` for a request that may demand one connection.

    Raises PermissionDenied for a key that may not, InvalidRequest for a connection over which nothing of it goes.
    """
    if _PINS.isdisjoint(headers):
        return prepared
    name = next(name for name in PIN_HEADERS if name in headers)
    wanted = headers[name].strip()
    found = {each.connection for each in prepared.candidates if wanted in {each.connection, _short(each.connection)}}
    if not any(key.may_pin(each) for each in found or {wanted}):
        raise PermissionDenied(f"this key may not demand a connection, which {name} does", param=name)
    if len(found) > 1:
        raise InvalidRequest(
            f"{name}: more than one provider has a connection of this id; write `provider/id`", param=name
        )
    if not found:
        raise InvalidRequest(f"{name}: the model is not served over the connection it demands", param=name)
    return prepared.pinned(found.pop())


def _short(connection: str) -> str:
    """The id as it is written below its provider."""
    return connection.partition("/")[2]


class Guided(msgspec.Struct, frozen=True, kw_only=True):
    """``session`` is what was known of it before. ``id`` is empty for a request without one.

    ``key`` is the id of the client key whose session it is.
    """

    steering: Steering = UNSTEERED
    id: str = ""
    key: str = ""
    session: Session | None = None


UNGUIDED: Final = Guided()


class Guide:
    """``keep`` is what sessions stay with."""

    def __init__(self, sessions: Sessions, keep: Literal["connection", "target"]) -> None:
        self._sessions = sessions
        self._keeps_target = keep == "target"

    async def begin(
        self,
        prepared: Prepared,
        key: str,
        record: CallRecord,
        decode: Callable[[], Request] | None,
    ) -> Guided:
        """Where a request is to go first; what its headers call its session is in ``record``.

        ``decode`` reads its conversation, where it has one and that is needed. Raises InvalidRequest where the body says
        what cannot be a session's id.
        """
        id_, beginning = _identity(prepared, key, record.model, record.session, decode)
        record.session = id_
        if not id_:
            return Guided(steering=Steering(beginning=beginning)) if beginning else UNGUIDED
        session = await self._sessions.find(key, id_)
        keeps = self._keeps_target or prepared.relays
        steering = Steering(
            connections=session.connections if session is not None else {},
            target=session.targets.get(record.model) if session is not None and keeps else None,
            keeps_target=keeps and session is not None and record.model in session.targets,
            beginning=beginning,
        )
        if steering.connections or steering.target:
            record.remembered = steering
            record.note("session", "what answered its session before is asked first", steering.target or "")
        return Guided(steering=steering, id=id_, key=key, session=session)

    async def served(self, prepared: Prepared, guided: Guided, record: CallRecord, candidate: Candidate) -> None:
        """The request was answered by ``candidate``: its session stays there, or where it was if that was only busy."""
        if not guided.id or prepared.pin is not None:
            return
        provider, session = candidate.target.provider.id, guided.session
        before = session.connections.get(provider) if session is not None else None
        connection = target = None
        if before is None or (before != candidate.connection and _gave_way(record, connection=before)):
            connection = Bound(provider, before, candidate.connection)
        here = before == candidate.connection
        record.session_step = "kept" if here else "new" if before is None else "moved" if connection else "away"
        if self._keeps_target or prepared.relays:
            before = session.targets.get(record.model) if session is not None else None
            if before is None or (before != candidate.id and _gave_way(record, target=before, unseen=prepared.relays)):
                target = Bound(record.model, before, candidate.id)
        await self._sessions.served(guided.key, guided.id, connection, target)


def session_of(prepared: Prepared, key: str, model: str, named: str, decode: Callable[[], Request] | None) -> str:
    """What `Guide.begin` would take for the session of a request that nobody needs to answer; empty for none."""
    return _identity(prepared, key, model, named, decode if prepared.sessions == "derived" else None)[0]


def _identity(
    prepared: Prepared, key: str, model: str, named: str, decode: Callable[[], Request] | None
) -> tuple[str, bytes]:
    """The session's id, ``named`` being that of the headers, and what stands for how the conversation begins."""
    id_ = named if prepared.sessions != "off" else ""
    derives = not id_ and prepared.sessions == "derived"
    beginning = b""
    if decode is not None and (derives or prepared.affine):
        request = decode()
        beginning = conversation(key, model, request)
        if derives:
            id_ = said_session(request) or beginning.hex()
    return id_, beginning


def _gave_way(record: CallRecord, *, connection: str = "", target: str = "", unseen: bool = False) -> bool:
    """Whether it failed or rests, rather than being busy or not fit for this one request; ``unseen`` if it was not looked at."""
    tried = [each for each in record.attempts if connection == each.connection or target == each.target]
    passed = [each for each in record.skipped if connection == each.connection or target == each.target]
    if not tried and not passed:
        return unseen
    return any(each.outcome not in _HARMLESS for each in tried) or any(each.reason != "busy" for each in passed)
