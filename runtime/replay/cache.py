"""What stands between a request and a model where caches are configured: look, else ask and keep what comes.

Only whole answers that went well and say that they are at their end are kept. An answer from a cache is the same bytes
again, its id, times and counts of tokens included; it costs nothing, and headers say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from generated.config import ExactCacheSettings, SemanticCacheSettings
from runtime.call import Call, Complete, Streaming
from runtime.config.plan import Plan
from runtime.config.resolve import resolve
from runtime.config.wildcard import allows
from runtime.replay.exact import ExactCache
from runtime.replay.kept import Kept, Origin, gathering, opened
from runtime.replay.question import Question, read_question
from runtime.replay.semantic import Meant, SemanticCache

__all__ = ["Cache", "prefix_of"]

Ask = Callable[[Call], Awaitable[Complete | Streaming]]

KEPT_HEADERS: Final = frozenset({"x-gatewright-served", "x-gatewright-dropped", "x-gatewright-simulated"})
"""Of an answer's headers, those that are true of it whenever it is given; limits and attempts are not."""

YES: Final = frozenset({"true", "1", "yes", "on"})
"""What `X-OmniRoute-No-Cache` must say; any other word asks for nothing."""

MISS: Final = (("x-omniroute-cache", "MISS"),)
MAX_NAMES: Final = 4096


