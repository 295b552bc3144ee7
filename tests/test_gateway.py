"""The inference pipeline against a scripted upstream: what the client gets, what the record says, what is let go."""

from __future__ import annotations

import asyncio
import gc
import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from generated.config import LoggingSettings, RequestSettings, ServerSettings, TimeoutSettings
from runtime.catalog import Auth, Model, Provider
from runtime.config.plan import Connection, Plan, PlannedModel, PlannedTarget, Route
from runtime.config.protocol import USUAL
from runtime.errors import (
    GatewayError,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from runtime.estimate import Estimator
from runtime.gateway import Call, Complete, Gateway, Streaming
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Outgoing
from runtime.resilience import Door
from runtime.routing import RouteTable
from runtime.streamed import Flow
from runtime.telemetry import Metrics, Recorder
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger
from runtime.upstream import UpstreamRequest
from runtime.upstream.types import Straight
from runtime.web.header import encode_headers
from runtime.web.key import KeyRecord
from tests.support.dialect import DIALECT
from tests.support.routing import attempts, guide
from tests.support.vendor import WIRE

CODEC = {name: codec(name) for name in CODECS}
FOREVER = object()


class Offered(NamedTuple):
    """What goes straight, and is waited behind for ever."""

    data: bytes


class Response:
    """``script`` is read piece by piece: bytes, what goes straight, an error to raise, or FOREVER."""

    def __init__(self, status: int, script: list[Any]) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"x-ratelimit-remaining-requests": "9", "set-cookie": "no=1"}
        self._script = script
        self._straight: Straight | None = None
        self.closed = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._script:
            if isinstance(piece, Offered):
                assert self._straight is not None
                assert not self._straight(piece.data)
            if piece is FOREVER or isinstance(piece, Offered):
                await asyncio.Event().wait()
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def go_straight(self, straight: Straight) -> None:
        self._straight = straight

    async def read(self, max_bytes: int) -> bytes:
        try:
            return b"".join([piece async for piece in self.chunks()])
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        self.closed += 1


class Upstream:
    def __init__(self, status: int, script: list[Any]) -> None:
        self.response = Response(status, script)
        self.requests: list[UpstreamRequest] = []

    async def send(self, request: UpstreamRequest) -> Response:
        self.requests.append(request)
        return self.response

    async def aclose(self) -> None:
        pass


def plan(protocol: str, unknown_fields: str = "forward", first_token_ms: int = 5000) -> Plan:
    provider = Provider(
        id="p",
        name="P",
        base_url="https://p.example/v1",
        surfaces={protocol: USUAL[protocol]},
        auth=Auth(scheme="none"),
    )
    target = PlannedTarget(model="p/m", connections=("p/main",))
    return Plan(
        version=1,
        server=ServerSettings(),
        requests=RequestSettings(unknown_fields=unknown_fields),  # type: ignore[arg-type]
        timeouts=TimeoutSettings(first_token_ms=first_token_ms),
        logging=LoggingSettings(),
        providers={"p": provider},
        models={"p/m": PlannedModel(id="p/m", provider="p", facts=Model(id="m"))},
        connections={"p/main": Connection(id="p/main", provider="p", base_url="https://p.example/v1")},
        routes={"p/m": Route(name="p/m", kind="model", endpoint=Model(id="m").endpoint, targets=(target,))},
    )


class Desk:
    def __init__(self, protocol: str, script: list[Any], status: int = 200, **settings: Any) -> None:
        self.upstream = Upstream(status, script)
        self.door = Door()
        made = plan(protocol, **settings)
        ticks = iter(range(1, 1000))
        self.log = io.StringIO()
        self.recorder = Recorder(
            Metrics("b", "v"), logger("error", "json", "b", Lines(self.log)), lambda: float(next(ticks))
        )
        self.gateway = Gateway(
            made,
            CODEC,
            {},
            RouteTable(made, {"p/main": None}),
            attempts(),
            self.upstream,
            self.recorder,
            Estimator(),
            self.door,
            lambda: 1.0,
            guide(),
        )

    def call(self, client: str, *, stream: bool, models: tuple[str, ...] = (), **fields: Any) -> Call:
        body = DIALECT[client].body("p/m", stream=stream, **fields)
        self.record = self.recorder.begin("id-1", "chat", client)
        return Call(
            codec=CODEC[client],
            envelope=CODEC[client].peek(json.dumps(body).encode(), DIALECT[client].asked("p/m", stream=stream)),
            headers={},
            key=KeyRecord(id="k", scopes=frozenset({"chat"}), models=models),
            record=self.record,
        )

    def record_started(self) -> bool:
        """Whether a first piece of the answer was seen."""
        return hasattr(self, "record") and self.record.first_token_s is not None

    async def streamed(self, client: str, **fields: Any) -> bytes:
        reply = await self.gateway.infer(self.call(client, stream=True, **fields))
        assert isinstance(reply, Streaming)
        return b"".join([data async for data in reply.chunks])


