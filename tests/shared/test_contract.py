"""What every shared state does, run over each of them; then any sequence of questions, compared with a dictionary."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from runtime.shared import SharedState
from tests.support.examples import few
from tests.support.redis_server import RedisServer
from tests.support.shared import BACKENDS, Backend, backend

T = TypeVar("T")

BYTES = bytes(range(256))


@pytest.fixture
def state(place: Backend) -> SharedState:
    return place.handle()


@pytest.fixture
def other(place: Backend) -> SharedState:
    """The same, as another worker has it."""
    return place.handle()


async def test_what_one_puts_another_gets(state: SharedState, other: SharedState) -> None:
    await state.put("sessions", "a", BYTES, 10.0)

    assert BYTES == await other.get("sessions", "a")
    assert await other.get("sessions", "b") is None
    assert await other.get("answers", "a") is None


async def test_an_empty_value_is_a_value(state: SharedState) -> None:
    await state.put("sessions", "a", b"", 10.0)

    assert b"" == await state.get("sessions", "a")
    assert b"" == await state.claim("sessions", "a", b"x", 10.0)
    assert [("a", b"")] == await state.entries("sessions")


async def test_a_value_is_there_until_its_time_is_over(place: Backend, state: SharedState) -> None:
    await state.put("sessions", "short", b"1", 10.0)
    await state.put("sessions", "long", b"2", 100.0)
    await place.later(9.0)
    assert b"1" == await state.get("sessions", "short")

    await place.later(2.0)
    assert await state.get("sessions", "short") is None
    assert [("long", b"2")] == await state.entries("sessions")
    assert await state.replace("sessions", "short", b"1", b"3", 10.0) is False
    assert await state.remove("sessions", "short") is False
    assert await state.clear("sessions") == 1


async def test_a_later_put_wins_and_its_time_counts(place: Backend, state: SharedState, other: SharedState) -> None:
    await state.put("sessions", "a", b"1", 5.0)
    await other.put("sessions", "a", b"2", 50.0)
    await place.later(10.0)

    assert b"2" == await state.get("sessions", "a")


async def test_a_value_for_no_time_is_none(state: SharedState) -> None:
    await state.put("sessions", "a", b"1", 5.0)
    await state.put("sessions", "a", b"2", 0.0)
    assert await state.claim("sessions", "b", b"2", -1.0) is None

    assert [] == await state.entries("sessions")


async def test_one_of_all_that_claim_gets_it(place: Backend) -> None:
    handles = [place.handle() for _ in range(4)]
    claims = [each.claim("work", "a", b"%d" % number, 10.0) for number, each in enumerate(handles * 8)]
    found = await asyncio.gather(*claims)

    winner = found.index(None)
    assert [b"%d" % winner] * (len(found) - 1) == [each for each in found if each is not None]
    assert b"%d" % winner == await handles[0].get("work", "a")


async def test_what_is_over_can_be_claimed_again(place: Backend, state: SharedState, other: SharedState) -> None:
    assert await state.claim("work", "a", b"1", 10.0) is None
    assert b"1" == await other.claim("work", "a", b"2", 10.0)
    await place.later(11.0)

    assert await other.claim("work", "a", b"2", 10.0) is None
    assert b"2" == await state.get("work", "a")


async def test_one_of_all_that_replace_replaces(place: Backend) -> None:
    handles = [place.handle() for _ in range(4)]
    await handles[0].put("work", "a", b"old", 10.0)
    done = await asyncio.gather(
        *(each.replace("work", "a", b"old", b"%d" % number, 10.0) for number, each in enumerate(handles * 4))
    )

    assert [True] == [each for each in done if each]
    assert b"%d" % done.index(True) == await handles[1].get("work", "a")


async def test_replacing_what_is_not_there_sets_nothing(state: SharedState) -> None:
    assert await state.replace("work", "a", b"", b"new", 10.0) is False
    assert await state.get("work", "a") is None


async def test_only_what_is_expected_is_removed(state: SharedState) -> None:
    await state.put("work", "a", b"1", 10.0)

    assert await state.remove("work", "a", b"2") is False
    assert await state.remove("work", "a", b"1") is True
    assert await state.remove("work", "a") is False
    assert [] == await state.entries("work")


async def test_entries_are_in_the_order_of_their_keys_and_as_many_as_asked_for(state: SharedState) -> None:
    names = ["a", "a/1", "a/10", "a/2", "a0", "aé", "a\U0010ffff", "b", "ä"]
    for name in reversed(names):
        await state.put("work", name, name.encode(), 10.0)

    assert [(name, name.encode()) for name in names] == await state.entries("work")
    assert ["a/1", "a/10", "a/2"] == [key for key, _ in await state.entries("work", "a/")]
    assert ["a\U0010ffff"] == [key for key, _ in await state.entries("work", "a\U0010ffff")]
    assert ["a", "a/1"] == [key for key, _ in await state.entries("work", "a", limit=2)]
    assert [] == await state.entries("work", "a/3")
    assert [] == await state.entries("other")


async def test_more_entries_than_one_batch_are_listed_and_cleared(state: SharedState) -> None:
    names = [f"k{number:04}" for number in range(1200)]
    for name in names:
        await state.put("work", name, b"", 10.0)
    await state.put("work", "other", b"", 10.0)

    assert names == [key for key, _ in await state.entries("work", "k", limit=5000)]
    assert await state.clear("work", "k") == 1200
    assert [("other", b"")] == await state.entries("work")


async def test_clearing_leaves_other_topics_and_keys(state: SharedState) -> None:
    for topic, key in (("one", "a/1"), ("one", "a/2"), ("one", "b"), ("two", "a/1")):
        await state.put(topic, key, b"", 10.0)

    assert await state.clear("one", "a/") == 2
    assert [("b", b"")] == await state.entries("one")
    assert [("a/1", b"")] == await state.entries("two")


async def test_everybody_hears_what_is_told_from_where_they_began(state: SharedState, other: SharedState) -> None:
    await state.tell("health", b"before")
    here, there = await state.news("health", None), await other.news("health", None)
    assert () == here.messages + there.messages
    await state.tell("health", b"1")
    await other.tell("work", b"elsewhere")
    await other.tell("health", BYTES)

    for handle, began in ((state, here), (other, there)):
        heard = await handle.news("health", began.cursor)
        assert (b"1", BYTES) == heard.messages
        again = await handle.news("health", heard.cursor)
        assert () == again.messages
    await state.tell("health", b"2")
    assert (b"2",) == (await other.news("health", again.cursor)).messages


async def test_a_topic_of_which_nobody_spoke_can_be_listened_to(state: SharedState, other: SharedState) -> None:
    began = await other.news("health", None)
    assert () == (await other.news("health", began.cursor)).messages
    await state.tell("health", b"1")

    assert (b"1",) == (await other.news("health", began.cursor)).messages


async def test_news_are_kept_for_a_minute(place: Backend, state: SharedState, other: SharedState) -> None:
    began = await other.news("health", None)
    await state.tell("health", b"1")
    await place.later(59.0)
    await state.tell("health", b"2")

    assert (b"1", b"2") == (await other.news("health", began.cursor)).messages


async def test_many_that_tell_are_all_heard_once_and_in_one_order(place: Backend) -> None:
    handles = [place.handle() for _ in range(3)]
    began = [await each.news("health", None) for each in handles]
    told = [b"%d" % number for number in range(60)]
    await asyncio.gather(*(handles[number % 3].tell("health", message) for number, message in enumerate(told)))

    heard = [(await each.news("health", at.cursor)).messages for each, at in zip(handles, began, strict=True)]
    assert sorted(told) == sorted(heard[0])
    assert heard[0] == heard[1] == heard[2]


KEYS = st.sampled_from(["", "a", "ab", "a/b", "b", "é", "\U0010ffff"]) | st.text(max_size=3)
VALUES = st.sampled_from([b"", b"x", b"y"]) | st.binary(max_size=4)
TTLS = st.sampled_from([0.0, 5.0, 20.0, 100.0])


class Machine(RuleBasedStateMachine):
    """``model`` holds value and end by topic and key; two handles ask in turn."""

    kind = ""
    url = ""

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.place = backend(self.kind, Path(self.directory.name), self.url)
        self.handles = [self.place.handle(), self.place.handle()]
        self.model: dict[tuple[str, str], tuple[bytes, float]] = {}
        self.told: list[bytes] = []
        self.cursors = [self.run(each.news("t", None)).cursor for each in self.handles]
        self.heard: list[list[bytes]] = [[], []]

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.handles[0].clear("t"))
            self.run(self.handles[0].clear("u"))
            self.run(self.place.aclose())
            self.runner.close()
            self.directory.cleanup()

    def run(self, asked: Coroutine[object, object, T]) -> T:
        return self.runner.run(asked)

    def live(self, topic: str, key: str) -> bytes | None:
        value, until_s = self.model.get((topic, key), (b"", 0.0))
        return value if until_s > self.place.clock.at_s else None

    def set(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        self.model[topic, key] = (value, self.place.clock.at_s + ttl_s)

    who = st.sampled_from([0, 1])
    topics = st.sampled_from(["t", "u"])

    @rule(who=who, topic=topics, key=KEYS, value=VALUES, ttl_s=TTLS)
    def put(self, who: int, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        self.run(self.handles[who].put(topic, key, value, ttl_s))
        self.set(topic, key, value, ttl_s)

    @rule(who=who, topic=topics, key=KEYS)
    def get(self, who: int, topic: str, key: str) -> None:
        assert self.live(topic, key) == self.run(self.handles[who].get(topic, key))

    @rule(who=who, topic=topics, key=KEYS, value=VALUES, ttl_s=TTLS)
    def claim(self, who: int, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        found = self.live(topic, key)
        assert found == self.run(self.handles[who].claim(topic, key, value, ttl_s))
        if found is None:
            self.set(topic, key, value, ttl_s)

    @rule(who=who, topic=topics, key=KEYS, expected=VALUES, value=VALUES, ttl_s=TTLS)
    def replace(self, who: int, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> None:
        there = self.live(topic, key) == expected
        assert there == self.run(self.handles[who].replace(topic, key, expected, value, ttl_s))
        if there:
            self.set(topic, key, value, ttl_s)

    @rule(who=who, topic=topics, key=KEYS, expected=st.none() | VALUES)
    def remove(self, who: int, topic: str, key: str, expected: bytes | None) -> None:
        found = self.live(topic, key)
        there = found is not None and expected in (None, found)
        assert there == self.run(self.handles[who].remove(topic, key, expected))
        if there:
            del self.model[topic, key]

    def within(self, topic: str, prefix: str) -> list[tuple[str, bytes]]:
        live = ((key, self.live(at, key)) for at, key in self.model if at == topic and key.startswith(prefix))
        return sorted((key, value) for key, value in live if value is not None)

    @rule(who=who, topic=topics, prefix=KEYS, limit=st.integers(1, 5))
    def entries(self, who: int, topic: str, prefix: str, limit: int) -> None:
        assert self.within(topic, prefix)[:limit] == self.run(self.handles[who].entries(topic, prefix, limit))

    @rule(who=who, topic=topics, prefix=KEYS)
    def clear(self, who: int, topic: str, prefix: str) -> None:
        found = self.within(topic, prefix)
        assert len(found) == self.run(self.handles[who].clear(topic, prefix))
        for key, _ in found:
            del self.model[topic, key]

    @rule(seconds=st.sampled_from([1.0, 10.0, 50.0]))
    def later(self, seconds: float) -> None:
        for who in (0, 1):
            self.listen(who)  # news do not wait for ever
        self.run(self.place.later(seconds))

    @rule(who=who, message=VALUES)
    def tell(self, who: int, message: bytes) -> None:
        self.run(self.handles[who].tell("t", message))
        self.told.append(message)

    @rule(who=who)
    def hear(self, who: int) -> None:
        self.listen(who)

    def listen(self, who: int) -> None:
        news = self.run(self.handles[who].news("t", self.cursors[who]))
        assert news.cursor >= self.cursors[who]
        self.cursors[who] = news.cursor
        self.heard[who] += news.messages

    @invariant()
    def nobody_hears_what_was_not_told(self) -> None:
        for heard in getattr(self, "heard", ()):
            assert self.told[: len(heard)] == heard


@pytest.mark.parametrize("kind", BACKENDS)
def test_any_sequence_of_questions_is_answered_like_by_a_dictionary(kind: str, request: pytest.FixtureRequest) -> None:
    redis_at: RedisServer | None = request.getfixturevalue("redis_at") if kind == "redis" else None

    class Kind(Machine):
        pass

    Kind.kind = kind
    Kind.url = redis_at.url if redis_at is not None else ""
    run_state_machine_as_test(
        Kind,
        settings=settings(few(), stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow], deadline=None),
    )
