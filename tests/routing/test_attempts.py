"""Combos, connections, places and time: who is asked, in which order, and when it is enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from runtime.catalog import Endpoint
from runtime.errors import InvalidRequest, RouteUnavailable, UpstreamFailed
from runtime.gateway import EmbedCall
from runtime.protocols import embedder
from runtime.resilience import Ticket
from runtime.routing import Attempt, UnsayableError
from runtime.telemetry import Note
from runtime.web.key import KeyRecord
from tests.routing.test_faults import healthy, said_error
from tests.support.pipeline import Act, Pipeline, Said, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, RawServer, answer, raw_server

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BROKEN = said_error(500, "The server had an error")


@asynccontextmanager
async def several(
    config: str, scripts: Mapping[str, Act], settings: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[Pipeline, dict[str, RawServer]], None]:
    """A provider per script, each with a model ``m``; ``config`` says the rest."""
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(raw_server(acts(then=act))) for name, act in scripts.items()}
        providers = "".join(provider(name, server, (settings or {}).get(name, "")) for name, server in servers.items())
        yield await stack.enter_async_context(pipeline(f"providers:\n{providers}{config}\n")), servers


async def served(made: Pipeline, count: int, model: str = "smart") -> str:
    """The providers that answered ``count`` calls, a letter each."""
    return "".join([(await made.call(model)).record.provider for _ in range(count)])


async def test_a_combo_inside_another_is_one_target_there_and_keeps_its_own_order() -> None:
    config = """combos:
  inner: {strategy: round-robin, targets: [b/m, c/m]}
  smart: {strategy: round-robin, targets: [a/m, {model: through}]}
aliases: {through: inner}
"""
    async with several(config, dict.fromkeys("abc", healthy)) as (made, _):
        assert "abacabac" == await served(made, 8)


async def test_a_combo_of_which_all_fail_gives_way_to_what_stands_behind_it() -> None:
    config = "combos: {inner: {targets: [a/m, b/m]}, smart: {targets: [inner, c/m]}}\nretries: {per_target: 0}"
    async with several(config, {"a": BROKEN, "b": BROKEN, "c": healthy}) as (made, _):
        said = await made.call()

        assert [("a/m", "server_error"), ("b/m", "server_error"), ("c/m", "ok")] == said.attempts


async def test_a_target_that_two_ways_lead_to_is_asked_once() -> None:
    config = "combos: {inner: {targets: [a/m, b/m]}, smart: {targets: [inner, {model: a/m, when: {needs: [tools]}}, c/m]}}\nretries: {per_target: 0}"
    async with several(config, {"a": BROKEN, "b": BROKEN, "c": healthy}) as (made, _):
        said = await made.call(tools=[TOOL])

        assert [("a/m", "server_error"), ("b/m", "server_error"), ("c/m", "ok")] == said.attempts


async def test_names_of_one_combo_share_its_turn() -> None:
    config = "combos: {smart: {strategy: round-robin, targets: [a/m, b/m]}}\naliases: {also: smart, 'x-*': smart}"
    async with several(config, dict.fromkeys("ab", healthy)) as (made, _):
        names = ("smart", "also", "x-1", "smart")

        assert "abab" == "".join([await served(made, 1, name) for name in names])


async def test_last_known_good_stays_with_who_answered() -> None:
    config = "combos: {smart: {strategy: last-known-good, targets: [a/m, b/m]}}\nretries: {per_target: 0}"
    fails = [True]

    async def once(connection: RawConnection, request: RawRequest) -> None:
        await (BROKEN if fails and fails.pop() else healthy)(connection, request)

    async with several(config, {"a": once, "b": healthy}) as (made, _):
        assert "bbb" == await served(made, 3)
        await made.call("a/m")
        assert "b" == await served(made, 1)


CONDITIONS = """combos:
  smart:
    strategy: conditional
    targets:
      - c/m
      - {model: a/m, when: {needs: [tools]}}
      - {model: b/m, when: {min_input_tokens: 500}}
  strict: {targets: [{model: a/m, when: {needs: [tools]}}]}
  mine: {targets: [{model: a/m, when: {keys: [laptop]}}, b/m]}
