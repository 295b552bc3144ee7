"""Every fault that a provider can show: what the client sees in its dialect, what the record of attempts says, and that
the next healthy call works. Real sockets; two targets, two retries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.support.dialect import DIALECT
from tests.support.pipeline import Act, Pipeline, Said, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, RawServer, answer, chunk, chunked, head, raw_server
from tests.support.vendor import WIRE

CLIENTS = ("openai_chat", "anthropic_messages")
"""One that is passed through, and one that is translated."""

FORMS = [(client, stream) for client in CLIENTS for stream in (False, True)]
STREAM = (WIRE / "openai_chat" / "plain.sse").read_bytes()
WHOLE = (WIRE / "openai_chat" / "plain.json").read_bytes()
FRAMES = [frame + b"\n\n" for frame in STREAM.split(b"\n\n") if frame]
SSE = "content-type: text/event-stream"
JSON = "content-type: application/json"
LIMITS = "timeouts: {connect: 2s, first_byte: 300ms, first_byte_unstreamed: 300ms, first_token: 300ms, idle: 300ms, total: 30s}"


def asks_stream(request: RawRequest) -> bool:
    return bool(json.loads(request.body).get("stream"))


async def healthy(connection: RawConnection, request: RawRequest) -> None:
    if asks_stream(request):
        await connection.send(chunked(FRAMES, SSE))
    else:
        await connection.send(answer(WHOLE, JSON))


async def reset(connection: RawConnection, request: RawRequest) -> None:
    connection.reset()


async def silence(connection: RawConnection, request: RawRequest) -> None:
    await connection.gone()


def fixed(data: bytes) -> Act:
    async def act(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(data)

    return act


def said_error(status: int, message: str, code: str | None = None, *lines: str) -> Act:
    body = json.dumps({"error": {"message": message, "type": "x", "code": code, "param": None}}).encode()
    return fixed(answer(body, JSON, *lines, status=status))


def after(count: int, end: Act) -> Act:
    """Begin the stream, give ``count`` of its events, then ``end``."""

    async def act(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(head(200, "transfer-encoding: chunked", SSE) + b"".join(map(chunk, FRAMES[:count])))
        await end(connection, request)

    return act


@asynccontextmanager
async def two(
    *primary: Act, then: Act = healthy, spare: Act = healthy, settings: str = "", combo: str = ""
) -> AsyncGenerator[tuple[Pipeline, RawServer, RawServer], None]:
    """Two targets behind ``smart``: the first shows ``primary`` act by act and then ``then``, the second ``spare``."""
    async with raw_server(acts(*primary, then=then)) as one, raw_server(acts(then=spare)) as other:
        providers = f"providers:\n{provider('a', one)}{provider('b', other)}"
        combos = f"combos: {{smart: {{targets: [a/m, b/m]{combo}}}}}\n"
        async with pipeline(f"{providers}{combos}{settings or LIMITS}\n") as made:
            yield made, one, other


def answered(said: Said, client: str, *, stream: bool) -> None:
    assert said.error is None
    assert "ok" == said.record.outcome
    assert b"Paris is" in said.body
    if stream:
        assert DIALECT[client].terminator in said.body


async def next_call_works(made: Pipeline, client: str, stream: bool) -> None:
    answered(await made.call(client=client, stream=stream), client, stream=stream)


# -- 1, 5, 6: nothing comes


@pytest.mark.parametrize(("client", "stream"), FORMS)
async def test_fault_01_reset_before_the_headers_is_retried(client: str, stream: bool) -> None:
    async with two(reset) as (made, one, other):
        said = await made.call(client=client, stream=stream)

        answered(said, client, stream=stream)
        assert [("a/m", "unavailable"), ("a/m", "ok")] == said.attempts
        assert "2" == said.headers["x-gatewright-attempts"]
        assert (2, 0) == (len(one.requests), len(other.requests))
        assert one.requests[0].body == one.requests[1].body
        assert 1 == len(made.time.slept)
        await next_call_works(made, client, stream)


@pytest.mark.parametrize(("client", "stream"), FORMS)
async def test_fault_01_reset_again_and_again_goes_to_the_next_target(client: str, stream: bool) -> None:
    async with two(then=reset) as (made, one, _):
        said = await made.call(client=client, stream=stream)

        answered(said, client, stream=stream)
        assert [("a/m", "unavailable")] * 3 + [("b/m", "ok")] == said.attempts
        assert "b/m" == said.headers["x-gatewright-served"]
        assert 3 == len(one.requests)


@pytest.mark.parametrize(("client", "stream"), FORMS)
async def test_fault_05_a_silent_target_is_not_asked_again(client: str, stream: bool) -> None:
    async with two(silence) as (made, one, _):
        said = await made.call(client=client, stream=stream)

        answered(said, client, stream=stream)
        assert [("a/m", "timeout"), ("b/m", "ok")] == said.attempts
        assert 1 == len(one.requests)
        await next_call_works(made, client, stream)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("frames", [0, 1])
async def test_fault_06_a_slow_first_token_goes_to_the_next_target(client: str, frames: int) -> None:
    """Also when headers, and what stands before the first token, have come."""
    async with two(after(frames, silence)) as (made, _, other):
        said = await made.call(client=client, stream=True)

        answered(said, client, stream=True)
        assert [("a/m", "timeout"), ("b/m", "ok")] == said.attempts
        assert 1 == len(other.requests)
        await next_call_works(made, client, True)


async def test_a_silent_target_leaves_the_next_one_half_of_the_time() -> None:
    """Also with limits longer than the whole request may take."""
    settings = "timeouts: {first_byte_unstreamed: 10m, total: 800ms, first_byte: 800ms, first_token: 800ms, idle: 800ms, connect: 800ms}"
    async with two(silence, settings=settings) as (made, _, _):
        said = await made.call()

        assert [("a/m", "timeout"), ("b/m", "ok")] == said.attempts


# -- 2, 3, 4, 7: the stream breaks


async def fin(connection: RawConnection, request: RawRequest) -> None:
    connection.close()


async def finish(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(b"0\r\n\r\n")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("end", "kind"), [(reset, "unavailable"), (fin, "unavailable"), (finish, "upstream_protocol"), (silence, "timeout")]
)
async def test_no_fallback_after_the_first_byte_was_sent(client: str, end: Act, kind: str) -> None:
    """Faults 2, 3 and 7: the dialect's error event, no success terminator, and nobody else is asked."""
    async with two(after(3, end)) as (made, one, other):
        said = await made.call(client=client, stream=True)

        assert DIALECT[client].error in said.body
        assert DIALECT[client].terminator not in said.body
        assert [("a/m", kind)] == said.attempts
        assert ("error", kind) == (said.record.outcome, said.record.error)
        assert (1, 0) == (len(one.requests), len(other.requests))
        await next_call_works(made, client, True)


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_04_a_complete_stream_without_its_sentinel_is_complete(client: str) -> None:
    data = STREAM.replace(b"data: [DONE]\n\n", b"")
    async with two(fixed(chunked([data], SSE))) as (made, _, _):
        said = await made.call(client=client, stream=True)

        assert "ok" == said.record.outcome
        assert DIALECT[client].terminator in said.body
        assert [("a/m", "ok")] == said.attempts
        assert said.record.usage is not None


