"""Counts that are no whole numbers, or none at all: the answer reaches its client, and what was told is what is paid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.stores.database import Database, database_url
from runtime.stores.entries import AttemptEntry
from tests.accounting.test_paths import PRICED, keep_books, paid_vectors, settlements
from tests.support.accounting import Books
from tests.support.dialect import DIALECT
from tests.support.pipeline import acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, answer, chunked, raw_server
from tests.support.vendor import SPEECH, WIRE

_COUNT = re.compile(rb'("[A-Za-z_]*(?:tokens|TokenCount|tokenCount|eval_count)")\s*:\s*(\d+)')
IN, OUT = 31, 14
"""What the transcripts tell."""

FORMS: tuple[Callable[[bytes], bytes], ...] = (
    lambda number: b'"%b"' % number,
    lambda number: b"%b.0" % number,
    lambda number: b'" %b.0"' % number,
)
NONSENSE = (b"-7", b"12.5", b'"many"', b"true", b"{}", b"[]", b"null", b"99999999999999999999999999", b"0")


def odd(data: bytes, form: Callable[[bytes], bytes]) -> bytes:
    """A vendor's bytes, with every count in another form."""
    changed, found = _COUNT.subn(lambda count: count[1] + b":" + form(count[2]), data)
    assert found
    return changed


def always(form: bytes) -> Callable[[bytes], bytes]:
    return lambda _: form


async def billed(
    tmp_path: Path, client: str, upstream: str, answers: Sequence[bytes], *, stream: bool
) -> list[AttemptEntry]:
    """The rows of calls that get these ``answers``, one after another."""
    kind, left = "application/x-ndjson" if upstream == "ollama_chat" else "text/event-stream", list(answers)

    async def act(connection: RawConnection, request: RawRequest) -> None:
        if stream:
            await connection.send(chunked([left.pop(0)], f"content-type: {kind}"))
        else:
            await connection.send(answer(left.pop(0), "content-type: application/json"))

    books = Books(tmp_path, Database(database_url(None, tmp_path)))
    async with raw_server(acts(then=act)) as server:
        config = f"providers:\n{provider('a', server, PRICED, protocol=upstream)}aliases: {{smart: a/m}}"
        async with pipeline(config) as made:
            keep_books(made, books)
            for _ in answers:
                said = await made.call(client=client, stream=stream)
                assert said.error is None
                assert DIALECT[client].error not in said.body
                assert not stream or DIALECT[client].terminator in said.body
    entries = [entry for settlement in settlements(books) for entry in settlement.attempts]
    assert ["ok"] * len(answers) == [entry.outcome for entry in entries]
    return entries


def transcript(upstream: str, *, stream: bool) -> bytes:
    return (WIRE / upstream / f"plain.{SPEECH[upstream].ending if stream else 'json'}").read_bytes()


PAIRS = [(client, upstream) for client in DIALECT for upstream in DIALECT if client in {upstream, "openai_chat"}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_whole_number_counts_in_whatever_form_it_comes(
    tmp_path: Path, client: str, upstream: str, stream: bool
) -> None:
    answers = [odd(transcript(upstream, stream=stream), form) for form in FORMS]

    entries = await billed(tmp_path, client, upstream, answers, stream=stream)

    told = [(entry.counts[0] + entry.counts[2], entry.counts[1], entry.estimated) for entry in entries]
    assert [(IN, OUT, False)] * len(FORMS) == told


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_what_is_no_count_was_not_told_and_is_estimated(
    tmp_path: Path, client: str, upstream: str, stream: bool
) -> None:
    answers = [odd(transcript(upstream, stream=stream), always(form)) for form in NONSENSE]

    entries = await billed(tmp_path, client, upstream, answers, stream=stream)

    (first, *_) = entries
    assert first.estimated
    assert 0 < first.counts[0] < 100 > first.counts[1] > 0
    assert first.cost_nano_usd == first.counts[0] * 3_000 + first.counts[1] * 15_000
    assert [(first.counts, True, first.cost_nano_usd)] * len(NONSENSE) == [
        (entry.counts, entry.estimated, entry.cost_nano_usd) for entry in entries
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["openai_chat", "anthropic_messages"])
async def test_usage_that_is_no_object_was_not_told(tmp_path: Path, client: str, stream: bool) -> None:
    data = transcript("openai_chat", stream=stream)
    at = data.rindex(b"{", 0, data.rindex(b'"prompt_tokens":'))
    _, length = json.JSONDecoder().raw_decode(data[at:].decode())
    odds = (b'"12"', b"12", b"[]", b'"free"', b"{}", b"null", b"true")
    answers = [data[:at] + usage + data[at + length :] for usage in odds]

    entries = await billed(tmp_path, client, "openai_chat", answers, stream=stream)

    assert all(entry.estimated and entry.counts[0] > 0 < entry.counts[1] for entry in entries)


@pytest.mark.parametrize("client", DIALECT)
async def test_a_translated_answer_without_counts_is_estimated(tmp_path: Path, client: str) -> None:
    document: dict[str, Any] = json.loads(transcript("openai_chat", stream=False))
    del document["usage"]

    (entry,) = await billed(tmp_path, client, "openai_chat", [json.dumps(document).encode()], stream=False)

    assert entry.estimated
    assert entry.counts[0] > 0 < entry.counts[1]


VECTORS = {
    "openai_embeddings": b'{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[1.0]}],"usage":{"prompt_tokens":%b,"total_tokens":%b}}',
    "gemini_embeddings": b'{"embeddings":[{"values":[1.0]}],"usageMetadata":{"promptTokenCount":%b}}',
    "ollama_embeddings": b'{"model":"m","embeddings":[[1.0]],"total_duration":"odd","load_duration":1.5,"prompt_eval_count":%b}',
}


@pytest.mark.parametrize("upstream", VECTORS)
@pytest.mark.parametrize("client", ["openai_embeddings", "ollama_embeddings"])
@pytest.mark.parametrize(
    ("told", "counts"), [(b'"7"', 7), (b"7.0", 7), (b"-7", None), (b'"odd"', None), (b"null", None), (b"0", None)]
)
async def test_vectors_are_paid_whatever_form_their_counts_have(
    tmp_path: Path, client: str, upstream: str, told: bytes, counts: int | None
) -> None:
    asked = {"model": "a/m", "input": ["hi"]}

    paid = await paid_vectors(tmp_path, VECTORS[upstream].replace(b"%b", told), asked, upstream=upstream, client=client)

    (entry,) = paid.attempts
    assert counts is None or (counts, False) == (entry.counts[0], entry.estimated)
    assert counts is not None or (entry.estimated and 0 < entry.counts[0] < 100)
