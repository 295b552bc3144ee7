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
        assert (DIALECT[client].terminator in said.body) is (client != "openai_chat")  # which is passed on as it came
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


# -- 15, 16, 17: too much, too often


@pytest.mark.parametrize(
    "lines",
    [
        ("retry-after: 7",),
        ("retry-after: Sun, 29 Nov 2026 12:00:07 GMT", "date: Sun, 29 Nov 2026 12:00:00 GMT"),
        (),
        ("retry-after: 99999999",),
    ],
)
async def test_fault_15_a_rate_limit_goes_to_the_next_target_at_once(lines: tuple[str, ...]) -> None:
    async with two(then=said_error(429, "slow down", "rate_limit_exceeded", *lines)) as (made, one, _):
        said = await made.call()
        again = await made.call()

        assert [("a/m", "rate_limit"), ("b/m", "ok")] == said.attempts
        assert [("b/m", "ok")] == again.attempts
        assert [("a/m", "rate_limit")] == again.skipped
        assert [] == made.time.slept
        assert 1 == len(one.requests)
        made.time.now_s += 3600
        assert [("a/m", "rate_limit"), ("b/m", "ok")] == (await made.call()).attempts


@pytest.mark.parametrize("seconds", [0, 2, 7])
async def test_fault_15_the_last_target_is_waited_for_as_long_as_it_says(seconds: int) -> None:
    async with two(said_error(429, "slow down", "rate_limit_exceeded", f"retry-after: {seconds}")) as (made, _, _):
        said = await made.call("a/m")

        assert [("a/m", "rate_limit"), ("a/m", "ok")] == said.attempts
        assert seconds <= made.time.slept[0] <= seconds + 0.25


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_15_an_absurd_wait_is_passed_on_and_not_waited_for(client: str) -> None:
    limited = said_error(429, "slow down", "rate_limit_exceeded", "retry-after: 99999")
    async with two(then=limited, spare=said_error(429, "slow", "rate_limit_exceeded", "retry-after: 40")) as (
        made,
        one,
        _,
    ):
        said = await made.call(client=client)
        refused = await made.call(client=client)

        assert said.error is not None
        assert (429, 40.0) == (said.error.http_status, said.error.retry_after_s)
        assert "2 targets were tried" in said.error.message
        assert [] == made.time.slept
        assert refused.error is not None
        assert (429, 40.0) == (refused.error.http_status, refused.error.retry_after_s)
        assert [] == refused.attempts
        assert [("a/m", "rate_limit"), ("b/m", "rate_limit")] == refused.skipped
        assert 1 == len(one.requests)


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_16_a_storm_is_bounded_and_recovered_from_within_30_seconds(client: str) -> None:
    """200 callers against targets that are all overloaded: few attempts each, then none, then all is well."""
    busy = True

    async def storm(connection: RawConnection, request: RawRequest) -> None:
        await (said_error(529, "Overloaded", "server_is_overloaded") if busy else healthy)(connection, request)

    async with two(then=storm, spare=storm, settings=LIMITS.replace("300ms", "20s")) as (made, one, other):
        said = await asyncio.gather(*(made.call(client=client) for _ in range(200)))
        asked = len(one.requests) + len(other.requests)
        late = await made.call(client=client)

        assert all(each.error is not None and each.error.http_status == 503 for each in said)
        assert max(len(each.attempts) for each in said) <= 6
        assert asked <= 200 * 6
        assert [("a/m", "circuit_open"), ("b/m", "circuit_open")] == late.skipped
        assert late.error is not None
        assert 0 < (late.error.retry_after_s or 0) <= 30
        assert "failed too often" in late.error.message
        assert json.loads(late.body)["error"]["message"] == late.error.message
        assert 0 < int(late.headers["retry-after"]) <= 30

        busy = False
        made.time.now_s += 30
        await next_call_works(made, client, False)
        assert all(each.error is None for each in await asyncio.gather(*(made.call(client=client) for _ in range(50))))


