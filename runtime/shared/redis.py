"""Shared state in Redis or Valkey, for several machines. Everything there ends by itself; nothing needs cleaning up.

A question is asked once: an answer that did not come may still have been heard, and asking twice could claim twice.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from runtime.shared import redis_scripts
from runtime.shared.base import News, SharedError, SharedState
from runtime.shared.prefix import beyond

__all__ = ["RedisState"]

_CONNECTIONS: Final = 32
_SEQUENCE_BITS: Final = 20
"""Of a cursor: a stream's ids are milliseconds and a number within the millisecond, far below a million."""

T = TypeVar("T")


class RedisState(SharedState):
    """``url`` begins with `redis://`, `rediss://` or `unix://`; every key with ``namespace``.

    ``limit_s`` is how long a question may take, connecting included. Raises ValueError for a URL that is none.
    """

    def __init__(self, url: str, namespace: str, limit_s: float) -> None:
        pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType] — its options have no types
            url,
            max_connections=_CONNECTIONS,
            timeout=limit_s,
            socket_timeout=limit_s,
            socket_connect_timeout=limit_s,
            retry=Retry(NoBackoff(), 0),
            client_name="gatewright",
        )
        client = Redis(connection_pool=pool)
        self._client = client
        self._pool = pool
        self._namespace = namespace
        self._limit_s = limit_s
        self._put = client.register_script(redis_scripts.PUT)
        self._claim = client.register_script(redis_scripts.CLAIM)
        self._replace = client.register_script(redis_scripts.REPLACE)
        self._remove = client.register_script(redis_scripts.REMOVE)
        self._entries = client.register_script(redis_scripts.ENTRIES)
        self._clear = client.register_script(redis_scripts.CLEAR)
        self._tell = client.register_script(redis_scripts.TELL)

    @override
    async def get(self, topic: str, key: str) -> bytes | None:
        return cast("bytes | None", await self._ask(self._client.get(self._keys(topic, key)[0])))

    @override
    async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        await self._ask(self._put(self._keys(topic, key), [key, value, _ms(ttl_s)]))

    @override
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        found = await self._ask(self._claim(self._keys(topic, key), [key, value, _ms(ttl_s)]))
        return cast("bytes | None", found)

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        done = await self._ask(self._replace(self._keys(topic, key), [key, value, _ms(ttl_s), expected]))
        return bool(done)

    @override
    async def remove(self, topic: str, key: str, expected: bytes | None = None) -> bool:
        values: list[str | bytes] = [key] if expected is None else [key, expected]
        return bool(await self._ask(self._remove(self._keys(topic, key), values)))

    @override
    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        asked = self._entries(self._keys(topic, ""), [*_range(prefix), limit])
        found = cast("list[bytes]", await self._ask(asked))
        return [(name.decode(), value) for name, value in zip(found[::2], found[1::2], strict=True)]

    @override
    async def clear(self, topic: str, prefix: str = "") -> int:
        cleared, names = 0, 1
        while names:
            asked = self._clear(self._keys(topic, ""), [*_range(prefix)])
            live, names = cast("Sequence[int]", await self._ask(asked))
            cleared += live
        return cleared

    @override
    async def tell(self, topic: str, message: bytes) -> None:
        await self._ask(self._tell([self._news(topic)], [message]))

    @override
    async def news(self, topic: str, cursor: int | None) -> News:
        stream = self._news(topic)
        if cursor is None:
            last = cast("_Told", await self._ask(self._client.xrevrange(stream, count=1)))
            return News(cursor=_cursor(last[0][0]) if last else 0, messages=())
        since = f"({cursor >> _SEQUENCE_BITS}-{cursor & (1 << _SEQUENCE_BITS) - 1}"
        told = cast("_Told", await self._ask(self._client.xrange(stream, min=since)))
        return News(cursor=_cursor(told[-1][0]) if told else cursor, messages=tuple(fields[b"m"] for _, fields in told))

    @override
    async def aclose(self) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._client.aclose()
                await self._pool.aclose()
        except (RedisError, OSError, TimeoutError):
            return  # it is gone already

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._limit_s):
                return await asked
        except TimeoutError as error:
            raise SharedError(f"Redis did not answer within {self._limit_s:g} s") from error
        except (RedisError, OSError) as error:
            raise SharedError(f"Redis: {str(error) or type(error).__name__}") from error

    def _keys(self, topic: str, key: str) -> list[str]:
        """Where the value of ``key`` lies, and the names of the topic by name and by end."""
        within = f"{self._namespace}:{{{topic}}}"
        return [f"{within}:value:{key}", f"{within}:names", f"{within}:ends"]

    def _news(self, topic: str) -> str:
        return f"{self._namespace}:{{{topic}}}:news"


_Told = list[tuple[bytes, dict[bytes, bytes]]]


def _cursor(id_: bytes) -> int:
    ms, _, number = id_.partition(b"-")
    return (int(ms) << _SEQUENCE_BITS) + int(number)


def _range(prefix: str) -> tuple[str, str]:
    """The names that begin with ``prefix``, as ZRANGEBYLEX wants it."""
    end = beyond(prefix)
    return f"[{prefix}" if prefix else "-", "+" if end is None else f"({end}"


def _ms(ttl_s: float) -> int:
    """Never shorter than it was meant; nothing for what is over already."""
    return math.ceil(ttl_s * 1000) if ttl_s > 0 else 0
