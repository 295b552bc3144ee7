"""Sessions: one key's are not another's, two workers know the same, none of it waits for state that is away."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from generated.config import SessionSettings
from runtime.sessions import Bound, Sessions
from runtime.shared import SharedError, SharedState
from runtime.shared.memory import MemoryState
from tests.support.routing import Time


class Counting(MemoryState):
    """Counts what it is asked, and can be away."""

    def __init__(self, time: Time) -> None:
        super().__init__(time.clock)
        self.asked: list[str] = []
        self.away = False

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise SharedError("away")

    @override
    async def get(self, topic: str, key: str) -> bytes | None:
        self._note("get")
        return await super().get(topic, key)

    @override
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        self._note("claim")
        return await super().claim(topic, key, value, ttl_s)

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        self._note("replace")
        return await super().replace(topic, key, expected, value, ttl_s)


def book(shared: SharedState, time: Time, **settings: Any) -> Sessions:
    return Sessions(shared, SessionSettings(**settings), time.clock)


async def connection(sessions: Sessions, key: str = "k", id_: str = "s") -> str | None:
    found = await sessions.find(key, id_)
    return None if found is None else found.connections.get("p")


async def test_a_session_is_its_keys_own() -> None:
    time = Time()
    sessions = book(MemoryState(time.clock), time)
    await sessions.served("k", "s", Bound("p", None, "p/a"))

    assert "p/a" == await connection(sessions)
    assert await connection(sessions, key="other") is None
    assert await connection(sessions, id_="other") is None
    assert ["s"] == [each.id for each in await sessions.entries("k")]
    assert [] == await sessions.entries("other")
    assert await sessions.forget("k", "s")
    assert await connection(sessions) is None


async def test_two_workers_know_the_same_and_hear_of_a_move_soon() -> None:
    time = Time()
    shared = Counting(time)
    one, two = book(shared, time), book(shared, time)
    await one.served("k", "s", Bound("p", None, "p/a"))
    assert "p/a" == await connection(two)
    await one.served("k", "s", Bound("p", "p/a", "p/b"))
    time.now_s += 2

    assert "p/b" == await connection(two)


async def test_a_session_that_two_workers_begin_at_once_is_where_the_first_put_it() -> None:
    time = Time()
    shared = MemoryState(time.clock)
    one, two = book(shared, time), book(shared, time)
    await one.served("k", "s", Bound("p", None, "p/a"), Bound("m", None, "p/m"))
    await two.served("k", "s", Bound("p", None, "p/b"))

    for each in (one, two):
        found = await each.find("k", "s")
        assert found is not None
        assert ({"p": "p/a"}, {"m": "p/m"}, 2) == (found.connections, found.targets, (await one.entries())[0].requests)


async def test_a_busy_session_does_not_ask_the_shared_state_each_time() -> None:
    time = Time()
    shared = Counting(time)
    sessions = book(shared, time)
    await sessions.served("k", "s", Bound("p", None, "p/a"))
    shared.asked.clear()
    for _ in range(100):
        assert "p/a" == await connection(sessions)
        await sessions.served("k", "s")
    assert [] == shared.asked
    time.now_s += 61
    await sessions.find("k", "s")
    await sessions.served("k", "s")

    assert ["get", "replace"] == shared.asked
    assert [102] == [each.requests for each in await sessions.entries()]


async def test_a_session_ends_with_its_time_and_lives_on_with_its_use() -> None:
    time = Time()
    sessions = book(MemoryState(time.clock), time, ttl_ms=100_000)
    await sessions.served("k", "s", Bound("p", None, "p/a"))
    for _ in range(5):
        time.now_s += 60
        assert "p/a" == await connection(sessions)
        await sessions.served("k", "s")
    time.now_s += 101

    assert await connection(sessions) is None
    assert [] == await sessions.entries()


async def test_without_the_shared_state_a_worker_goes_by_what_it_has_in_mind() -> None:
    time = Time()
    shared = Counting(time)
    sessions = book(shared, time)
    await sessions.served("k", "s", Bound("p", None, "p/a"))
    shared.away = True
    time.now_s += 5
    assert "p/a" == await connection(sessions)
    await sessions.served("k", "s", Bound("p", "p/a", "p/b"))
    assert "p/b" == await connection(sessions)
    await sessions.served("k", "new", Bound("p", None, "p/c"))
    assert "p/c" == await connection(sessions, id_="new")

    shared.away = False
    time.now_s += 61
    await sessions.served("k", "new", Bound("p", "p/c", "p/d"))
    assert "p/d" == await connection(book(shared, time), id_="new")


async def test_a_worker_has_no_more_in_mind_than_it_may() -> None:
    time = Time()
    shared = Counting(time)
    sessions = book(shared, time, limit=2)
    for number in range(3):
        await sessions.served("k", f"s{number}", Bound("p", None, "p/a"))
    shared.asked.clear()
    await sessions.find("k", "s2")
    await sessions.find("k", "s0")

    assert ["get"] == shared.asked


@given(steps=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=80))
def test_a_session_is_bound_to_a_bounded_number_of_things(steps: list[tuple[int, int]]) -> None:
    bound: dict[str, str] = {}
    for at, now in steps:
        bound = Bound(str(at), bound.get(str(at)), str(now)).within(bound, 8)
        assert str(now) == bound[str(at)]

    assert len(bound) <= 8


async def test_what_another_release_wrote_is_no_session() -> None:
    time = Time()
    shared = MemoryState(time.clock)
    sessions = book(shared, time)
    await sessions.served("k", "s", Bound("p", None, "p/a"))
    for key, _ in await shared.entries("sessions"):
        await shared.put("sessions", key, b"\xc1", 60)
    time.now_s += 5

    assert await connection(sessions) is None
    await sessions.served("k", "s", Bound("p", None, "p/b"))
    assert "p/b" == await connection(sessions)