@pytest.mark.parametrize(("client", "stream"), FORMS)
async def test_fault_17_a_flapping_primary_is_returned_to(client: str, stream: bool) -> None:
    down = said_error(500, "The server had an error")
    async with two(*[down] * 12) as (made, one, _):
        during = [await made.call(client=client, stream=stream) for _ in range(6)]
        made.time.now_s += 30
        later = await made.call(client=client, stream=stream)

        for each in (*during, later):
            answered(each, client, stream=stream)
        assert all(each.attempts[-1] == ("b/m", "ok") for each in during)
        assert [("a/m", "circuit_open")] == during[-1].skipped
        assert 10 <= len(one.requests) - 1 <= 12
        assert ("b/m", "ok") == later.attempts[-1] or [("a/m", "ok")] == later.attempts
        made.time.now_s += 60
        await made.call()
        made.time.now_s += 60
        assert [("a/m", "ok")] == (await made.call(client=client, stream=stream)).attempts


# -- 18, 19: the client's own

LONG = said_error(400, "This model's maximum context length is 8192 tokens", "context_length_exceeded")


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_18_too_long_a_context_goes_only_to_a_model_known_to_take_more(client: str) -> None:
    async with raw_server(acts(then=LONG)) as small, raw_server(acts(then=healthy)) as large:
        models = "models: {small: {context: 8000}, same: {context: 8000}, unknown: {}}"
        text = f"providers:\n{provider('a', small, models)}{provider('b', large, 'models: {large: {context: 64000}}')}"
        combos = (
            "combos: {smart: {targets: [a/small, a/same, a/unknown, b/large]}, none: {targets: [a/small, a/same]}}\n"
        )
        async with pipeline(text + combos + LIMITS) as made:
            said = await made.call(client=client)
            hopeless = await made.call("none", client=client)

            assert [("a/small", "context_length"), ("b/large", "ok")] == said.attempts
            assert [("a/small", "context_length")] == hopeless.attempts
            assert hopeless.error is not None
            assert ("context_length", 400) == (hopeless.error.kind, hopeless.error.http_status)


REFUSES = said_error(400, "Your request was rejected by our safety system", "content_policy_violation")


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_19_a_content_refusal_is_passed_on_unless_the_combo_says_otherwise(client: str) -> None:
    async with two(then=REFUSES) as (made, _, other):
        said = await made.call(client=client)

        assert said.error is not None
        assert ("content_policy", [("a/m", "content_policy")]) == (said.error.kind, said.attempts)
        assert [] == other.requests
    async with two(then=REFUSES, combo=", refusals: next") as (made, _, _):
        said = await made.call(client=client)

        assert [("a/m", "content_policy"), ("b/m", "ok")] == said.attempts


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_error_of_the_clients_is_passed_on_at_once(client: str, status: int) -> None:
    async with two(then=said_error(status, "Invalid 'seed'", "invalid_value")) as (made, one, other):
        said = await made.call(client=client)

        assert said.error is not None
        assert 400 <= said.error.http_status < 500
        assert (1, 0) == (len(one.requests), len(other.requests))
        assert [] == said.record.skipped
        assert ("a/m", "ok") not in said.attempts


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (said_error(401, "Incorrect API key", "invalid_api_key"), "upstream_auth"),
        (said_error(403, "No access to the model"), "upstream_auth"),
        (said_error(429, "You exceeded your current quota", "insufficient_quota"), "upstream_quota"),
        (said_error(404, "The model does not exist", "model_not_found"), "model_not_found"),
    ],
)
async def test_what_is_wrong_with_our_account_goes_to_the_next_target_unasked_again(fault: Act, kind: str) -> None:
    async with two(then=fault) as (made, one, _):
        said = await made.call()

        assert [("a/m", kind), ("b/m", "ok")] == said.attempts
        assert 1 == len(one.requests)


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
