"""A state that is gone holds nobody up, is said once, and is used again when it is back."""

from __future__ import annotations

import asyncio

import pytest

from runtime.shared import SharedError
from runtime.shared.memory import MemoryState
from runtime.shared.redis import RedisState
from runtime.shared.watched import WatchedState
from tests.support.raw_server import RawConnection, raw_server
from tests.support.redis_server import RedisServer
from tests.support.shared import Clock


class Failing(MemoryState):
    """Fails, or is silent, when told to."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.fails = self.silent = False
        self.asked = 0

    async def get(self, topic: str, key: str) -> bytes | None:
        self.asked += 1
        if self.silent:
            await asyncio.sleep(60)
        if self.fails:
            raise SharedError("gone")
        return await super().get(topic, key)


class Watched:
    def __init__(self, limit_s: float = 5.0) -> None:
        self.clock = Clock()
        self.inner = Failing(self.clock)
        self.said: list[str | None] = []
        self.failed: list[str] = []
        self.state = WatchedState(self.inner, limit_s, self.clock, self.said.append, self.failed.append)


async def test_it_is_said_once_that_it_is_gone_and_once_that_it_is_back() -> None:
    it = Watched()
    it.inner.fails = True
    for _ in range(5):
        with pytest.raises(SharedError, match="gone"):
            await it.state.get("sessions", "a")
    assert "gone" == it.state.trouble
    it.inner.fails = False
    it.clock.at_s += 10.0
    for _ in range(3):
        assert await it.state.get("sessions", "a") is None

    assert ["gone", None] == it.said
    assert ["sessions"] * 5 == it.failed
    assert it.state.trouble is None


async def test_while_it_is_gone_it_is_asked_once_a_second() -> None:
    it = Watched(limit_s=0.5)
    it.inner.fails = True
    for _ in range(41):
        with pytest.raises(SharedError):
            await it.state.get("sessions", "a")
        it.clock.at_s += 0.125

    assert 6 == it.inner.asked  # 5 seconds


async def test_silence_is_a_failure_and_while_one_tries_the_others_do_not_wait() -> None:
    it = Watched(limit_s=0.01)
    it.inner.silent = True
    with pytest.raises(SharedError, match=r"no answer within 0\.01 s"):
        await it.state.get("sessions", "a")
    it.clock.at_s += 2.0
    answers = await asyncio.gather(*(it.state.get("sessions", "a") for _ in range(10)), return_exceptions=True)

    assert [SharedError] * 10 == [type(each) for each in answers]
    assert 2 == it.inner.asked


async def test_all_questions_reach_the_state_that_is_watched() -> None:
    state = Watched().state
    began = await state.news("t", None)
    await state.put("t", "a", b"1", 5.0)
    assert b"1" == await state.claim("t", "a", b"2", 5.0)
    assert await state.replace("t", "a", b"1", b"2", 5.0)
    assert [("a", b"2")] == await state.entries("t", "a", 5)
    assert await state.remove("t", "a", b"2")
    assert 0 == await state.clear("t")
    await state.tell("t", b"news")
    assert (b"news",) == (await state.news("t", began.cursor)).messages
    await state.aclose()


async def test_a_redis_that_goes_and_comes_back_is_used_again(redis_at: RedisServer) -> None:
    state = RedisState(redis_at.url, "back", 5.0)
    began = (await state.news("t", None)).cursor
    await state.put("t", "a", b"1", 60.0)
    await state.tell("t", b"1")
    began = (await state.news("t", began)).cursor
    redis_at.stop()
    try:
        with pytest.raises(SharedError, match="Redis: "):
            await state.get("t", "a")
    finally:
        redis_at.start()

    assert await state.claim("t", "a", b"2", 60.0) is None
    await state.tell("t", b"2")
    assert (b"2",) == (await state.news("t", began)).messages
    await state.aclose()


async def test_a_redis_that_is_silent_is_given_up_in_time() -> None:
    async def silent(connection: RawConnection) -> None:
        await connection.gone()

    async with raw_server(silent) as server:
        state = RedisState(server.url.replace("http", "redis"), "silent", 0.05)
        async with asyncio.timeout(20):
            with pytest.raises(SharedError, match=r"did not answer within|Timeout"):
                await state.put("t", "a", b"1", 60.0)
        await state.aclose()


async def test_a_refused_password_is_not_in_what_is_said(redis_at: RedisServer) -> None:
    state = RedisState(redis_at.url.replace("//", "//someone:unguessable@"), "wrong", 5.0)
    with pytest.raises(SharedError) as raised:
        await state.get("t", "a")

    assert "unguessable" not in str(raised.value)
    assert "WRONGPASS" in str(raised.value) or "password" in str(raised.value).lower()
    await state.aclose()
