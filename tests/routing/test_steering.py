"""Pins, sessions, affinity, relays and quotas, as clients have them: who answers, and what it takes to move."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from runtime.errors import InvalidRequest, PermissionDenied, RateLimited, UpstreamAuthFailed
from runtime.gateway import EmbedCall
from runtime.protocols import embedder
from runtime.web.key import KeyRecord
from tests.routing.test_faults import JSON, WHOLE, asks_stream, healthy, said_error
from tests.support.pipeline import Act, Pipeline, Said, acts, compiled, pipeline
from tests.support.raw_server import RawConnection, RawRequest, answer, raw_server
from tests.support.routing import Time

LIMITED = said_error(429, "Slow down", "rate_limit_exceeded", "retry-after: 30")
REFUSED = said_error(401, "Bad key", "invalid_api_key")
ADMIN = KeyRecord(id="root", scopes=frozenset({"admin"}))
CODES = ("openai_chat", "anthropic_messages", "gemini", "openai_responses", "ollama_chat")


class Accounts(dict[str, Act]):
    """What each account does now."""

    def __init__(self, names: str) -> None:
        super().__init__(dict.fromkeys(names, healthy))

    async def act(self, connection: RawConnection, request: RawRequest) -> None:
        await self[request.headers["x-account"]](connection, request)


def config(
    url: str, names: str = "abc", settings: str = "", rest: str = "", each: Mapping[str, str] | None = None
) -> str:
    """A provider ``p`` with an account per letter and the models ``m`` and ``o``."""
    written = ", ".join(f"{{id: {name}, headers: {{x-account: {name}}}{(each or {}).get(name, '')}}}" for name in names)
    return (
        f"providers: {{p: {{base_url: '{url}', local: true, surfaces: {{openai_chat: {{}}}}, auth: {{scheme: none}}, "
        f"models: {{m: {{}}, o: {{}}}}, connections: [{written}]{settings}}}}}\n{rest}\n"
    )


@asynccontextmanager
async def accounts(
    settings: str = "", rest: str = "retries: {per_target: 0}", each: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[Pipeline, Accounts], None]:
    made = Accounts("abc")
    async with (
        raw_server(acts(then=made.act)) as server,
        pipeline(config(server.url, settings=settings, rest=rest, each=each)) as served,
    ):
        yield served, made


def who(said: Said) -> str:
    """The account that answered."""
    assert said.error is None, said.error
    return said.record.connection.removeprefix("p/")


async def answered(made: Pipeline, count: int, session: str = "", model: str = "p/m", **fields: Any) -> str:
    headers = {"x-session-id": session} if session else {}
    return "".join([who(await made.call(model, headers=headers, **fields)) for _ in range(count)])


# -- pinning


@pytest.mark.parametrize("header", ["x-omniroute-connection", "x-gatewright-connection"])
@pytest.mark.parametrize("wanted", ["p/c", "c"])
async def test_a_request_that_demands_a_connection_gets_that_one(header: str, wanted: str) -> None:
    async with accounts() as (made, _):
        assert ["c", "c"] == [who(await made.call("p/m", headers={header: wanted}, key=ADMIN)) for _ in range(2)]


@pytest.mark.parametrize("client", CODES)
async def test_a_connection_that_does_not_serve_the_model_is_refused_in_the_clients_dialect(client: str) -> None:
    async with accounts() as (made, _):
        said = await made.call("p/m", client=client, headers={"x-omniroute-connection": "p/z"}, key=ADMIN)

        assert isinstance(said.error, InvalidRequest)
        assert "x-omniroute-connection" in said.body.decode()
        assert [] == said.attempts


@pytest.mark.parametrize(
    ("pins", "allowed"), [((), False), (("p/a",), False), (("p/c",), True), (("p/*",), True), (("*",), True)]
)
async def test_a_key_demands_only_the_connections_it_may(pins: tuple[str, ...], allowed: bool) -> None:
    key = KeyRecord(id="k", scopes=frozenset({"chat"}), pins=pins)
    async with accounts() as (made, _):
        said = await made.call("p/m", headers={"x-omniroute-connection": "c"}, key=key)
        hidden = await made.call("p/m", headers={"x-omniroute-connection": "z"}, key=key)

        assert allowed is (said.error is None)
        assert allowed or isinstance(said.error, PermissionDenied)
        assert isinstance(hidden.error, InvalidRequest if pins == ("*",) else PermissionDenied)


async def test_a_demanded_connection_that_fails_or_rests_is_never_replaced() -> None:
    headers = {"x-omniroute-connection": "p/b"}
    async with accounts(rest="retries: {per_target: 2, max_retry_after: 1s}") as (made, at):
        at["b"] = LIMITED
        first = await made.call("p/m", headers=headers, key=ADMIN)
        made.time.now_s += 10
        second = await made.call("p/m", headers=headers, key=ADMIN, client="anthropic_messages", stream=True)

        assert isinstance(first.error, RateLimited)
        assert isinstance(second.error, RateLimited)
        assert [("p/m", "rate_limit")] == first.attempts
        assert [] == second.attempts
        assert second.error.retry_after_s == pytest.approx(20, abs=0.5)
        assert "20" == second.headers["retry-after"]
        at["b"] = REFUSED
        made.time.now_s += 30
        assert isinstance((await made.call("p/m", headers=headers, key=ADMIN)).error, UpstreamAuthFailed)


async def test_counts_and_vectors_obey_the_demand_too() -> None:
    async with accounts() as (made, _):
        headers = {"x-omniroute-connection": "p/z"}
        call = made.make("openai_chat", "p/m", stream=False, headers=headers, key=ADMIN)
        for ask in (made.gateway.check, made.gateway.choose):
            with pytest.raises(InvalidRequest):
                ask(call)
        with pytest.raises(InvalidRequest):
            await made.gateway.count(call)


async def test_vectors_go_over_the_connection_that_is_demanded() -> None:
    seen: list[str] = []

    async def act(connection: RawConnection, request: RawRequest) -> None:
        seen.append(request.headers["x-account"])
        body = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":1,"total_tokens":1}}'
        await connection.send(answer(body, JSON))

    async with raw_server(acts(then=act)) as server:
        text = (
            config(server.url)
            .replace("openai_chat: {}", "openai_embeddings: {}")
            .replace("m: {}", "m: {endpoint: embeddings}")
        )
        async with pipeline(text.replace(", o: {}", "")) as made:
            speak = embedder("openai_embeddings")
            named: list[str | None] = []
            for headers in ({"x-omniroute-connection": "b"}, {"x-session-id": "s", "x-omniroute-connection": "c"}):
                record = made.recorder.begin("id", "embeddings", "openai_embeddings")
                envelope = speak.peek(b'{"model":"p/m","input":"a"}')
                call = EmbedCall(embedder=speak, envelope=envelope, key=ADMIN, record=record, headers=headers)
                named.append(dict((await made.gateway.embed(call)).headers).get("x-omniroute-session-id"))

    assert ["b", "c"] == seen
    assert [None, "s"] == named


# -- sessions


def stepped(made: Pipeline, step: str) -> int:
    """What the metrics count of a step of sessions."""
    found = re.search(rf'gatewright_sessions_total{{step="{step}"}} (\d+)', made.metrics.render().decode())
    return int(found[1]) if found else 0


async def test_a_session_stays_with_its_connection_whatever_the_strategy() -> None:
    async with accounts(settings=", connections_strategy: round-robin") as (made, _):
        assert "abc" == await answered(made, 3)
        first = await answered(made, 1, "one")
        second = await answered(made, 1, "two")

        assert first != second
        assert first * 5 == await answered(made, 5, "one")
        assert second * 3 == await answered(made, 3, "two", model="p/o")


async def test_the_answer_names_the_session() -> None:
    async with accounts() as (made, _):
        said = await made.call("p/m", headers={"x_session_id": "one"})
        none = await made.call("p/m")

        assert "one" == said.headers["x-omniroute-session-id"]
        assert "x-omniroute-session-id" not in none.headers


async def test_a_session_falls_back_like_any_request_and_stays_where_it_came_to() -> None:
    async with accounts() as (made, at):
        assert "aa" == await answered(made, 2, "one")
        at["a"] = LIMITED
        assert "bb" == await answered(made, 2, "one")
        at["a"] = healthy
        made.time.now_s += 100

        assert "bb" == await answered(made, 2, "one")
        assert "a" == await answered(made, 1)
        steps = [stepped(made, step) for step in ("new", "kept", "moved", "away")]
        assert [1, 4, 1, 0] == steps


async def test_a_session_whose_connection_is_only_busy_comes_back() -> None:
    async with accounts(each={"a": ", max_in_flight: 1"}) as (made, _):
        assert "a" == await answered(made, 1, "one")
        ticket = made.health.enter("p/m", "p/a")
        assert ticket is not None
        assert "b" == await answered(made, 1, "one")
        assert 1 == stepped(made, "away")
        ticket.abandon()

        assert "a" == await answered(made, 1, "one")


async def test_another_keys_session_of_the_same_name_is_another_one() -> None:
    async with accounts(settings=", connections_strategy: round-robin") as (made, _):
        assert "a" == await answered(made, 1, "one")
        assert "b" == await answered(made, 1, "one", key="other")
        assert "a" == await answered(made, 1, "one")
        assert ["p/a"] == [each.connections["p"] for each in await made.sessions.entries("k")]


async def test_two_workers_keep_one_session_in_one_place() -> None:
    at = Accounts("abc")
    async with raw_server(acts(then=at.act)) as server:
        plan = compiled(config(server.url, settings=", connections_strategy: round-robin"))
        time = Time()
        one = Pipeline(plan, time)
        two = Pipeline(plan, time, shared=one.shared)
        try:
            await answered(two, 1)
            assert "a" == await answered(one, 1, "s")
            assert "aa" == await answered(two, 2, "s")
        finally:
            await one.upstream.aclose()
            await two.upstream.aclose()


SMART = "combos: {smart: {strategy: round-robin, targets: [p/m, p/o]}}\nretries: {per_target: 0}\n"


async def targets(made: Pipeline, count: int, session: str = "one", **fields: Any) -> str:
    headers = {"x-session-id": session}
    return "".join([(await made.call(headers=headers, **fields)).record.served[-1] for _ in range(count)])


async def test_the_target_of_a_combo_is_kept_where_the_operator_says_so() -> None:
    async with accounts(rest=SMART) as (made, _):
        assert "momo" == await targets(made, 4)
    async with accounts(rest=SMART + "sessions: {keep: target}") as (made, _):
        assert "mmm" == await targets(made, 3)
        assert "ooo" == await targets(made, 3, "two")


async def test_conditions_are_stronger_than_sessions_and_move_none() -> None:
    rest = "combos: {smart: {strategy: conditional, targets: [{model: p/m, when: {needs: [tools]}}, p/o]}}\nsessions: {keep: target}"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    async with accounts(rest=rest) as (made, _):
        assert "m" == await targets(made, 1, tools=[tool])
        assert "o" == await targets(made, 1)
        assert "m" == await targets(made, 1, tools=[tool])


@pytest.mark.parametrize("client", CODES)
async def test_an_id_that_cannot_be_one_is_refused_in_the_clients_dialect(client: str) -> None:
    async with accounts() as (made, _):
        said = await made.call("p/m", client=client, headers={"x-session-id": "x" * (1 << 20)})

        assert isinstance(said.error, InvalidRequest)
        assert b"x-session-id" in said.body
        assert len(said.body) < 1000


async def test_sessions_that_are_off_are_not_kept() -> None:
    async with accounts(settings=", connections_strategy: round-robin, sessions: 'off'") as (made, _):
        assert "abc" == await answered(made, 3, "one")


def turns(first: str, *more: str) -> list[dict[str, str]]:
    roles = itertools.cycle(["assistant", "user"])
    return [{"role": "user", "content": first}, *({"role": next(roles), "content": text} for text in more)]


@pytest.mark.parametrize("client", ["openai_chat", "anthropic_messages"])
async def test_a_conversation_is_a_session_where_the_operator_says_so(client: str) -> None:
    settings = ", connections_strategy: round-robin, sessions: derived"
    async with accounts(settings=settings) as (made, _):
        one = await answered(made, 1, messages=turns("one"), client=client)
        two = await answered(made, 1, messages=turns("two"), client=client)
        assert one != two
        assert one * 2 == await answered(made, 2, messages=turns("one", "yes", "and?"), client=client)
        said = await made.call("p/m", messages=turns("two", "yes", "no"), client=client)

        assert two == who(said)
        assert 32 == len(said.headers["x-omniroute-session-id"])


# -- conversations that begin alike


async def test_conversations_that_begin_alike_go_over_one_connection() -> None:
    async with accounts(settings=", connections_strategy: prefix-affinity") as (made, at):
        first = {text: await answered(made, 1, messages=turns(text)) for text in map(str, range(12))}
        again = {text: await answered(made, 1, messages=turns(text, "a", "b")) for text in first}
        assert first == again
        assert set("abc") == set(first.values())
        at["b"] = LIMITED
        moved = {text: await answered(made, 1, messages=turns(text)) for text in first}

        assert all(moved[text] == first[text] for text in first if first[text] != "b")
        assert "b" not in moved.values()


async def test_marks_for_the_providers_cache_do_not_change_how_a_conversation_begins() -> None:
    marked = [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}]
    plain = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, *turns("x", "y")[1:], *turns("z")]
    async with accounts(settings=", sessions: derived") as (made, _):
        ids = {
            (await made.call("p/m", client="anthropic_messages", messages=messages)).headers["x-omniroute-session-id"]
            for messages in (marked, plain)
        }

        assert 1 == len(ids)


# -- relays

RELAY = "combos: {smart: {strategy: context-relay, targets: [p/m, p/o]}}\nretries: {per_target: 0}\n"


async def test_a_relay_hands_a_conversation_on_and_does_not_take_it_back() -> None:
    async with accounts(rest=RELAY) as (made, at):
        assert "mm" == await targets(made, 2)

        async def only_o(connection: RawConnection, request: RawRequest) -> None:
            await (healthy if b'"o"' in request.body else LIMITED)(connection, request)

        at.update(dict.fromkeys("abc", only_o))
        assert "oo" == await targets(made, 2)
        at.update(dict.fromkeys("abc", healthy))
        made.time.now_s += 100
        assert "oo" == await targets(made, 2)
        assert "m" == await targets(made, 1, "two")


async def test_a_relay_needs_no_id_to_know_a_conversation() -> None:
    async with accounts(rest=RELAY) as (made, _):
        said = await made.call(messages=turns("one"))

        assert 32 == len(said.headers["x-omniroute-session-id"])


def with_limits(remaining: int, reset: str) -> Act:
    lines = (
        f"x-ratelimit-remaining-requests: {remaining}",
        "x-ratelimit-limit-requests: 100",
        f"x-ratelimit-reset-requests: {reset}",
    )

    async def act(connection: RawConnection, request: RawRequest) -> None:
        assert not asks_stream(request)
        await connection.send(answer(WHOLE, JSON, *(lines if b'"m"' in request.body else ())))

    return act


async def test_a_relay_moves_before_the_end_where_the_operator_says_so() -> None:
    rest = RELAY.replace("targets:", "handoff_percent: 80, targets:").replace("p/m,", "{model: p/m, connection: a},")
    async with accounts(rest=rest) as (made, at):
        at["a"] = with_limits(30, "10s")
        assert "mm" == await targets(made, 2)
        at["a"] = with_limits(20, "10s")
        assert "m" == await targets(made, 1)
        assert "oo" == await targets(made, 2)
        made.time.now_s += 11

        assert "o" == await targets(made, 1)
        assert "m" == await targets(made, 1, "two")


# -- quotas


async def test_a_declared_limit_is_kept_and_what_is_left_of_it_is_back_with_time() -> None:
    each = {"a": ", limits: [{requests: 2, per: 1m}]", "b": ", limits: [{tokens: 1, per: 1m}]"}
    async with accounts(each=each) as (made, _):
        assert "aabcc" == await answered(made, 5)
        said = await made.call("p/m")
        assert [("p/m", "limit"), ("p/m", "limit")] == said.skipped
        made.time.now_s += 62

        assert "aabc" == await answered(made, 4)


async def test_counts_of_tokens_take_nothing_of_a_limit() -> None:
    async def counting(connection: RawConnection, request: RawRequest) -> None:
        lines = ("anthropic-ratelimit-requests-remaining: 0", "anthropic-ratelimit-requests-reset: 60")
        await connection.send(answer(b'{"input_tokens": 7}', JSON, *lines))

    async with raw_server(acts(then=counting)) as server:
        each = dict.fromkeys("abc", ", limits: [{requests: 1, per: 1m}]")
        text = config(server.url, each=each).replace("openai_chat: {}", "anthropic_messages: {count_tokens: /v1/c}")
        async with pipeline(text) as made:
            for _ in range(3):
                found = await made.gateway.count(made.make("anthropic_messages", "p/m", stream=False))
                assert (7, False) == (found.tokens, found.estimated)
            assert 1 == made.health.headroom("p/m", "p/a")


async def test_a_client_is_told_when_a_declared_limit_ends() -> None:
    each = dict.fromkeys("abc", ", limits: [{requests: 1, per: 1m}]")
    async with accounts(each=each) as (made, _):
        assert "abc" == await answered(made, 3)
        said = await made.call("p/m", client="anthropic_messages")

        assert isinstance(said.error, RateLimited)
        assert 55 < float(said.headers["retry-after"]) < 63
        assert [] == said.attempts


async def test_a_connection_that_said_it_is_empty_is_asked_last_until_its_reset() -> None:
    async with accounts() as (made, at):
        at["a"] = with_limits(0, "10s")
        assert "a" == await answered(made, 1)
        assert "bb" == await answered(made, 2)
        assert [("p/m", "spent")] == (await made.call("p/m")).skipped
        at["b"] = at["c"] = LIMITED
        assert "a" == await answered(made, 1)
        at["a"] = healthy
        made.time.now_s += 11

        assert "aa" == await answered(made, 2)


async def test_the_only_connection_is_asked_even_if_it_said_it_is_empty() -> None:
    async with accounts() as (made, at):
        at["a"] = with_limits(0, "10s")
        headers = {"x-omniroute-connection": "a"}
        for _ in range(2):
            said = await made.call("p/m", headers=headers, key=ADMIN)
            assert "a" == who(said)
            assert [] == said.skipped


async def test_no_conversation_is_lost_when_everything_comes_and_goes() -> None:
    """Under any sequence of failures a session's requests go to one connection until that one fails."""
    rng = Random(5)
    async with accounts(settings=", connections_strategy: random") as (made, at):
        home = await answered(made, 1, "one")
        for _ in range(30):
            out = rng.choice("abc")
            at.update(dict.fromkeys("abc", healthy))
            at[out] = LIMITED
            now = await answered(made, 1, "one")
            assert (now == home) is (out != home)
            home = now
            made.time.now_s += 60