keys: {laptop: {key: "${LAPTOP}", scopes: [chat]}}
"""
LONG = [{"role": "user", "content": "one more word " * 500}]


async def test_conditions_choose_by_what_a_request_uses() -> None:
    async with several(CONDITIONS, dict.fromkeys("abc", healthy)) as (made, _):
        assert [("c/m", "ok")] == (await made.call()).attempts
        assert [("a/m", "ok")] == (await made.call(tools=[TOOL])).attempts
        assert [("b/m", "ok")] == (await made.call(messages=LONG)).attempts
        assert [("a/m", "ok")] == (await made.call("mine", key="laptop")).attempts
        assert [("b/m", "ok")] == (await made.call("mine", key="other")).attempts


async def test_a_request_that_meets_no_condition_is_told_so() -> None:
    async with several(CONDITIONS, dict.fromkeys("abc", healthy)) as (made, servers):
        said = await made.call("strict")

        assert isinstance(said.error, InvalidRequest)
        assert "model" == said.error.param
        assert [] == servers["a"].requests


async def test_each_attempt_is_made_anew_from_what_the_client_sent() -> None:
    """The first target is passed the body, the second gets it translated, the third is passed it again, unharmed."""
    config = "combos: {smart: {targets: [a/m, b/m, c/m]}}\nretries: {per_target: 1}"
    async with AsyncExitStack() as stack:
        scripts = {"a": BROKEN, "b": BROKEN, "c": healthy}
        servers = {name: await stack.enter_async_context(raw_server(acts(then=act))) for name, act in scripts.items()}
        protocols = {"a": "openai_chat", "b": "anthropic_messages", "c": "openai_chat"}
        text = "".join(provider(name, each, protocol=protocols[name]) for name, each in servers.items())
        made = await stack.enter_async_context(pipeline(f"providers:\n{text}{config}\n"))
        twice = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]

        said = await made.call(messages=twice, seed=1)

        assert ["server_error"] * 4 + ["ok"] == [outcome for _, outcome in said.attempts]
        first, last = servers["a"].requests[0].body, servers["c"].requests[0].body
        assert first == last == servers["a"].requests[1].body
        assert servers["b"].requests[0].body == servers["b"].requests[1].body
        assert 1 == servers["b"].requests[0].body.count(b"two")
        assert said.record.passed_through
        assert () == said.record.losses
        assert "x-gatewright-dropped" not in said.headers


# -- connections

TWO = "connections_strategy: round-robin, connections: [{id: x}, {id: z}], models: {m: {}}"


async def test_connections_have_their_own_order() -> None:
    async with several("", {"a": healthy}, {"a": TWO}) as (made, _):
        used = [(await made.call("a/m")).record.connection for _ in range(4)]

        assert ["a/x", "a/z", "a/x", "a/z"] == used


async def test_connections_are_filled_in_the_order_written_unless_told_otherwise() -> None:
    async with several("", {"a": healthy}, {"a": TWO.replace("round-robin", "fill-first")}) as (made, _):
        assert ["a/x"] * 3 == [(await made.call("a/m")).record.connection for _ in range(3)]


async def test_an_account_that_is_refused_gives_way_to_the_next_of_the_same_provider() -> None:
    refused = [said_error(429, "quota", "insufficient_quota")]

    async def first(connection: RawConnection, request: RawRequest) -> None:
        await (refused.pop() if refused else healthy)(connection, request)

    async with several("", {"a": first}, {"a": TWO.replace("round-robin", "fill-first")}) as (made, _):
        said = await made.call("a/m")

        assert [("a/x", "upstream_quota"), ("a/z", "ok")] == [
            (each.connection, each.outcome) for each in said.record.attempts
        ]
        assert [("a/m", "quota")] == (await made.call("a/m")).skipped


async def test_a_server_that_fails_is_not_asked_again_over_its_other_connections() -> None:
    async with several("retries: {per_target: 1}", {"a": BROKEN}, {"a": TWO}) as (made, servers):
        said = await made.call("a/m")

        assert isinstance(said.error, UpstreamFailed)
        assert 2 == len(servers["a"].requests)


async def test_a_target_may_be_one_connection() -> None:
    config = "combos: {smart: {targets: [{model: a/m, connection: z}]}}"
    async with several(config, {"a": healthy}, {"a": TWO}) as (made, _):
        assert ["a/z"] * 3 == [(await made.call()).record.connection for _ in range(3)]


# -- places


def waits(said: Said) -> list[str]:
    """What was noted of the time a call waited in a queue."""
    return [step.text for step in said.record.trail if isinstance(step, Note) and step.kind == "queue"]


ONE_PLACE = "connections: [{id: x, max_in_flight: 1}], models: {m: {}}"


async def test_a_full_connection_gives_way_and_else_is_waited_for() -> None:
    release = asyncio.Event()

    async def slow(connection: RawConnection, request: RawRequest) -> None:
        await release.wait()
        await healthy(connection, request)

    config = "combos: {smart: {targets: [a/m, b/m]}}\ntimeouts: {queue: 5s}"
    async with several(config, {"a": slow, "b": healthy}, {"a": ONE_PLACE}) as (made, servers):
        first = asyncio.create_task(made.call())
        while not servers["a"].requests:
            await asyncio.sleep(0)
        assert [("b/m", "ok")] == (await made.call()).attempts
        waiting = asyncio.create_task(made.call("a/m"))
        await asyncio.sleep(0)
        assert 1 == len(servers["a"].requests)
        made.time.now_s += 1.25
        release.set()

        assert [("a/m", "ok")] == (await first).attempts == (await waiting).attempts
        assert ["waited 1.250 s: its connection had no free place before"] == waits(await waiting)
        assert [] == waits(await first)


async def test_a_provider_may_have_a_wait_of_its_own_which_a_change_of_the_common_one_leaves_alone() -> None:
    async def never(connection: RawConnection, request: RawRequest) -> None:
        await connection.gone()

    places = {"a": f"timeouts: {{queue: 1ms}}, {ONE_PLACE}", "b": f"timeouts: {{idle: 30s}}, {ONE_PLACE}"}
    async with several("timeouts: {queue: 1h}", {"a": never, "b": never}, places) as (made, servers):
        running = [asyncio.create_task(made.call(name)) for name in ("a/m", "b/m")]
        while not (servers["a"].requests and servers["b"].requests):
            await asyncio.sleep(0)
        assert [("a/m", "busy")] == (await made.call("a/m")).skipped
        waiting = asyncio.create_task(made.call("b/m"))
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done, "a provider that says nothing of the queue waits as long as all"
        made.attempts.adopt(msgspec.structs.replace(made.attempts.pace, queue_ms=1))
        assert [("b/m", "busy")] == (await made.call("b/m")).skipped
        for call in (waiting, *running):
            call.cancel()


async def test_nobody_waits_for_a_place_longer_than_allowed() -> None:
    async def never(connection: RawConnection, request: RawRequest) -> None:
        await connection.gone()

    async with several("timeouts: {queue: 1ms}", {"a": never}, {"a": ONE_PLACE}) as (made, servers):
        first = asyncio.create_task(made.call("a/m"))
        while not servers["a"].requests:
            await asyncio.sleep(0)
        said = await made.call("a/m")
        first.cancel()

        assert isinstance(said.error, RouteUnavailable)
        assert 503 == said.error.http_status
        assert "all places of its connection are taken" in said.error.message
        assert [("a/m", "busy")] == said.skipped
        assert ["waited 0.000 s: no place became free"] == waits(said)


@asynccontextmanager
async def waiting_for_the_place_of_another_model() -> AsyncGenerator[tuple[Pipeline, asyncio.Task[Said], Ticket]]:
    """A call of a/m, whose breaker is due for a trial, and the ticket of a/n's call that has the connection's only place."""
    config = "breakers: {minimum_calls: 1, open_for: 1s}\ntimeouts: {queue: 1h}"
    async with several(config, {"a": healthy}, {"a": ONE_PLACE}) as (made, _):
        broken = made.health.enter("a/m", "a/x")
        assert broken is not None
        broken.end(UpstreamFailed("500"))
        made.time.now_s += 1
        other = made.health.enter("a/n", "a/x")
        assert other is not None
        call = asyncio.create_task(made.call("a/m"))
        while not made.health.snapshot().places[0].waiting:
            await asyncio.sleep(0)
        yield made, call, other


async def test_a_call_that_waited_for_a_place_is_the_trial_of_its_model() -> None:
    async with waiting_for_the_place_of_another_model() as (made, call, other):
        other.end()

        assert [("a/m", "ok")] == (await call).attempts
        assert made.health.hindrance("a/m", "a/x") is None


async def test_a_call_that_waited_for_a_place_leaves_it_and_anothers_trial_alone() -> None:
    async with waiting_for_the_place_of_another_model() as (made, call, other):
        trial = made.health.enter("a/m", "a/y")
        assert trial is not None
        other.end()

        assert [("a/m", "circuit_open")] == (await call).skipped
        assert made.health.hindrance("a/m", "a/x") is not None, "the trial is still under way"
        assert 0 == made.health.snapshot().places[0].taken
        trial.end()
        assert [("a/m", "ok")] == (await made.call("a/m")).attempts


async def test_who_is_to_be_asked_again_and_has_to_wait_for_it_is_not_when_its_breaker_opens_meanwhile() -> None:
    fails = asyncio.Event()

    async def broken_late(connection: RawConnection, request: RawRequest) -> None:
        await fails.wait()
        await BROKEN(connection, request)

    config = "breakers: {minimum_calls: 2}\ntimeouts: {queue: 1h}"
    async with several(config, {"a": broken_late}, {"a": ONE_PLACE}) as (made, servers):

        async def until_somebody_waits() -> None:
            while not made.health.snapshot().places[0].waiting:
                await asyncio.sleep(0)

        call = asyncio.create_task(made.call("a/m"))
        while not servers["a"].requests:
            await asyncio.sleep(0)
        next_one = asyncio.create_task(made.health.queue("a/n", "a/x", 3600))
        await until_somebody_waits()
        fails.set()
        other = await next_one
        assert isinstance(other, Ticket)
        await until_somebody_waits()
        broken = made.health.enter("a/m", "a/y")
        assert broken is not None
        broken.end(UpstreamFailed("500"))
        other.end()

        assert [("a/m", "server_error")] == (await call).attempts
        assert 0 == made.health.snapshot().places[0].taken


# -- time and numbers


async def test_no_wait_goes_beyond_the_time_of_the_whole_request() -> None:
    limited = said_error(429, "slow down", "rate_limit_exceeded", "retry-after: 5")
    async with several("timeouts: {total: 3s}", {"a": limited}) as (made, servers):
        said = await made.call("a/m")

        assert said.error is not None
        assert ("rate_limit", 5.0) == (said.error.kind, said.error.retry_after_s)
        assert ([], 1) == (made.time.slept, len(servers["a"].requests))


async def test_no_request_makes_more_attempts_than_allowed() -> None:
    config = "combos: {smart: {targets: [a/m, b/m]}}\nretries: {per_target: 10, attempts: 4}"
    async with several(config, {"a": BROKEN, "b": healthy}) as (made, _):
        said = await made.call()

        assert ["server_error"] * 4 == [outcome for _, outcome in said.attempts]


async def test_the_wait_between_attempts_grows_and_stays_within_its_limits() -> None:
    config = "retries: {per_target: 6, backoff: 100ms, max_backoff: 400ms}\nbreakers: {mode: ignore}"
    async with several(config, {"a": BROKEN}) as (made, _):
        await made.call("a/m")

        longest = [0.1, 0.2, 0.4, 0.4, 0.4, 0.4]
        assert len(longest) == len(made.time.slept)
        assert all(0 <= wait_s <= limit_s for wait_s, limit_s in zip(made.time.slept, longest, strict=True))
        assert len(set(made.time.slept)) > 1


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (said_error(400, "too long", "context_length_exceeded"), BROKEN, "context_length"),
        (said_error(429, "slow", "rate_limit_exceeded", "retry-after: 60"), BROKEN, "rate_limit"),
        (said_error(404, "no such model", "model_not_found"), BROKEN, "server_error"),
        (BROKEN, said_error(529, "Overloaded", "server_is_overloaded"), "overloaded"),
    ],
)
async def test_when_all_fail_the_client_is_told_what_tells_it_most(first: Act, second: Act, kind: str) -> None:
    """Its own fault before a rate limit, that before the last error; never that everything is down."""
    config = "combos: {smart: {targets: [a/m, b/m]}}"
    sizes = {"a": "models: {m: {context: 1000}}", "b": "models: {m: {context: 2000}}"}
    async with several(config, {"a": first, "b": second}, sizes) as (made, _):
        said = await made.call()

        assert said.error is not None
        assert kind == said.error.kind
        assert "2 targets were tried" in said.error.message
        assert b"2 targets were tried" in said.body


async def test_what_one_target_cannot_be_told_another_may_understand() -> None:
    """And it is held against nobody."""
    asked: list[str] = []

    async def ask(attempt: Attempt) -> str:
        asked.append(attempt.candidate.id)
        if len(asked) == 1:
            raise UnsayableError(InvalidRequest("this protocol has no word for it", param="x"))
        return attempt.candidate.id

    async with several("combos: {smart: {targets: [a/m, b/m]}}", dict.fromkeys("ab", healthy)) as (made, _):
        gateway = made.gateway
        prepared = gateway._routes.prepared("smart", "openai_chat", Endpoint.CHAT)
        record = made.recorder.begin("id", "chat", "openai_chat")

        assert "b/m" == await gateway._attempts.run(prepared, lambda: None, record, ask)  # type: ignore[arg-type, return-value]
        assert ["invalid_request", "ok"] == [each.outcome for each in record.attempts]
        assert 1.0 == made.health.lane("a/m", "a/default").success


# -- the other calls


async def test_a_count_goes_to_the_next_target_and_is_held_against_nobody() -> None:
    async def counts(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(answer(b'{"input_tokens": 42}', "content-type: application/json"))

    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(raw_server(acts(then=BROKEN)))
        other = await stack.enter_async_context(raw_server(acts(then=counts)))
        text = provider("a", one, protocol="anthropic_messages") + provider("b", other, protocol="anthropic_messages")
        config = f"providers:\n{text}combos: {{smart: {{targets: [a/m, b/m]}}}}\nbreakers: {{minimum_calls: 1}}\n"
        made = await stack.enter_async_context(pipeline(config))
        for _ in range(3):
            count = await made.gateway.count(made.make("anthropic_messages", "smart", stream=False))
            assert (42, False) == (count.tokens, count.estimated)

        assert (3, 3) == (len(one.requests), len(other.requests))
        assert [] == made.time.slept


async def test_vectors_are_asked_of_the_next_target_too() -> None:
    vectors = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}'

    async def embeds(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(answer(vectors, "content-type: application/json"))

    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(raw_server(acts(then=BROKEN)))
        other = await stack.enter_async_context(raw_server(acts(then=embeds)))
        models = "models: {m: {endpoint: embeddings}}"
        text = "".join(
            provider(name, server, models, "openai_embeddings") for name, server in (("a", one), ("b", other))
        )
        made = await stack.enter_async_context(
            pipeline(f"providers:\n{text}combos: {{smart: {{targets: [a/m, b/m]}}}}\n")
        )
        speak = embedder("openai_embeddings")
        record = made.recorder.begin("id-1", "embeddings", "openai_embeddings")
        envelope = speak.peek(json.dumps({"model": "smart", "input": ["a"]}).encode())
        key = KeyRecord(id="k", scopes=frozenset({"chat"}))

        reply = await made.gateway.embed(EmbedCall(embedder=speak, envelope=envelope, key=key, record=record))

        assert b'"smart"' in reply.body
        assert ["server_error"] * 3 + ["ok"] == [each.outcome for each in record.attempts]
