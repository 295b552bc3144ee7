"""Several prompts in one request over real sockets: one answer of all, or the failure of all; one record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from generated.config import RequestSettings
from runtime.call import Call, Complete, Streaming
from runtime.errors import GatewayError, InvalidRequest, RateLimited
from runtime.protocols import client_codec
from runtime.resilience import Door
from runtime.services.prompts import Prompts
from runtime.web.key import KeyRecord
from tests.support.pipeline import Pipeline, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, answer, chunk, each_request, head, raw_server

CODEC = client_codec("openai_completions")
LIMITS = "retries: {per_target: 0}\ncooldowns: {max: 0s}\nbreakers: {mode: ignore}\ntimeouts: {idle: 5s, total: 20s}\n"
SSE = ("transfer-encoding: chunked", "content-type: text/event-stream")
REFUSED = b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}'


class Model:
    """Says each prompt back in two pieces. The prompt's first word says what else happens.

    `busy`: 429. `refused`: 400. `cut`: the stream breaks after its first piece. `wait`: it goes on once ``go`` is set. `flaky`: the first
    time nothing comes.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone: list[str] = []
        self.open = 0
        self.most = 0
        self.go = asyncio.Event()

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        body = json.loads(request.body)
        prompt: str = body["messages"][0]["content"]
        self.asked.append(prompt)
        if prompt == "flaky" and self.asked.count(prompt) == 1:
            connection.reset()
            return
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(0.005)
            await (self._stream if body.get("stream") else self._whole)(connection, prompt, body.get("n") or 1)
        finally:
            self.open -= 1

    async def _whole(self, connection: RawConnection, prompt: str, size: int) -> None:
        if prompt.startswith("wait"):
            await self._wait(connection, prompt)
        status = {"busy": 429, "refused": 400}.get(prompt.split(maxsplit=1)[0], 200)
        choices = [{"index": at, "message": {"role": "assistant", "content": f"{prompt} {at}"}, "finish_reason": "stop"} for at in range(size)]  # fmt: skip
        usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
        said = json.dumps({"id": "x", "object": "chat.completion", "created": 7, "model": "m", "choices": choices, "usage": usage})  # fmt: skip
        body = REFUSED if status != 200 else said.encode()
        await connection.send(answer(body, "content-type: application/json", status=status))

    async def _stream(self, connection: RawConnection, prompt: str, size: int) -> None:
        if prompt.startswith(("busy", "refused")):
            await self._whole(connection, prompt, size)
            return
        await connection.send(head(200, *SSE) + self._piece({"role": "assistant", "content": prompt}))
        if prompt.startswith("wait"):
            await self._wait(connection, prompt)
        if prompt.startswith("cut"):
            connection.reset()
            return
        await connection.send(self._piece({"content": "!"}) + self._piece({}, "stop"))
        usage = b'{"id":"x","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}'
        await connection.send(chunk(b"data: %b\n\n" % usage) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def _wait(self, connection: RawConnection, prompt: str) -> None:
        """Until ``go``, or until nobody is there any more."""
        going, leaving = asyncio.ensure_future(self.go.wait()), asyncio.ensure_future(connection.gone())
        await asyncio.wait({going, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            self.gone.append(prompt)
        going.cancel()
        leaving.cancel()
        await asyncio.gather(going, leaving, return_exceptions=True)

    def _piece(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        said = {"id": "x", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]}
        return chunk(b"data: %b\n\n" % json.dumps(said).encode())


class Desk:
    def __init__(self, made: Pipeline, model: Model, door: Door) -> None:
        self.made = made
        self.model = model
        self.door = door

    def call(self, prompts: Iterable[str], *, stream: bool = False, **fields: Any) -> Call:
        body = {"model": "a/m", "prompt": list(prompts), "stream": stream, **fields}
        if stream:
            body["stream_options"] = {"include_usage": True}
        return Call(
            codec=CODEC,
            envelope=CODEC.peek(json.dumps(body).encode()),
            headers={},
            key=KeyRecord(id="k", scopes=frozenset({"chat"})),
            record=self.made.recorder.begin("id-1", "chat", CODEC.protocol),
        )

    async def ask(self, call: Call, *, at_once: int = 4, most: int = 64) -> Complete | Streaming:
        settings = RequestSettings(max_prompts=most, prompts_at_once=at_once)
        return await Prompts(self.made.gateway, self.door, settings, lambda: 1_795_219_200.0).infer(call)

    async def whole(self, call: Call, **how: int) -> dict[str, Any]:
        reply = await self.ask(call, **how)
        assert isinstance(reply, Complete)
        found: dict[str, Any] = json.loads(reply.body)
        return found

    async def stream(self, call: Call, **how: int) -> Streaming:
        reply = await self.ask(call, **how)
        assert isinstance(reply, Streaming)
        return reply

    async def streamed(self, call: Call, **how: int) -> list[str]:
        """Each event's data."""
        async with aclosing((await self.stream(call, **how)).chunks) as chunks:
            data = b"".join([each async for each in chunks])
        assert data.endswith(b"\n\n")
        return [event.removeprefix("data: ") for event in data.decode().split("\n\n") if event]

    async def let_go(self, *prompts: str) -> None:
        """Wait until the provider saw that nobody reads these."""
        async with asyncio.timeout(20):
            while set(prompts) - set(self.model.gone):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def desk(settings: str = LIMITS) -> AsyncGenerator[Desk, None]:
    model = Model()
    async with (
        raw_server(each_request(model.respond)) as server,
        pipeline(f"providers:\n{provider('a', server)}{settings}") as made,
    ):
        yield Desk(made, model, Door())


def texts(events: Iterable[str]) -> dict[int, str]:
    said: dict[int, str] = {}
    for event in events:
        for choice in json.loads(event).get("choices", ()):
            said[choice["index"]] = said.get(choice["index"], "") + choice["text"]
    return said


async def test_choices_are_numbered_through_and_everything_is_in_one_record() -> None:
    async with desk() as at:
        call = at.call(["one", "two", "three"], n=2)
        whole = await at.whole(call)

        assert [f"{word} {k}" for word in ("one", "two", "three") for k in (0, 1)] == [each["text"] for each in whole["choices"]]  # fmt: skip
        assert list(range(6)) == [each["index"] for each in whole["choices"]]
        assert {"prompt_tokens": 6, "completion_tokens": 9, "total_tokens": 15} == {
            name: whole["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")
        }
        assert ("cmpl-id-1", 1_795_219_200, "a/m") == (whole["id"], whole["created"], whole["model"])
        record = call.record
        assert [("a/m", "ok")] * 3 == [(each.target, each.outcome) for each in record.attempts]
        assert ("a/m", "a", "openai_chat", 200, "ok") == (
            record.served, record.provider, record.upstream_protocol, record.upstream_status, record.outcome,
        )  # fmt: skip
        assert record.usage is not None
        assert (6, 9) == (record.usage.total_input, record.usage.output)


async def test_headers_tell_what_all_calls_came_to() -> None:
    async with desk() as at:
        reply = await at.ask(at.call(["one", "two"], guided={}))

        headers = dict(reply.headers)
        assert len(headers) == len(reply.headers)
        assert ("a/m", "2", "guided") == tuple(
            headers[f"x-gatewright-{name}"] for name in ("served", "attempts", "dropped")
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_no_more_prompts_are_asked_at_once_than_allowed(stream: bool) -> None:
    async with desk() as at:
        call = at.call([f"p{number}" for number in range(7)], stream=stream)
        if stream:
            events = await at.streamed(call, at_once=2)
            assert {number: f"p{number}!" for number in range(7)} == texts(events[:-1])
        else:
            assert list(range(7)) == [each["index"] for each in (await at.whole(call, at_once=2))["choices"]]

        assert 2 == at.model.most
        assert 7 == len(call.record.attempts)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("word", "error"), [("busy", RateLimited), ("refused", InvalidRequest)])
async def test_one_that_fails_fails_all_and_lets_the_others_go(
    word: str, error: type[GatewayError], stream: bool
) -> None:
    async with desk() as at:
        call = at.call(["wait one", word, "wait two", "never"], stream=stream)
        with pytest.raises(error):
            await at.ask(call, at_once=3)

        await at.let_go(*(() if stream else ("wait one", "wait two")))
        assert "never" not in at.model.asked
        outcomes = [each.outcome for each in call.record.attempts]
        assert [outcomes.count("cancelled"), len(outcomes)] == [2, 3]


@pytest.mark.parametrize("stream", [False, True])
async def test_too_many_prompts_are_refused_before_anybody_is_asked(stream: bool) -> None:
    async with desk() as at:
        with pytest.raises(InvalidRequest, match="at most 2"):
            await at.ask(at.call(["a", "b", "c"], stream=stream), most=2)
        with pytest.raises(InvalidRequest) as caught:
            await at.ask(at.call(["a", "b"], stream=stream, suffix="x"))

        assert "suffix" == caught.value.param
        assert [] == at.model.asked


async def test_streams_are_one_stream_with_one_end() -> None:
    async with desk() as at:
        call = at.call(["one", "two"], stream=True)
        *events, usage, done = await at.streamed(call)

        assert {0: "one!", 1: "two!"} == texts(events)
        assert "[DONE]" == done
        assert ([], 10) == (json.loads(usage)["choices"], json.loads(usage)["usage"]["total_tokens"])
        assert {("cmpl-id-1", 1_795_219_200)} == {(each["id"], each["created"]) for each in map(json.loads, events)}
        assert call.record.usage is not None
        assert 6 == call.record.usage.output
        assert call.record.first_token_s is not None


async def test_pieces_come_as_they_are_said() -> None:
    async with desk() as at:
        stream = await at.stream(at.call(["wait", "two"], stream=True))
        async with aclosing(stream.chunks) as chunks, asyncio.timeout(20):
            seen = b""
            async for data in chunks:
                seen += data
                if b'"index":1,"text":"","logprobs":null,"finish_reason":"stop"' in seen:
                    at.model.go.set()

        assert b"[DONE]" in seen
        assert seen.index(b'"text":"wait"') < seen.rindex(b'"index":0')


async def test_a_stream_that_breaks_ends_all_with_an_error_and_no_success() -> None:
    async with desk() as at:
        call = at.call(["wait", "cut"], stream=True)
        events = await at.streamed(call)

        assert "error" in json.loads(events[-1])
        assert not any("[DONE]" in event or '"usage":{' in event for event in events)
        assert "error" == call.record.outcome
        assert call.record.error is not None
        await at.let_go("wait")
        assert {"cancelled", call.record.error} == {each.outcome for each in call.record.attempts}


async def test_a_prompt_that_is_refused_after_the_first_byte_ends_all_with_an_error() -> None:
    async with desk() as at:
        call = at.call(["one", "wait", "busy"], stream=True)
        events = await at.streamed(call, at_once=2)

        assert "error" in json.loads(events[-1])
        assert not any("[DONE]" in event for event in events)
        assert ("error", "rate_limit") == (call.record.outcome, call.record.error)
        await at.let_go("wait")


@pytest.mark.parametrize("read", [False, True])
async def test_a_client_that_leaves_lets_every_provider_go(read: bool) -> None:
    async with desk() as at:
        call = at.call(["wait one", "wait two"], stream=True)
        chunks = (await at.stream(call)).chunks
        if read:
            assert b"wait" in await anext(chunks)
        await chunks.aclose()

        await at.let_go("wait one", "wait two")
        assert ["cancelled"] * 2 == [each.outcome for each in call.record.attempts]


async def test_a_client_that_leaves_before_the_answer_lets_every_provider_go() -> None:
    async with desk() as at:
        call = at.call(["wait one", "wait two"])
        task = asyncio.create_task(at.ask(call))
        while len(at.model.asked) < 2:
            await asyncio.sleep(0.01)
        task.cancel()

        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await at.let_go("wait one", "wait two")
        assert ["cancelled"] * 2 == [each.outcome for each in call.record.attempts]


async def test_a_shutdown_says_farewell_once() -> None:
    async with desk() as at:
        call = at.call(["wait one", "wait two"], stream=True)
        data: list[bytes] = []

        async def serve() -> None:
            with at.door:
                async with aclosing((await at.stream(call)).chunks) as chunks:
                    data.extend([each async for each in chunks])

        task = asyncio.create_task(serve())
        while len(at.model.asked) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert 1 == await at.door.close(0.01)
        await asyncio.gather(task)

        assert [1, True] == [b"".join(data).count(b'"error"'), b'"error"' in data[-1]]
        assert "error" == call.record.outcome
        await at.let_go("wait one", "wait two")


async def test_retries_of_a_prompt_are_counted() -> None:
    async with desk(LIMITS.replace("per_target: 0", "per_target: 2")) as at:
        call = at.call(["one", "flaky"])
        reply = await at.ask(call)

        assert "3" == dict(reply.headers)["x-gatewright-attempts"]
        assert ["ok", "ok", "unavailable"] == sorted(each.outcome for each in call.record.attempts)


async def test_one_prompt_is_one_call_of_the_gateway() -> None:
    async with desk() as at:
        call = at.call(["one"])
        reply = await at.ask(call)

        assert "x-gatewright-attempts" not in dict(reply.headers)
        assert 1 == len(call.record.attempts)
