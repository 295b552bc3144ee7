"""Combos with a rescue: a stream that breaks off goes on, or is not begun before it is complete. Real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from runtime.canonical import Response, ToolCall, collect
from runtime.protocols import codec
from runtime.protocols.base import Outgoing
from tests.routing.test_faults import fin, finish, reset, silence
from tests.support.dialect import DIALECT
from tests.support.pipeline import Act, Pipeline, Said, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, RawServer, chunk, chunked, head, raw_server
from tests.support.vendor import WIRE

PROTOCOLS = tuple(DIALECT)
CLIENTS = PROTOCOLS
LIMITS = "timeouts: {connect: 2s, first_byte: 300ms, first_token: 300ms, idle: 300ms, total: 30s}\n"
TYPES = {"ollama_chat": "content-type: application/x-ndjson"}
SSE = "content-type: text/event-stream"


def frames(protocol: str, name: str = "plain") -> list[bytes]:
    speech = DIALECT[protocol]
    data = (WIRE / protocol / f"{name}{speech.suffix}").read_bytes()
    return [frame + speech.frame_end for frame in data.split(speech.frame_end) if frame.strip()]


def whole(protocol: str, name: str = "plain") -> Act:
    """The vendor's answer to its end."""
    data = frames(protocol, name)

    async def act(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(chunked(data, TYPES.get(protocol, SSE)))

    return act


def after(data: list[bytes], end: Act, protocol: str = "openai_chat") -> Act:
    """A head, ``data`` and then ``end``."""
    kind = TYPES.get(protocol, SSE)

    async def act(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(head(200, "transfer-encoding: chunked", kind) + b"".join(map(chunk, data)))
        await end(connection, request)

    return act


def told(client: str, body: bytes) -> Response:
    """What a client that reads ``body`` has; raises where it is no whole answer of its dialect."""
    decoder = codec(client).stream_decoder(Outgoing(path="", headers=(), body=b"", stream=True))
    return collect([*decoder.feed(body), *decoder.close()])


def content(response: Response) -> list[object]:
    """Without the ids of calls, which each answer makes up."""
    parts = response.choices[0].content
    return [(part.name, json.loads(part.arguments)) if isinstance(part, ToolCall) else part for part in parts]


@asynccontextmanager
async def two(
    first: Act,
    second: Act,
    *,
    speak: tuple[str, str] = ("openai_chat", "openai_chat"),
    combo: str = "rescue: splice",
    models: str = "models: {m: {}}",
    settings: str = LIMITS,
) -> AsyncGenerator[tuple[Pipeline, RawServer, RawServer], None]:
    async with raw_server(acts(then=first)) as one, raw_server(acts(then=second)) as other:
        providers = provider("a", one, protocol=speak[0]) + provider("b", other, models, protocol=speak[1])
        combos = f"combos: {{smart: {{targets: [a/m, b/m], {combo}}}, plain: {{targets: [b/m]}}}}\n"
        async with pipeline(f"providers:\n{providers}{combos}{settings}") as made:
            yield made, one, other


def rescued(said: Said, client: str, kind: str) -> None:
    assert said.error is None
    assert [("a/m", kind), ("b/m", "ok")] == said.attempts
    assert ("ok", 1) == (said.record.outcome, said.record.rescues)
    assert DIALECT[client].error not in said.body
    assert DIALECT[client].terminator in said.body


# -- splice


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("name", ["plain", "two-tools"])
async def test_what_breaks_off_anywhere_is_gone_on_with(client: str, upstream: str, name: str) -> None:
    """Fault 2 over every pair of dialects: the client has the whole answer once, and cannot tell."""
    data = frames(upstream, name)
    async with two(reset, whole(upstream, name), speak=(upstream, upstream)) as (made, _, _):
        expected = content(told(client, (await made.call("plain", client=client, stream=True)).body))
    for cut in {1, len(data) // 2, len(data) - 2} - {0, len(data)}:
        async with two(after(data[:cut], reset, upstream), whole(upstream, name), speak=(upstream, upstream)) as (
            made, one, other,
        ):  # fmt: skip
            said = await made.call(client=client, stream=True)

            assert expected == content(told(client, said.body)), cut
            assert DIALECT[client].error not in said.body
            assert ("b/m", "ok") == said.attempts[-1] or ("a/m", "ok") == said.attempts[-1]
            assert 0 == made.health.lane("a/m", "a/default").in_flight
            assert len(one.requests) + len(other.requests) == len(said.attempts)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("end", "kind"), [(reset, "unavailable"), (fin, "unavailable"), (finish, "upstream_protocol"), (silence, "timeout")]
)
async def test_every_cut_is_rescued_by_another_protocol(client: str, end: Act, kind: str) -> None:
    data = frames("openai_chat")[:3]
    speak = ("openai_chat", "anthropic_messages")
    async with two(after(data, end), whole("anthropic_messages"), speak=speak) as (made, _, _):
        said = await made.call(client=client, stream=True)

        rescued(said, client, kind)
        plain = await made.call("plain", client=client, stream=True)
        assert content(told(client, plain.body)) == content(told(client, said.body))


async def test_an_error_event_and_a_broken_one_are_rescued_and_a_refusal_is_not() -> None:
    begun = frames("openai_chat")[:3]
    for last, kind in ((DIALECT["openai_chat"].busy, "rate_limit"), (b"data: {nonsense\n\n", "upstream_protocol")):
        async with two(after([*begun, last], finish), whole("openai_chat")) as (made, _, _):
            rescued(await made.call(stream=True), "openai_chat", kind)
    refused = b'data: {"error":{"message":"no","type":"x","code":"content_policy_violation"}}\n\n'
    async with two(after([*begun, refused], finish), whole("openai_chat")) as (made, _, other):
        said = await made.call(stream=True)

        assert [("a/m", "content_policy")] == said.attempts
        assert DIALECT["openai_chat"].error in said.body
        assert [] == other.requests


def text_stream(*pieces: str, usage: int = 0) -> list[bytes]:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        counts = {"prompt_tokens": 7, "completion_tokens": usage, "total_tokens": 7 + usage}
        chunks.append({"choices": [], "usage": counts})
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return [*(b"data: " + json.dumps(base | each).encode() + b"\n\n" for each in chunks), b"data: [DONE]\n\n"]


def fixed(data: list[bytes]) -> Act:
    async def act(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(chunked(data, SSE))

    return act


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_answer_that_goes_another_way_ends_with_the_dialects_error(client: str) -> None:
    cut = after(text_stream("Paris ", "is")[:2], reset)
    async with two(cut, fixed(text_stream("London"))) as (made, _, other):
        said = await made.call(client=client, stream=True)

        assert DIALECT[client].error in said.body
        assert DIALECT[client].terminator not in said.body
        assert b"London" not in said.body
        assert [("a/m", "unavailable"), ("b/m", "diverged")] == said.attempts
        assert ("error", "unavailable") == (said.record.outcome, said.record.error)
        assert 1.0 == made.health.lane("b/m", "b/default").success
        assert 0 == made.health.lane("b/m", "b/default").in_flight
        assert 1 == len(other.requests)


@pytest.mark.parametrize("client", CLIENTS)
async def test_who_takes_a_prefill_is_asked_for_the_rest(client: str) -> None:
    cut = after(text_stream("The capital of France ", "is ")[:2], reset)
    models = "models: {m: {has: [prefill]}}"
    async with two(cut, fixed(text_stream("Paris", ".", usage=2)), models=models) as (made, _, other):
        said = await made.call(client=client, stream=True)

        rescued(said, client, "unavailable")
        assert "The capital of France is Paris." == told(client, said.body).choices[0].content[0].text  # type: ignore[union-attr]
        last = json.loads(other.requests[0].body)["messages"][-1]
        assert ("assistant", "The capital of France is") == (last["role"], last["content"])


async def test_the_client_is_told_what_both_took_and_each_row_its_own() -> None:
    first = frames("anthropic_messages")
    speak = ("anthropic_messages", "anthropic_messages")
    async with two(after(first[:5], reset), whole("anthropic_messages"), speak=speak) as (made, _, _):
        said = await made.call(client="anthropic_messages", stream=True)
        one, other = (each.usage for each in said.record.attempts)

        assert one is not None
        assert other is not None
        assert one + other == said.record.usage
        assert (one + other).total == told("anthropic_messages", said.body).usage.total


async def test_it_breaks_off_again_and_a_third_goes_on() -> None:
    pieces = text_stream("Paris ", "is ", "the ", "capital")
    scripts = [after(pieces[:1], reset), after(pieces[:3], reset), fixed(pieces)]
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(raw_server(acts(then=act))) for act in scripts]
        providers = "".join(provider(name, server) for name, server in zip("abc", servers, strict=True))
        config = f"providers:\n{providers}combos: {{smart: {{targets: [a/m, b/m, c/m], rescue: splice}}}}\n{LIMITS}"
        made = await stack.enter_async_context(pipeline(config))
        said = await made.call(stream=True)

    assert [("a/m", "unavailable"), ("b/m", "unavailable"), ("c/m", "ok")] == said.attempts
    assert 2 == said.record.rescues
    assert "Paris is the capital" == told("openai_chat", said.body).choices[0].content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("client", CLIENTS)
async def test_where_nobody_goes_on_the_client_is_told_what_broke(client: str) -> None:
    async with two(after(frames("openai_chat")[:3], silence), reset) as (made, one, other):
        said = await made.call(client=client, stream=True)

        assert ("error", "timeout", 0) == (said.record.outcome, said.record.error, said.record.rescues)
        assert DIALECT[client].error in said.body
        assert [("a/m", "timeout")] + [("b/m", "unavailable")] * 3 == said.attempts
        assert (1, 3) == (len(one.requests), len(other.requests))


@pytest.mark.parametrize("waits", [0, 4])
async def test_a_client_that_leaves_during_a_rescue_lets_everybody_go(waits: int) -> None:
    let_go = asyncio.Event()

    async def watch(connection: RawConnection, request: RawRequest) -> None:
        if waits:
            await connection.send(head(200, "transfer-encoding: chunked", SSE))
        await connection.gone()
        let_go.set()

    settings = LIMITS.replace("300ms", "20s")
    async with two(after(frames("openai_chat")[:3], reset), watch, settings=settings) as (made, _, other):
        calling = asyncio.create_task(made.call(stream=True))
        while not other.requests:
            await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

        await asyncio.wait_for(let_go.wait(), 1)
        assert 0 == made.health.lane("b/m", "b/default").in_flight


async def test_the_log_and_the_metrics_tell_of_a_rescue() -> None:
    async with two(after(frames("openai_chat")[:3], reset), whole("openai_chat")) as (made, _, _):
        await made.call(stream=True)

        line = json.loads(made.log.getvalue().splitlines()[-1])
        assert 1 == line["rescues"]
        assert ["unavailable", "ok"] == [each["outcome"] for each in line["attempts"]]
        assert 'gatewright_rescues_total{model="b/m",outcome="ok",provider="b"} 1.0' in made.metrics.render().decode()


async def test_a_request_for_several_choices_is_not_rescued() -> None:
    data = [
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":%d,"delta":{"content":"a"}}]}\n\n' % n
        for n in (0, 1)
    ]  # fmt: skip
    async with two(after(data, reset), whole("openai_chat")) as (made, _, other):
        said = await made.call(stream=True, n=2)

        assert [("a/m", "unavailable")] == said.attempts
        assert [] == other.requests
        assert DIALECT["openai_chat"].error in said.body


async def test_a_request_that_only_its_provider_can_read_is_passed_on_and_not_rescued() -> None:
    data = frames("openai_chat")
    odd = [{"role": "user", "content": 7}]
    async with two(after(data, finish), whole("openai_chat")) as (made, one, _):
        said = await made.call(stream=True, messages=odd)

        assert [("a/m", "ok")] == said.attempts
        assert DIALECT["openai_chat"].terminator in said.body
        assert odd == json.loads(one.requests[0].body)["messages"]


# -- buffer


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("end", [reset, finish, silence])
async def test_a_buffered_answer_that_breaks_off_was_never_begun(client: str, end: Act) -> None:
    data = text_stream("London ", "is")[:2]
    async with two(
        after(data, end), whole("openai_chat"), combo="rescue: buffer", settings=LIMITS + "retries: {per_target: 0}\n"
    ) as (made, _, _):
        said = await made.call(client=client, stream=True)

        assert ("b/m", "ok") == said.attempts[-1]
        assert 2 == len(said.attempts)
        assert b"London" not in said.body
        assert DIALECT[client].error not in said.body
        plain = await made.call("plain", client=client, stream=True)
        assert content(told(client, plain.body)) == content(told(client, said.body))


async def test_a_buffered_answer_of_which_all_fail_keeps_its_status() -> None:
    data = text_stream("London ", "is")[:2]
    async with two(after(data, silence), after(data, silence), combo="rescue: buffer") as (made, _, _):
        said = await made.call(stream=True)

        assert said.error is not None
        assert 504 == said.error.http_status


async def test_a_buffered_answer_that_is_too_long_is_sent_on_from_there() -> None:
    data = text_stream("x" * 2000, "y" * 2000)
    async with two(after(data[:2], reset), whole("openai_chat"), combo="rescue: buffer, buffer_limit: 1KiB") as (
        made,
        _,
        other,
    ):
        said = await made.call(stream=True)

        assert b"xxx" in said.body
        assert DIALECT["openai_chat"].error in said.body
        assert [("a/m", "unavailable")] == said.attempts
        assert [] == other.requests