def transcript(protocol: str, name: str) -> bytes:
    return (WIRE / protocol / f"{name}{DIALECT[protocol].suffix}").read_bytes()


def frame_ends(protocol: str, data: bytes) -> list[int]:
    """Where each frame of a stream ends."""
    end = DIALECT[protocol].frame_end
    return [at + len(end) for at in range(len(data)) if data.startswith(end, at)]


PAIRS = [(client, upstream) for client in CODEC for upstream in CODEC]
TERMINATOR = {protocol: dialect.terminator for protocol, dialect in DIALECT.items()}
ERROR = {protocol: dialect.error for protocol, dialect in DIALECT.items()}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_success_terminator_only_if_upstream_finished(client: str, upstream: str) -> None:
    """Cut anywhere, a stream never ends like a complete one; whole, it does."""
    data = transcript(upstream, "plain")
    boundaries = frame_ends(upstream, data)[:-1]
    whole = await Desk(upstream, [data]).streamed(client)
    assert TERMINATOR[client] in whole
    for end in boundaries[1:4]:
        desk = Desk(upstream, [data[:end]])
        try:
            cut = await desk.streamed(client)
        except UpstreamProtocolError:  # this dialect had said nothing yet: the client gets a status
            assert desk.upstream.response.closed
            continue

        assert TERMINATOR[client] not in cut
        assert ERROR[client] in cut
        assert (desk.record.outcome, desk.record.error) == ("error", UpstreamProtocolError.kind)
        assert desk.upstream.response.closed


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_connection_that_breaks_mid_stream_becomes_the_dialects_error_event(client: str, upstream: str) -> None:
    data = transcript(upstream, "plain")
    ends = frame_ends(upstream, data)
    middle = ends[len(ends) // 2 - 1]
    desk = Desk(upstream, [data[:middle], UpstreamUnavailable("the connection broke")])

    said = await desk.streamed(client)

    assert ERROR[client] in said
    assert TERMINATOR[client] not in said
    assert desk.record.error == "unavailable"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_error_before_the_first_byte_still_gives_a_status(client: str, upstream: str) -> None:
    desk = Desk(upstream, [DIALECT[upstream].busy])

    with pytest.raises(RateLimited):
        await desk.gateway.infer(desk.call(client, stream=True))
    assert desk.upstream.response.closed


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_upstream_that_sends_no_first_token_in_time_is_given_up(client: str, upstream: str) -> None:
    desk = Desk(upstream, [FOREVER], first_token_ms=1)

    with pytest.raises(UpstreamTimeout):
        await desk.gateway.infer(desk.call(client, stream=True))
    assert desk.upstream.response.closed


@pytest.mark.parametrize("client", CODEC)
async def test_client_that_leaves_lets_the_upstream_go(client: str) -> None:
    desk = Desk("openai_chat", [transcript("openai_chat", "plain")[:600], FOREVER])
    reply = await desk.gateway.infer(desk.call(client, stream=True))
    assert isinstance(reply, Streaming)
    await anext(reply.chunks)

    await reply.chunks.aclose()

    assert desk.upstream.response.closed


@pytest.mark.parametrize("client", CODEC)
async def test_shutdown_ends_a_running_stream_with_an_honest_error(client: str) -> None:
    start = transcript("openai_chat", "plain")
    desk = Desk("openai_chat", [start[: start.index(b"\n\n", 600) + 2], FOREVER])
    said: list[bytes] = []

    async def serve() -> None:
        with desk.door:
            reply = await desk.gateway.infer(desk.call(client, stream=True))
            assert isinstance(reply, Streaming)
            said.extend([data async for data in reply.chunks])

    serving = asyncio.create_task(serve())
    while not desk.record_started():
        await asyncio.sleep(0)

    assert await desk.door.close(0.0) == 1
    await serving
    assert ERROR[client] in b"".join(said)
    assert TERMINATOR[client] not in b"".join(said)


@pytest.mark.parametrize("client", CODEC)
async def test_what_waits_at_a_shutdown_goes_out_before_the_error(client: str) -> None:
    whole = transcript("openai_chat", "plain")
    begun = whole.index(b"\n\n", 600) + 2
    desk = Desk("openai_chat", [whole[:begun], Offered(whole[begun : whole.index(b"[DONE]") - 6][:400])])
    alone, waiting = Desk("openai_chat", [whole[:begun]]), asyncio.Event()
    said: list[bytes] = []

    def full(data: bytes) -> bytes:
        waiting.set()
        return data

    async def serve() -> None:
        with desk.door:
            reply = await desk.gateway.infer(desk.call(client, stream=True))
            assert isinstance(reply, Streaming)
            assert isinstance(reply.chunks, Flow)
            reply.chunks.at_once(full)
            said.extend([data async for data in reply.chunks])

    serving = asyncio.create_task(serve())
    await asyncio.wait_for(waiting.wait(), 20)

    assert await desk.door.close(0.0) == 1
    await serving
    before, _, _ = b"".join(said).partition(ERROR[client])
    short, _, _ = (await alone.streamed(client)).partition(ERROR[client])
    assert len(before) > len(short) + 20


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_complete_answer_carries_usage_into_the_record(client: str, upstream: str) -> None:
    desk = Desk(upstream, [(WIRE / upstream / "plain.json").read_bytes()])

    reply = await desk.gateway.infer(desk.call(client, stream=False))

    assert isinstance(reply, Complete)
    assert b"Paris is the capital of France." in reply.body
    assert desk.record.usage is not None
    assert (desk.record.usage.total_input, desk.record.usage.output) == (31, 14)
    assert {"x-gatewright-served": "p/m", "x-ratelimit-remaining-requests": "9"} == dict(reply.headers)


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_rubbish_with_status_200_is_never_a_success(client: str, upstream: str) -> None:
    for body in (b"", b"<html>busy</html>", b"{", b"[]", b"{}", b'{"error": null}', b"null", b"\xff"):
        desk = Desk(upstream, [body])

        with pytest.raises(UpstreamProtocolError):
            await desk.gateway.infer(desk.call(client, stream=False))


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_rubbish_stream_is_never_a_success(client: str, upstream: str) -> None:
    for body in (b"", b"<html>busy</html>", b"data: {\n\n", b"data: <html>\n\n", b": hi\n\n"):
        desk = Desk(upstream, [body])

        with pytest.raises(GatewayError) as caught:
            await desk.streamed(client)
        assert caught.value.http_status >= 500


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_key_that_may_not_use_a_model_is_refused_before_anything_is_sent(client: str, upstream: str) -> None:
    desk = Desk(upstream, [])

    with pytest.raises(PermissionDenied):
        await desk.gateway.infer(desk.call(client, stream=False, models=("other/*",)))
    assert desk.upstream.requests == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_unknown_field_is_forwarded_dropped_or_refused_as_configured(client: str, upstream: str) -> None:
    data = (WIRE / upstream / "plain.json").read_bytes()
    lenient, strict = Desk(upstream, [data]), Desk(upstream, [data], unknown_fields="refuse")

    reply = await lenient.gateway.infer(lenient.call(client, stream=False, nosuchfield=1))
    assert isinstance(reply, Complete)
    sent = json.loads(lenient.upstream.requests[0].body)
    if client == upstream:
        assert sent["nosuchfield"] == 1
    else:
        assert "nosuchfield" not in sent
        assert "nosuchfield" in dict(reply.headers)["x-gatewright-dropped"]
    with pytest.raises(InvalidRequest) as caught:
        await strict.gateway.infer(strict.call(client, stream=False, nosuchfield=1))
    assert caught.value.param == "nosuchfield"


async def test_hostile_field_name_cannot_add_a_header() -> None:
    """Dropped fields are named in a header, and clients choose those names."""
    desk = Desk("openai_chat", [(WIRE / "openai_chat" / "plain.json").read_bytes()])

    reply = await desk.gateway.infer(desk.call("anthropic_messages", stream=False, **{"x\r\nset-cookie: a=1": 1}))

    assert isinstance(reply, Complete)
    encoded = dict(encode_headers(reply.headers))
    assert encoded[b"x-gatewright-dropped"] == b"x  set-cookie: a=1"
    assert b"set-cookie" not in encoded


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_provider_that_streams_unasked_is_gathered_into_one_answer(client: str, upstream: str) -> None:
    """A client that asked for no stream gets none, also from a provider that knows nothing else."""
    desk = Desk(upstream, [transcript(upstream, "plain")])
    desk.upstream.response.headers = {"content-type": "text/event-stream; charset=utf-8"}

    reply = await desk.gateway.infer(desk.call(client, stream=False))

    assert isinstance(reply, Complete)
    assert (
        CODEC[client].decode_response(reply.body, Outgoing("/", (), b"", stream=False)).choices[0].finish.reason
        == "stop"
    )
    assert desk.record.usage is not None
    assert desk.record.usage.output == 14


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_provider_that_streams_unasked_and_breaks_off_is_no_success(client: str, upstream: str) -> None:
    data = transcript(upstream, "plain")
    desk = Desk(upstream, [data[: frame_ends(upstream, data)[1]]])
    desk.upstream.response.headers = {"content-type": "text/event-stream"}

    with pytest.raises(UpstreamProtocolError):
        await desk.gateway.infer(desk.call(client, stream=False))


@pytest.mark.parametrize("upstream", CODEC)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_calls_the_model_as_the_client_did(upstream: str, stream: bool) -> None:
    script = transcript(upstream, "plain") if stream else (WIRE / upstream / "plain.json").read_bytes()
    desk = Desk(upstream, [script])
    call = msgspec.structs.replace(desk.call("openai_chat", stream=stream), shown="m-as-called")
    reply = await desk.gateway.infer(call)
    body = b"".join([data async for data in reply.chunks]) if isinstance(reply, Streaming) else reply.body

    assert b"m-as-called" in body
    assert b"p/m" not in body
    assert "p/m" == desk.record.model


def test_check_refuses_what_infer_would_refuse_and_sends_nothing() -> None:
    desk = Desk("anthropic_messages", [])
    desk.gateway.check(desk.call("openai_chat", stream=False))

    with pytest.raises(PermissionDenied):
        desk.gateway.check(desk.call("openai_chat", stream=False, models=("other",)))
    with pytest.raises(InvalidRequest):
        desk.gateway.check(desk.call("openai_chat", stream=False, messages="no list"))
    assert [] == desk.upstream.requests


@pytest.mark.parametrize(
    ("client", "upstream", "fields", "param"),
    [
        ("openai_chat", "anthropic_messages", {"n": 2}, "n"),
        ("gemini", "anthropic_messages", {"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        (
            "openai_responses",
            "openai_chat",
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]},
            "input",
        ),
        (
            "anthropic_messages",
            "openai_chat",
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
            "messages",
        ),
    ],
)  # fmt: skip
async def test_what_a_target_cannot_be_told_is_named_in_the_client_s_words(
    client: str, upstream: str, fields: dict[str, Any], param: str
) -> None:
    desk = Desk(upstream, [])

    with pytest.raises(InvalidRequest) as caught:
        await desk.gateway.infer(desk.call(client, stream=False, **fields))

    assert param == caught.value.param
    assert desk.upstream.requests == []


def ways() -> int:
    gc.collect()
    return sum(type(each).__name__ == "_Way" for each in gc.get_objects())


async def test_long_headers_of_the_clients_making_are_not_kept() -> None:
    desk = Desk("anthropic_messages", [(WIRE / "anthropic_messages/plain.json").read_bytes()])
    before = ways()
    for number in range(20):
        beta = f"context-1m-2025-08-07,{'x' * (4000 if number else 40)}-{number}"
        call = msgspec.structs.replace(desk.call("anthropic_messages", stream=False), headers={"anthropic-beta": beta})
        await desk.gateway.infer(call)

        assert beta in dict(desk.upstream.requests[-1].to.headers)["anthropic-beta"]
        desk.upstream.requests.clear()

    assert ways() == before + 1