class _Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of each cache; None where that is not for it."""

    exact: Question | None
    semantic: Question | None
    prefix: str
    meant: Meant = Meant()


class Cache:
    """``build`` is that of the plan: another one shares nothing. ``now`` gives Unix seconds.

    ``permits`` tells whether a call may be answered at all; one that may not is asked, and refused by who is.
    ``session`` tells a call's session, which an answer that was kept is of as well, though it is bound to nobody by it.
    """

    def __init__(
        self,
        plan: Plan,
        build: str,
        exact: ExactCache | None,
        semantic: SemanticCache | None,
        permits: Callable[[Call], bool],
        now: Callable[[], float],
        session: Callable[[Call], str] = lambda _: "",
    ) -> None:
        self._plan = plan
        self._build = build
        self.exact = exact
        self.semantic = semantic
        self._permits = permits
        self._now = now
        self._session = session
        self._for: dict[str, tuple[bool, bool]] = {}

    async def infer(self, call: Call, ask: Ask) -> Complete | Streaming:
        """``ask``'s answer to ``call``, or one that was kept."""
        exact, semantic = self._applies(call.envelope.model)
        if not (exact or semantic) or not self._permits(call):
            return await ask(call)
        read, write = _wanted(call.headers)
        looked = self._look(call, exact, semantic) if read or write else None
        if looked is None:
            return _with(await ask(call), MISS)
        if read:
            found = await self._find(call, looked)
            if not isinstance(found, _Looked):
                return found
            looked = found
        elif looked.semantic is not None and self.semantic is not None:
            looked = msgspec.structs.replace(looked, meant=await self.semantic.measure(looked.semantic, call))
        call.record.replay = "miss"
        reply = await ask(msgspec.structs.replace(call, keeps=True) if write else call)
        return _with(await self._keeping(call, reply, looked) if write else reply, MISS)

    def _applies(self, name: str) -> tuple[bool, bool]:
        """Whether the exact and the semantic cache are for ``name``, or for what it is an alias of."""
        known = self._for.get(name)
        if known is None:
            route = resolve(self._plan, name)
            names = (name, *route.path) if route is not None else (name,)
            settings = self._plan.cache
            known = (
                settings.exact is not None and any(allows(settings.exact.models, each) for each in names),
                settings.semantic is not None and any(allows(settings.semantic.models, each) for each in names),
            )
            if len(self._for) < MAX_NAMES:
                self._for[name] = known
        return known

    def _look(self, call: Call, exact: bool, semantic: bool) -> _Looked | None:
        settings = self._plan.cache
        questions = (
            self._question(call, settings.exact) if exact and settings.exact else None,
            self._question(call, settings.semantic) if semantic and settings.semantic else None,
        )
        if questions == (None, None):
            return None
        return _Looked(exact=questions[0], semantic=questions[1], prefix=prefix_of(call.envelope.model))

    def _question(self, call: Call, settings: ExactCacheSettings | SemanticCacheSettings) -> Question | None:
        who = f"key/{call.key.id}" if settings.scope == "key" else f"tenant/{call.key.tenant}"
        owner = f"{self._build}/{who}"
        return read_question(call, owner, settings.temperature, settings.tools)

    async def _find(self, call: Call, looked: _Looked) -> Complete | Streaming | _Looked:
        """An answer that was kept; else what was looked for, with the vector that was made for it."""
        model = call.envelope.model
        if looked.exact is not None and self.exact is not None:
            kept = await self.exact.find(looked.prefix, looked.exact, model)
            if kept is not None:
                return await self._hit(call, kept, "exact")
        if looked.semantic is not None and self.semantic is not None:
            meant = await self.semantic.find(looked.prefix, looked.semantic, call)
            if meant.kept is not None:
                return await self._hit(
                    call, meant.kept, "semantic", (("x-gatewright-similarity", f"{meant.near:.4f}"),)
                )
            return msgspec.structs.replace(looked, meant=meant)
        return looked

    async def _hit(
        self, call: Call, kept: Kept, kind: str, more: tuple[tuple[str, str], ...] = ()
    ) -> Complete | Streaming:
        record = call.record
        record.model, record.stream, record.replay = call.envelope.model, call.envelope.stream, kind
        kept.origin.tell(record)
        age_s = max(0, int(self._now() - kept.made_s))
        record.session = self._session(call)
        more += (("x-omniroute-session-id", record.session),) if record.session else ()
        return await kept.reply((("x-omniroute-cache", "HIT"), ("age", str(age_s)), *more))

    async def _keeping(self, call: Call, reply: Complete | Streaming, looked: _Looked) -> Complete | Streaming:
        headers = tuple(pair for pair in reply.headers if pair[0] in KEPT_HEADERS)
        if isinstance(reply, Complete):
            if reply.ended:
                kept = Kept(headers=headers, body=reply.body, made_s=self._now(), origin=Origin.of(call.record))
                await self._keep(looked, kept)
            return reply

        async def end(body: bytes | None) -> None:
            if body is None or call.record.outcome != "ok":
                return
            kept = Kept(
                headers=headers,
                body=body,
                streamed=True,
                content_type=reply.content_type,
                keep_alive=reply.keep_alive,
                made_s=self._now(),
                origin=Origin.of(call.record),
            )
            await self._keep(looked, kept)

        chunks = await opened(gathering(reply.chunks, self._longest, end))
        return msgspec.structs.replace(reply, chunks=chunks)

    @property
    def _longest(self) -> int:
        settings = self._plan.cache
        return max(each.max_answer_bytes for each in (settings.exact, settings.semantic) if each is not None)

    async def _keep(self, looked: _Looked, kept: Kept) -> None:
        settings, size = self._plan.cache, len(kept.body)
        exact, semantic = settings.exact, settings.semantic
        if self.exact and exact and looked.exact is not None and size <= exact.max_answer_bytes:
            await self.exact.keep(looked.prefix, looked.exact, kept)
        vector = looked.meant.vector
        if self.semantic and semantic and looked.semantic and vector and size <= semantic.max_answer_bytes:
            await self.semantic.keep(looked.prefix, looked.semantic, vector, kept)


def prefix_of(model: str) -> str:
    """What the keys of all answers under one public name begin with."""
    return hashlib.sha256(model.encode("utf-8", "surrogateescape")).hexdigest()[:16] + "."


def _wanted(headers: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether an answer may come from a cache, and whether it may go there."""
    if headers.get("x-omniroute-no-cache", "").strip().lower() in YES:
        return False, False
    words = {word.strip().lower() for word in headers.get("cache-control", "").split(",")}
    return not words & {"no-store", "no-cache"}, "no-store" not in words


def _with(reply: Complete | Streaming, headers: tuple[tuple[str, str], ...]) -> Complete | Streaming:
    return msgspec.structs.replace(reply, headers=(*reply.headers, *headers))
