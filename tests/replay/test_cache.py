"""A cache gives an answer again to whom it may, and keeps only whole ones that went well."""

from __future__ import annotations

import time
from array import array
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from generated.config import CacheSettings, ExactCacheSettings, SemanticCacheSettings
from runtime.call import Call, Complete, Streaming
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.errors import UpstreamUnavailable
from runtime.replay.cache import Cache, prefix_of
from runtime.replay.exact import ExactCache
from runtime.replay.semantic import INDEX, SemanticCache
from runtime.replay.shelf import Shelf
from runtime.replay.vectors import nearness, unit
from runtime.shared import SharedError, SharedState
from runtime.shared.memory import MemoryState
from tests.replay.support import Model, body_of, make_call

PIECES = [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]
CONFIG = b"version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\naliases: {quick: sim/echo, 'fast-*': quick, 'any-*': 'sim/*'}\n"


class Words:
    """Vectors by hand: texts to places on a circle."""

    def __init__(self, places: dict[str, tuple[float, float]]) -> None:
        self.places = places
        self.asked = 0

    async def of(self, text: str, call: Call) -> array[float] | None:
        self.asked += 1
        place = self.places.get(text)
        return unit(list(place)) if place is not None else None


def quiet(error: Exception, request_id: str) -> None:
    del error, request_id


def cache(
    shared: SharedState | None = None, words: Words | None = None, build: str = "b1", *, exact: bool = True, **more: Any
) -> Cache:
    shared = shared or MemoryState(time.monotonic)
    compiled = compile_plan((Source(MAIN, CONFIG),), Catalog.shipped())
    assert compiled.plan is not None
    models, now = more.pop("models", ("m",)), more.pop("now", time.time)
    one = ExactCacheSettings(models=models, **more) if exact else None
    scope = more.get("scope", "key")
    near = SemanticCacheSettings(models=models, embedding="e", scope=scope) if words is not None else None
    plan = msgspec.structs.replace(compiled.plan, cache=CacheSettings(exact=one, semantic=near))
    limits = (one.max_entries, one.max_bytes) if one else (1000, 1 << 20)

    def shelf(topic: str, index: str | None = None) -> Shelf:
        return Shelf(topic, shared, *limits, 60, time.monotonic, quiet, index)

    meant = None
    if words is not None and near is not None:
        meant = SemanticCache(shelf("cache.semantic", INDEX), shared, words, near.threshold, now, quiet)
    return Cache(plan, build, ExactCache(shelf("cache.exact")) if one else None, meant, permits, now)


def permits(call: Call) -> bool:
    return call.key.id != "barred"


def said(reply: Complete | Streaming) -> str | None:
    return dict(reply.headers).get("x-omniroute-cache")


@pytest.mark.parametrize("pieces", [None, PIECES])
async def test_the_second_is_the_first_ones_bytes(pieces: list[bytes] | None) -> None:
    desk, model = cache(), Model(pieces=pieces)
    call = make_call(stream=pieces is not None)
    first = await desk.infer(call, model)
    bytes_ = await body_of(first)
    again = make_call(stream=pieces is not None)
    second = await desk.infer(again, model)

    assert ("MISS", "HIT") == (said(first), said(second))
    assert (bytes_, type(first)) == (await body_of(second), type(second))
    assert (1, "miss", "exact") == (model.asked, call.record.replay, again.record.replay)
    assert {"x-gatewright-served": "sim/m", "age": "0"}.items() <= dict(second.headers).items()
    assert desk.exact is not None
    stats = desk.exact.shelf.stats()
    assert (1, 1, 1, 0) == (stats.hits, stats.misses, stats.entries, stats.evictions)
    assert stats.bytes > len(bytes_)
    assert (1, 1) == (stats.models["m"].hits, stats.models["m"].misses)


async def test_two_keys_never_share_unless_the_operator_says_so() -> None:
    apart, together, model = cache(), cache(scope="all"), Model()
    for desk, asked in ((apart, 2), (together, 3)):
        for key in ("a", "b"):
            await desk.infer(make_call(key=key), model)
        assert asked == model.asked


@pytest.mark.parametrize("exact", [True, False])
async def test_who_may_not_have_an_answer_gets_none_and_is_told_by_the_model(exact: bool) -> None:
    desk, model = cache(words=Words({"hi": (1, 0)}), exact=exact, scope="all"), Model()
    await desk.infer(make_call(), model)
    reply = await desk.infer(make_call(key="barred"), model)
    assert (2, None) == (model.asked, said(reply))
    assert "HIT" == said(await desk.infer(make_call(key="other"), model))


async def test_another_build_shares_nothing() -> None:
    shared, model = MemoryState(time.monotonic), Model()
    for build in ("b1", "b2"):
        await cache(shared, build=build).infer(make_call(), model)
    assert 2 == model.asked


