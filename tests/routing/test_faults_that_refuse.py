"""Providers that refuse, too much or for the client's own sake: who is asked next, and what the client is told."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.routing.test_faults import CLIENTS, FORMS, LIMITS, answered, healthy, next_call_works, said_error, two
from tests.support.pipeline import Act, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, raw_server

PATIENT = LIMITS.replace("300ms", "20s")
"""Nothing here is about time: a busy machine is no fault."""

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
    async with two(then=said_error(429, "slow down", "rate_limit_exceeded", *lines), settings=PATIENT) as (
        made,
        one,
        _,
    ):
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
    async with two(
        said_error(429, "slow down", "rate_limit_exceeded", f"retry-after: {seconds}"), settings=PATIENT
    ) as (made, _, _):
        said = await made.call("a/m")

        assert [("a/m", "rate_limit"), ("a/m", "ok")] == said.attempts
        assert seconds <= made.time.slept[0] <= seconds + 0.25


@pytest.mark.parametrize("client", CLIENTS)
async def test_fault_15_an_absurd_wait_is_passed_on_and_not_waited_for(client: str) -> None:
    limited = said_error(429, "slow down", "rate_limit_exceeded", "retry-after: 99999")
    async with two(
        then=limited, spare=said_error(429, "slow", "rate_limit_exceeded", "retry-after: 40"), settings=PATIENT
    ) as (
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

    async with two(then=storm, spare=storm, settings=PATIENT) as (made, one, other):
        made.time.moves = False
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
    async with two(*[down] * 12, settings=PATIENT) as (made, one, _):
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
    async with two(then=REFUSES, settings=PATIENT) as (made, _, other):
        said = await made.call(client=client)

        assert said.error is not None
        assert ("content_policy", [("a/m", "content_policy")]) == (said.error.kind, said.attempts)
        assert [] == other.requests
    async with two(then=REFUSES, combo=", refusals: next", settings=PATIENT) as (made, _, _):
        said = await made.call(client=client)

        assert [("a/m", "content_policy"), ("b/m", "ok")] == said.attempts


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_error_of_the_clients_is_passed_on_at_once(client: str, status: int) -> None:
    async with two(then=said_error(status, "Invalid 'seed'", "invalid_value"), settings=PATIENT) as (made, one, other):
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
    async with two(then=fault, settings=PATIENT) as (made, one, _):
        said = await made.call()

        assert [("a/m", kind), ("b/m", "ok")] == said.attempts
        assert 1 == len(one.requests)
