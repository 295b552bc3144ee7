"""All sessions: kept in the state that workers share, the recent ones in mind, so that few requests wait for it.

A session is of the client key that named it: another key's session of the same name is another one. Without the shared
state each worker goes on with what it has in mind.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from generated.config import SessionSettings
from runtime.sessions.session import Bound, Session
from runtime.shared import SharedError, SharedState

__all__ = ["Sessions"]

TOPIC: Final = "sessions"

_FRESH_S: Final = 2.0
"""How long a worker goes by what it has in mind before it looks whether another one has moved the session."""

_TOUCH_S: Final = 60.0
_TRIES: Final = 3
_BOUND: Final = 32
"""How many providers, and how many names, one session is bound for; beyond it the oldest go."""


class _Kept(msgspec.Struct):
    """What a worker has in mind: ``raw`` as it was in the shared state, ``requests`` not yet counted there."""

    session: Session
    raw: bytes
    read_s: float
    requests: int = 0


class Sessions:
    """``now`` gives Unix seconds. ``shared`` is not waited for long when it is away."""

    def __init__(self, shared: SharedState, settings: SessionSettings, now: Callable[[], float]) -> None:
        self._shared = shared
        self._limit = settings.limit
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.configure(settings)

    def configure(self, settings: SessionSettings) -> None:
        """From now on by other settings; ``limit`` stays as it was."""
        self._ttl_s = settings.ttl_ms / 1000
        self._touch_s = min(_TOUCH_S, self._ttl_s / 8)

    async def find(self, key: str, id_: str) -> Session | None:
        """The session ``id_`` of the client key ``key``, as far as it is known; None for a new one."""
        at, now_s = _place(key, id_), self._now()
        kept = self._kept.get(at)
        if kept is None or now_s - kept.read_s >= _FRESH_S:
            kept = await self._read(at, kept)
        return kept.session if kept is not None and kept.session.last_s + self._ttl_s > now_s else None

    async def served(self, key: str, id_: str, connection: Bound | None = None, target: Bound | None = None) -> None:
        """A request of it was answered; bind it where that is given. What is bound here is known to all workers afterwards."""
        at, now_s = _place(key, id_), self._now()
        kept = self._kept.get(at)
        if kept is not None and connection is None and target is None and now_s - kept.session.last_s < self._touch_s:
            kept.requests += 1
            return
        fresh = Session(key=key, id=id_, created_s=now_s, last_s=now_s)
        try:
            await self._write(at, fresh, connection, target)
        except SharedError:
            before = kept.session if kept is not None else fresh
            self._keep(at, _Kept(_bound(before, now_s, 1, connection, target), kept.raw if kept else b"", now_s))

    async def entries(self, key: str | None = None, limit: int = 1000) -> list[Session]:
        """Up to ``limit`` live sessions, of one client key or of all. Raises SharedError."""
        found = await self._shared.entries(TOPIC, "" if key is None else _prefix(key), limit)
        return [session for _, raw in found if (session := _decoded(raw)) is not None]

    async def forget(self, key: str, id_: str) -> bool:
        """Whether there was such a session; there is none now. Raises SharedError."""
        at = _place(key, id_)
        self._kept.pop(at, None)
        return await self._shared.remove(TOPIC, at)

    async def _read(self, at: str, kept: _Kept | None) -> _Kept | None:
        """As it is in the shared state now; where that cannot be had, as it was known."""
        try:
            raw = await self._shared.get(TOPIC, at)
        except SharedError:
            return kept
        session = None if raw is None else _decoded(raw)
        if raw is None or session is None:
            self._kept.pop(at, None)
            return None
        return self._keep(at, _Kept(session, raw, self._now(), kept.requests if kept else 0))

    async def _write(self, at: str, fresh: Session, connection: Bound | None, target: Bound | None) -> None:
        kept = self._kept.get(at)
        pending = 1 + (kept.requests if kept is not None else 0)
        raw = kept.raw if kept is not None and kept.raw else None
        known = kept.session if kept is not None else fresh
        for _ in range(_TRIES):
            before = _decoded(raw) if raw is not None else None
            session = _bound(before or known, fresh.last_s, pending, connection, target)
            data = msgspec.msgpack.encode(session)
            if raw is None:
                raw = await self._shared.claim(TOPIC, at, data, self._ttl_s)
                done = raw is None
            else:
                done = await self._shared.replace(TOPIC, at, raw, data, self._ttl_s)
                raw = raw if done else await self._shared.get(TOPIC, at)
            if done:
                self._keep(at, _Kept(session, data, fresh.last_s))
                return

    def _keep(self, at: str, kept: _Kept) -> _Kept:
        self._kept[at] = kept
        self._kept.move_to_end(at)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return kept


def _bound(session: Session, now_s: float, requests: int, connection: Bound | None, target: Bound | None) -> Session:
    return msgspec.structs.replace(
        session,
        last_s=max(session.last_s, now_s),
        requests=session.requests + requests,
        connections=_with(session.connections, connection),
        targets=_with(session.targets, target),
    )


def _with(bound: Mapping[str, str], change: Bound | None) -> dict[str, str]:
    return dict(bound) if change is None else change.within(bound, _BOUND)


def _decoded(raw: bytes) -> Session | None:
    """None for what another release wrote in another form."""
    try:
        return msgspec.msgpack.decode(raw, type=Session)
    except msgspec.DecodeError:
        return None


def _prefix(key: str) -> str:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest() + "/"


def _place(key: str, id_: str) -> str:
    """The key in the shared state: of bounded length, whatever clients say."""
    return _prefix(key) + blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