async def test_workers_share() -> None:
    shared, model = MemoryState(time.monotonic), Model()
    for _ in range(2):
        await cache(shared).infer(make_call(), model)
    assert 1 == model.asked


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"x-omniroute-no-cache": "true"}, 3),
        ({"cache-control": "no-store"}, 3),
        ({"cache-control": "max-age=0, no-cache"}, 2),
        ({"x-omniroute-no-cache": "false"}, 1),
        ({"x-omniroute-no-cache": "banana"}, 1),
        ({"x-omniroute-no-cache": ""}, 1),
        ({"x-omniroute-no-cache": " Yes "}, 3),
        ({"x-omniroute-no-cache": "1"}, 3),
    ],
)
async def test_a_client_may_refuse_the_cache(headers: dict[str, str], asked: int) -> None:
    desk, model = cache(), Model()
    if asked == 1:
        await desk.infer(make_call(), model)
    for _ in range(2 if asked > 1 else 1):
        assert ("MISS" if asked > 1 else "HIT") == said(await desk.infer(make_call(headers=headers), model))
    await desk.infer(make_call(), model)
    assert asked == model.asked


async def test_only_the_models_that_are_named_are_cached_and_aliases_of_them() -> None:
    desk, model = cache(models=("sim/*",)), Model()
    names = ("sim/echo", "quick", "fast-1", "any-echo")
    for name, expected in (("m", None), ("nobody", None), *((name, "MISS") for name in names)):
        reply = await desk.infer(make_call({"model": name, "messages": [], "temperature": 0}), model)
        assert expected == said(reply), name


async def test_a_request_that_cannot_be_cached_misses() -> None:
    desk, model = cache(), Model()
    for _ in range(2):
        assert "MISS" == said(await desk.infer(make_call({"model": "m", "messages": []}), model))
    assert 2 == model.asked


async def test_errors_and_cut_and_abandoned_streams_are_not_kept() -> None:
    desk, model = cache(), Model()
    model.error = UpstreamUnavailable("down")
    with pytest.raises(UpstreamUnavailable):
        await desk.infer(make_call(), model)
    model.error = None
    assert "MISS" == said(await desk.infer(make_call(), model))

    model = Model(pieces=PIECES)
    model.cut = True
    await body_of(await desk.infer(make_call(stream=True), model))
    model.cut = False
    left = await desk.infer(make_call(stream=True), model)
    assert isinstance(left, Streaming)
    await anext(left.chunks)
    await left.chunks.aclose()
    assert 1 == model.cancelled
    unread = await desk.infer(make_call(stream=True), model)
    assert isinstance(unread, Streaming)
    await unread.chunks.aclose()
    assert 2 == model.cancelled
    assert "MISS" == said(await desk.infer(make_call(stream=True), model))


@pytest.mark.parametrize("pieces", [None, [b"x" * 700, b"y" * 700]])
async def test_too_long_an_answer_is_given_and_not_kept(pieces: list[bytes] | None) -> None:
    desk, model = cache(max_answer_bytes=1024), Model(b"x" * 1025, pieces)
    streamed = pieces is not None
    for _ in range(2):
        reply = await desk.infer(make_call(stream=streamed), model)
        assert (b"".join(pieces) if pieces else model.body) == await body_of(reply)
    assert 2 == model.asked


async def test_beyond_the_limit_what_was_not_asked_for_longest_goes() -> None:
    desk, model = cache(max_entries=2), Model()

    async def ask(text: str) -> str | None:
        return said(await desk.infer(make_call({"model": "m", "messages": [text], "temperature": 0}), model))

    assert ["MISS", "MISS", "HIT", "MISS", "HIT", "MISS"] == [await ask(text) for text in "abacab"]
    assert desk.exact is not None
    stats = desk.exact.shelf.stats()
    assert (2, 2) == (stats.entries, stats.evictions)


async def test_the_bytes_of_all_are_bounded() -> None:
    shared = MemoryState(time.monotonic)
    shelf = Shelf("t", shared, 1000, 4000, 60, time.monotonic, quiet)
    desk = cache(shared)
    desk.exact = ExactCache(shelf)
    model = Model(b"x" * 900)
    for number in range(10):
        await desk.infer(make_call({"model": "m", "messages": [number], "temperature": 0}), model)
    assert shelf.stats().bytes <= 4000
    assert shelf.stats().entries == len(await shared.entries("t")) == 4


async def test_clearing_one_model_leaves_the_others() -> None:
    desk, model = cache(models=("*",)), Model()
    assert desk.exact is not None
    for name in ("m", "n"):
        await desk.infer(make_call({"model": name, "messages": [], "temperature": 0}), model)
    assert 1 == await desk.exact.shelf.clear(prefix_of("m"))
    assert [1, "MISS", "HIT"] == [desk.exact.shelf.stats().entries] + [
        said(await desk.infer(make_call({"model": name, "messages": [], "temperature": 0}), model))
        for name in ("m", "n")
    ]


class Broken(MemoryState):
    @override
    async def get(self, topic: str, key: str) -> bytes | None:
        raise SharedError("away")

    @override
    async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        raise SharedError("away")

    @override
    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        raise SharedError("away")


async def test_where_the_shared_state_is_away_everything_misses() -> None:
    desk, model = cache(Broken(time.monotonic), Words({"hi": (1, 0)})), Model()
    for _ in range(2):
        assert "MISS" == said(await desk.infer(make_call(), model))