# -- 8, 10, 11, 12: odd bytes


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_08_one_byte_at_a_time_gives_the_same(client: str) -> None:
    async def slowly(connection: RawConnection, request: RawRequest) -> None:
        await connection.send_split(head(200, SSE, f"content-length: {len(STREAM)}") + STREAM)

    settings = LIMITS.replace("300ms", "20s")
    async with two(slowly, settings=settings) as (made, _, _):
        once = await made.call(client=client, stream=True)
        whole = await made.call(client=client, stream=True)

        assert whole.body == once.body
        assert [("a/m", "ok")] == once.attempts


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_10_invalid_utf8_is_an_error_and_no_crash(client: str) -> None:
    async with two(fixed(chunked([b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n'], SSE))) as (
        made,
        _,
        _,
    ):
        said = await made.call(client=client, stream=True)

        assert "ok" == said.record.outcome or DIALECT[client].error in said.body
        await next_call_works(made, client, True)


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_11_a_line_without_end_is_given_up(client: str) -> None:
    async with two(
        then=fixed(chunked([b"data: " + b"x" * (1 << 20)] * 18, SSE)), settings=LIMITS.replace("300ms", "20s")
    ) as (made, _, _):
        said = await made.call(client=client, stream=True)

        answered(said, client, stream=True)
        assert ["upstream_protocol"] * 3 + ["ok"] == [outcome for _, outcome in said.attempts]


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_12_bom_crlf_and_comments_are_read_over(client: str) -> None:
    data = b"\xef\xbb\xbf: hi\r\n\r\n" + STREAM.replace(b"\n", b"\r\n") + b"event: only\r\n\r\n"
    async with two(fixed(chunked([data], SSE))) as (made, _, _):
        said = await made.call(client=client, stream=True)

        answered(said, client, stream=True)
        assert [("a/m", "ok")] == said.attempts


# -- 13, 14: a 200 that is none


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_13_an_error_that_begins_a_stream_is_an_error_like_any_other(client: str) -> None:
    async with two(fixed(chunked([DIALECT["openai_chat"].busy], SSE))) as (made, _, _):
        said = await made.call(client=client, stream=True)

        answered(said, client, stream=True)
        assert [("a/m", "rate_limit"), ("b/m", "ok")] == said.attempts


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_13_an_error_inside_a_stream_is_the_clients_error_event(client: str) -> None:
    async with two(fixed(chunked([*FRAMES[:3], DIALECT["openai_chat"].busy], SSE))) as (made, _, other):
        said = await made.call(client=client, stream=True)

        assert DIALECT[client].terminator not in said.body
        assert [("a/m", "rate_limit")] == said.attempts
        assert [] == other.requests


@pytest.mark.parametrize(("client", "stream"), FORMS)
@pytest.mark.parametrize("body", [b"", b"<html><title>Sign in</title></html>", b"{}", b"null"])
async def test_fault_14_a_page_or_nothing_with_status_200_is_no_answer(client: str, stream: bool, body: bytes) -> None:
    async with two(then=fixed(answer(body, "content-type: text/html"))) as (made, _, _):
        said = await made.call(client=client, stream=stream)

        answered(said, client, stream=stream)
        assert [("a/m", "upstream_protocol")] * 3 + [("b/m", "ok")] == said.attempts


# -- 20: the client leaves


async def test_fault_20_a_client_that_leaves_before_the_first_byte_ends_the_attempt_at_once() -> None:
    let_go = asyncio.Event()

    async def watch(connection: RawConnection, request: RawRequest) -> None:
        await connection.gone()
        let_go.set()

    async with two(watch, settings=LIMITS.replace("300ms", "20s")) as (made, one, other):
        asking = asyncio.create_task(made.call(stream=True))
        while not one.requests:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        await asyncio.wait_for(let_go.wait(), 1)
        assert [] == other.requests
        assert 0 == made.health.lane("a/m", "a/default").in_flight
        assert 1.0 == made.health.lane("a/m", "a/default").success
        await next_call_works(made, "openai_chat", True)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("read", [0, 1])
async def test_fault_20_a_client_that_leaves_a_stream_lets_the_upstream_go(client: str, read: int) -> None:
    """Also one that has not read anything of it."""
    let_go = asyncio.Event()

    async def watch(connection: RawConnection, request: RawRequest) -> None:
        await after(3, silence)(connection, request)
        let_go.set()

    async with two(watch, settings=LIMITS.replace("300ms", "20s")) as (made, _, _):
        reply, record = await made.open(client=client)
        for _ in range(read):
            await anext(reply.chunks)
        await reply.chunks.aclose()

        await asyncio.wait_for(let_go.wait(), 1)
        assert ["cancelled"] == [each.outcome for each in record.attempts]
        assert 0 == made.health.lane("a/m", "a/default").in_flight
        await next_call_works(made, client, True)


async def test_fault_27_a_provider_that_nobody_answers_for_is_passed_over() -> None:
    async with raw_server(acts(then=healthy)) as gone:
        pass
    async with raw_server(acts(then=healthy)) as other:
        text = f"providers:\n{provider('a', gone)}{provider('b', other)}combos: {{smart: {{targets: [a/m, b/m]}}}}\n"
        async with pipeline(text + LIMITS) as made:
            said = await made.call()

            assert [("a/m", "unavailable")] * 3 + [("b/m", "ok")] == said.attempts


async def test_the_log_and_the_metrics_tell_of_every_attempt() -> None:
    async with two(said_error(401, "Incorrect API key", "invalid_api_key")) as (made, _, _):
        await made.call()
        await made.call()

        first, second = (json.loads(line) for line in made.log.getvalue().splitlines())
        assert ["upstream_auth", "ok"] == [each["outcome"] for each in first["attempts"]]
        assert [401, 200] == [each["status"] for each in first["attempts"]]
        assert "attempts" not in second
        assert ["a/m over a/default: credential"] == second["skipped"]
        text = made.metrics.render().decode()
        assert 'gatewright_attempts_total{model="a/m",outcome="upstream_auth",provider="a"} 1.0' in text
        assert 'gatewright_attempts_total{model="b/m",outcome="ok",provider="b"} 2.0' in text
        assert 'gatewright_skipped_total{model="a/m",provider="a",reason="credential"} 1.0' in text
