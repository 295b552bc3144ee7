"""Whatever way an answer takes through the pipeline, over real sockets: when it is settled, and at what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.accounting.frames import Frame, Opened, scan
from runtime.accounting.journal import journal_files
from runtime.gateway import EmbedCall
from runtime.protocols import embedder
from runtime.protocols.base import Asked
from runtime.stores.database import Database, database_url
from runtime.stores.entries import Settlement
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord
from tests.routing.test_attempts import several
from tests.routing.test_faults import LIMITS, after, healthy, reset, silence
from tests.routing.test_rescue import frames
from tests.support.accounting import Books
from tests.support.dialect import DIALECT
from tests.support.pipeline import Act, Pipeline, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, answer, chunk, chunked, head, raw_server

PRICED = "models: {m: {prices: {input: 3, output: 15}}}"
"""In nano-dollars: 3,000 for a token sent, 15,000 for one answered."""


def journal(books: Books) -> list[Frame]:
    return [frame for path in journal_files(books.journal.directory) for frame in scan(path.read_bytes()).frames]


def settlements(books: Books) -> list[Settlement]:
    return [frame for frame in journal(books) if isinstance(frame, Settlement)]


def keep_books(made: Pipeline, books: Books) -> None:
    """Every call is of the key ``k`` and in the ledger."""
    made.recorder._book = books.ledger
    begin = made.recorder.begin

    def begun(*args: str) -> CallRecord:
        record = begin(*args)
        record.key = "k"
        return record

    made.recorder.begin = begun  # type: ignore[method-assign]


@asynccontextmanager
async def kept(tmp_path: Path, scripts: Mapping[str, Act], config: str) -> AsyncGenerator[tuple[Pipeline, Books], None]:
    """A pipeline with a ledger, and a priced model ``m`` at each of ``scripts``."""
    books = Books(tmp_path, Database(database_url(None, tmp_path)))
    async with several(config, scripts, dict.fromkeys(scripts, PRICED)) as (made, _):
        keep_books(made, books)
        yield made, books


def rows(books: Books) -> list[tuple[str, str, bool]]:
    """Target, outcome and whether it is an estimate, of the attempts of the only call."""
    (only,) = settlements(books)
    assert only.cost_nano_usd == sum(each.cost_nano_usd for each in only.attempts)
    return [(each.target, each.outcome, each.estimated) for each in only.attempts]


PLAIN_NANO_USD = 31 * 3_000 + 14 * 15_000


@pytest.mark.parametrize("stream", [False, True])
async def test_who_lost_a_race_is_paid_for_what_it_was_sent(tmp_path: Path, stream: bool) -> None:
    config = "combos: {smart: {targets: [a/m, b/m], hedge: {after: 30ms}}}"
    async with kept(tmp_path, {"a": silence, "b": healthy}, config) as (made, books):
        await made.call(stream=stream)

        loser, winner = settlements(books)[0].attempts
        assert [("a/m", "cancelled", True), ("b/m", "ok", False)] == rows(books)
        assert loser.cost_nano_usd == loser.counts[0] * 3_000 > 0
        assert PLAIN_NANO_USD == winner.cost_nano_usd


async def test_who_was_silent_is_paid_for_what_it_was_sent(tmp_path: Path) -> None:
    config = f"combos: {{smart: {{targets: [a/m, b/m]}}}}\n{LIMITS}"
    async with kept(tmp_path, {"a": silence, "b": healthy}, config) as (made, books):
        await made.call()

        assert [("a/m", "timeout", True), ("b/m", "ok", False)] == rows(books)


async def test_who_was_not_reached_is_paid_nothing(tmp_path: Path) -> None:
    config = "combos: {smart: {targets: [a/m, b/m]}}\nretries: {per_target: 0}"
    async with kept(tmp_path, {"a": reset, "b": healthy}, config) as (made, books):
        await made.call()

        assert [("a/m", "unavailable", False), ("b/m", "ok", False)] == rows(books)
        assert [0, PLAIN_NANO_USD] == [each.cost_nano_usd for each in settlements(books)[0].attempts]


async def test_of_a_rescued_answer_both_parts_are_paid(tmp_path: Path) -> None:
    config = f"combos: {{smart: {{targets: [a/m, b/m], rescue: splice}}}}\n{LIMITS}"
    async with kept(tmp_path, {"a": after(3, reset), "b": healthy}, config) as (made, books):
        said = await made.call(stream=True)

        assert 1 == said.record.rescues == settlements(books)[0].rescues
        assert [("a/m", "unavailable", True), ("b/m", "ok", False)] == rows(books)
        assert all(each.cost_nano_usd > 0 for each in settlements(books)[0].attempts)


async def test_an_answer_without_usage_is_estimated_from_its_text(tmp_path: Path) -> None:
    body = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Paris is the capital of France."},"finish_reason":"stop"}]}'

    async def silent_about_usage(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(answer(body, "content-type: application/json"))

    async with kept(tmp_path, {"a": silent_about_usage}, "aliases: {smart: a/m}") as (made, books):
        await made.call()

        (entry,) = settlements(books)[0].attempts
        assert (True, 7) == (entry.estimated, entry.counts[1])
        assert entry.counts[0] > 0


async def paid_vectors(
    root: Path, answered: bytes, asked: object, *, upstream: str, client: str = "openai_embeddings", variant: str = ""
) -> Settlement:
    """What it comes to that a provider ``answered`` what a client ``asked``; a token sent costs 3,000 nano-dollars."""

    async def vectors(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(answer(answered, "content-type: application/json"))

    books = Books(root, Database(database_url(None, root)))
    model = "models: {m: {endpoint: embeddings, prices: {input: 3, output: 0}}}"
    async with (
        raw_server(acts(then=vectors)) as server,
        pipeline(f"providers:\n{provider('a', server, model, protocol=upstream)}") as made,
    ):
        keep_books(made, books)
        speaks = embedder(client)
        record = made.recorder.begin("id-1", "embeddings", client)
        key = KeyRecord(id="k", scopes=frozenset({"chat"}))
        envelope = speaks.peek(json.dumps(asked).encode(), Asked(model="a/m", variant=variant) if variant else Asked())
        await made.gateway.embed(EmbedCall(embedder=speaks, envelope=envelope, key=key, record=record))
        made.recorder.end(record)
    (settlement,) = settlements(books)
    return settlement


async def test_vectors_are_paid(tmp_path: Path) -> None:
    body = b'{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[1.0]}],"usage":{"prompt_tokens":7,"total_tokens":7}}'

    paid = await paid_vectors(tmp_path, body, {"model": "a/m", "input": "hi"}, upstream="openai_embeddings")

    assert (21_000, False) == (paid.cost_nano_usd, paid.estimated)


GEMINI = [{"model": "models/m", "content": {"parts": [{"text": text}]}} for text in ("hi", "\u4f60\u597d")]


@pytest.mark.parametrize(
    ("client", "body", "tokens"),
    [
        ("openai_embeddings", {"model": "a/m", "input": ["hi", "\u4f60\u597d"]}, 3),
        ("gemini_embeddings", {"requests": GEMINI}, 3),
        ("openai_embeddings", {"model": "a/m", "input": [[1, 2], [3, 4]]}, 10),
    ],
)
async def test_vectors_whose_provider_says_nothing_of_it_are_paid_by_their_texts(
    tmp_path: Path, client: str, body: object, tokens: int
) -> None:
    """Not by what their dialect writes around them, nor by how it escapes them; token ids by their size."""
    told: dict[str, object] = {
        "openai_embeddings": {"data": [{"index": at, "embedding": [1.0]} for at in range(2)]},
        "gemini_embeddings": {"embeddings": [{"values": [1.0]}, {"values": [1.0]}]},
    }

    variant = "batch" if client == "gemini_embeddings" else ""

    paid = await paid_vectors(
        tmp_path, json.dumps(told[client]).encode(), body, upstream=client, client=client, variant=variant
    )

    assert (tokens * 3_000, True) == (paid.cost_nano_usd, paid.estimated)


async def test_a_stream_whose_client_did_not_ask_is_exact_where_providers_are_always_asked(tmp_path: Path) -> None:
    async def as_asked(connection: RawConnection, request: RawRequest) -> None:
        asked = json.loads(request.body).get("stream_options", {}).get("include_usage")
        told = [each for each in frames("openai_chat") if asked or b'"usage":{' not in each]
        await connection.send(chunked(told, "content-type: text/event-stream"))

    for setting, estimated in (("as_asked", True), ("always", False)):
        config = f"aliases: {{smart: a/m}}\nrequests: {{stream_usage: {setting}}}"
        async with kept(tmp_path / setting, {"a": as_asked}, config) as (made, books):
            said = await made.call(stream=True)

            assert [("a/m", "ok", estimated)] == rows(books)
            assert b'"usage":{' not in said.body
            assert said.body.endswith(b"data: [DONE]\n\n")
            if not estimated:
                assert PLAIN_NANO_USD == settlements(books)[0].cost_nano_usd


# -- when


@pytest.mark.parametrize("client", DIALECT)
@pytest.mark.parametrize("upstream", DIALECT)
async def test_an_answer_is_settled_before_its_client_can_know_that_it_is_whole(
    tmp_path: Path, client: str, upstream: str
) -> None:
    """For every pair of dialects, in the smallest pieces: nothing that ends an answer leaves before the journal has it."""
    books = Books(tmp_path, Database(database_url(None, tmp_path)))
    pieces = [frame[at : at + 40] for frame in frames(upstream) for at in range(0, len(frame), 40)]
    kind = "content-type: application/x-ndjson" if upstream == "ollama_chat" else "content-type: text/event-stream"

    async def slowly(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(head(200, "transfer-encoding: chunked", kind))
        for piece in pieces:
            await connection.send(chunk(piece))
            await asyncio.sleep(0)
        await connection.send(b"0\r\n\r\n")

    async with raw_server(acts(then=slowly)) as server:
        config = f"providers:\n{provider('a', server, PRICED, protocol=upstream)}aliases: {{smart: a/m}}"
        async with pipeline(config) as made:
            keep_books(made, books)
            call = made.make(client, "smart", stream=True)
            reply = await made.gateway.infer(call)
            assert any(isinstance(each, Opened) for each in journal(books))
            told = b""
            async for data in reply.chunks:  # type: ignore[union-attr]
                told += data
                if DIALECT[client].terminator in told:
                    assert settlements(books), told[-200:]
            assert DIALECT[client].terminator in told
            (only,) = settlements(books)
            assert (PLAIN_NANO_USD, False, "ok") == (only.cost_nano_usd, only.estimated, only.outcome)