# -- semantic

PLACES = {
    "how do I reset it": (1.0, 0.0),
    "how can I reset it": (1.0, 0.1),
    "how do I delete it": (1.0, 1.0),
    "how do I reset 2": (1.0, 0.0),
    "how do I not reset it": (1.0, 0.0),
}


def question(text: str, **more: Any) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0}
    return make_call(body | more.pop("body", {}), **more)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("pieces", [None, PIECES])
async def test_a_question_that_means_the_same_gets_the_answer(exact: bool, pieces: list[bytes] | None) -> None:
    desk, model = cache(words=Words(PLACES), exact=exact), Model(pieces=pieces)
    streamed = pieces is not None
    whole = await body_of(await desk.infer(question("how do I reset it", stream=streamed), model))
    call = question("how can I reset it", stream=streamed)
    reply = await desk.infer(call, model)
    assert ("HIT", "semantic", 1) == (said(reply), call.record.replay, model.asked)
    assert whole == await body_of(reply)
    assert "0.9950" == dict(reply.headers)["x-gatewright-similarity"]


@pytest.mark.parametrize(
    "other",
    [
        question("how do I delete it"),
        question("how do I reset 2"),
        question("how do I not reset it"),
        question("nobody knows"),
        question("how can I reset it", key="other"),
        question("how can I reset it", body={"max_tokens": 3}),
        question("how can I reset it", body={"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "how can I reset it"}]}),
        question("how can I reset it", stream=True),
    ],
    ids=["far", "number", "denial", "no vector", "key", "parameter", "system", "stream"],
)  # fmt: skip
async def test_anything_else_is_asked(other: Call) -> None:
    desk, model = cache(words=Words(PLACES)), Model()
    await desk.infer(question("how do I reset it"), model)
    assert "MISS" == said(await desk.infer(other, model))
    assert 2 == model.asked


async def test_an_exact_hit_needs_no_vector() -> None:
    words = Words(PLACES)
    desk, model = cache(words=words), Model()
    for _ in range(3):
        await desk.infer(question("how do I reset it"), model)
    assert (1, 1) == (words.asked, model.asked)


async def test_questions_of_one_moment_keep_their_own_answers() -> None:
    """Two workers are at it, and what one of them keeps comes between what the other does."""

    class Between(MemoryState):
        @override
        async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
            if topic == INDEX and other.asked == 0:
                await desk.infer(question("how do I delete it"), other)
            await super().put(topic, key, value, ttl_s)

    one, other = Model(b"it is reset so"), Model(b"it is deleted so")
    desk = cache(Between(time.monotonic), Words(PLACES), exact=False, now=lambda: 1_000_000.0)
    await desk.infer(question("how do I reset it"), one)
    reply = await desk.infer(question("how can I reset it"), one)

    assert ("HIT", b"it is reset so") == (said(reply), await body_of(reply))
    assert b"it is deleted so" == await body_of(await desk.infer(question("how do I delete it"), one))


async def test_what_goes_takes_its_vector_along_and_both_are_counted() -> None:
    shared, model = MemoryState(time.monotonic), Model()
    desk = cache(shared, Words(PLACES), exact=False)
    assert desk.semantic is not None
    shelf = desk.semantic.shelf
    shelf.configure(2, 1 << 20, 60)
    for text in PLACES:
        await desk.infer(question(text), model)
    kept, found = await shared.entries("cache.semantic"), await shared.entries(INDEX)

    assert (2, 2) == (shelf.stats().entries, shelf.stats().evictions)
    assert [key for key, _ in kept] == [key for key, _ in found]
    assert sum(len(value) for _, value in kept + found) == shelf.stats().bytes


async def test_who_does_not_ask_the_cache_renews_what_it_says() -> None:
    desk, now = cache(words=Words(PLACES), exact=False, now=lambda: next(moments)), 1_000_000.0
    moments = iter(now + number for number in range(20))
    await desk.infer(question("how do I reset it"), Model(b"so"))
    renewing = question("how do I reset it", headers={"cache-control": "no-cache"})
    assert "MISS" == said(await desk.infer(renewing, Model(b"now so")))
    reply = await desk.infer(question("how can I reset it"), Model())

    assert ("HIT", b"now so") == (said(reply), await body_of(reply))


async def test_what_is_cleared_is_not_found_by_its_meaning() -> None:
    desk, model = cache(words=Words(PLACES), exact=False), Model()
    await desk.infer(question("how do I reset it"), model)
    assert desk.semantic is not None
    assert 1 == await desk.semantic.clear(prefix_of("m"))
    await desk.infer(question("how can I reset it"), model)
    assert 2 == model.asked


def test_a_vector_without_direction_or_of_another_length_is_near_to_nothing() -> None:
    assert unit([0.0, 0.0]) is None
    assert unit([float("inf"), 1.0]) is None
    one, other = unit([1.0, 0.0]), unit([1.0, 0.0, 0.0])
    assert one is not None
    assert other is not None
    assert (1.0, -1.0) == (nearness(one, one), nearness(one, other))
