"""Where a stream ends: what says so, what comes before its call is settled, and what breaks behind it."""

from __future__ import annotations

import pytest

from runtime.errors import UpstreamProtocolError, UpstreamUnavailable
from runtime.gateway import Streaming
from tests.test_gateway import CODEC, ERROR, PAIRS, TERMINATOR, Desk, frame_ends, transcript


@pytest.mark.parametrize("client", CODEC)
async def test_done_before_an_answer_has_ended_is_an_error_and_not_its_end(client: str) -> None:
    """Chat's clients stop reading there: an error behind it would reach nobody."""
    data = transcript("openai_chat", "plain")
    desk = Desk("openai_chat", [data[: frame_ends("openai_chat", data)[2]], b"data: [DONE]\n\n"])

    said = await desk.streamed(client)

    assert ERROR[client] in said
    assert TERMINATOR[client] not in said
    assert desk.record.error == UpstreamProtocolError.kind


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_connection_that_breaks_behind_a_whole_answer_takes_nothing_back(client: str, upstream: str) -> None:
    """Its end was said, so its client and its record have it; of Gemini, in another dialect, only the connection's says that."""
    data = transcript(upstream, "plain")
    whole = await Desk(upstream, [data]).streamed(client)
    desk = Desk(upstream, [data, UpstreamUnavailable("the connection broke")])

    said = await desk.streamed(client)

    if upstream == "gemini" != client:
        assert ERROR[client] in said
        assert TERMINATOR[client] not in said
        assert desk.record.error == "unavailable"
    else:
        assert whole == said
        outcomes = [each.outcome for each in desk.record.attempts]
        assert ("ok", None, ["ok"]) == (desk.record.outcome, desk.record.error, outcomes)
    assert desk.upstream.response.closed


async def test_pieces_that_come_with_the_end_do_not_wait_for_its_turn() -> None:
    """Where many streams end in one moment, what says nothing of the end goes out before."""
    data = transcript("openai_chat", "plain")
    third = frame_ends("openai_chat", data)[2]
    desk = Desk("openai_chat", [data[:third], data[third:]])
    reply = await desk.gateway.infer(desk.call("openai_chat", stream=True))
    assert isinstance(reply, Streaming)
    for _ in range(8):
        await desk.door.turns.take()
    pieces = [piece async for piece in reply.chunks]

    assert len(pieces) == 3
    assert b'"stop"' not in pieces[1]
    assert pieces[2].endswith(b"data: [DONE]\n\n")
    assert desk.record.outcome == "ok"


def naming_its_end_early(protocol: str) -> list[bytes]:
    """A stream that says in every piece why it ends, and what it took so far: up to 600 tokens."""
    counts = (1, 60, 600)
    if protocol == "gemini":
        piece = (
            b'data: {"candidates":[{"content":{"parts":[{"text":"a "}],"role":"model"},"finishReason":"STOP","index":0}],'
            b'"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":%d}}\r\n\r\n'
        )
        return [piece % count for count in counts]
    piece = (
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        b'"delta":{"content":"a "},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}\n\n'
    )
    return [*(piece % count for count in counts), b"data: [DONE]\n\n"]


@pytest.mark.parametrize("client", CODEC)
@pytest.mark.parametrize("upstream", ["gemini", "openai_chat"])
async def test_a_stream_that_names_its_end_early_is_settled_at_its_end(client: str, upstream: str) -> None:
    desk = Desk(upstream, naming_its_end_early(upstream))
    reply = await desk.gateway.infer(desk.call(client, stream=True))
    assert isinstance(reply, Streaming)
    outcomes = [(desk.record.attempts[0].outcome, piece) async for piece in reply.chunks]
    usage = desk.record.attempts[0].usage

    assert usage is not None
    assert (600, usage) == (usage.output, desk.record.usage)
    assert "ok" == outcomes[-1][0]
    if upstream == client:
        assert 3 == b"".join(piece for _, piece in outcomes).count(b'a "')
        assert any(piece and not outcome for outcome, piece in outcomes), "all of it waited for the end"


class Aside:
    """What limits keep aside for a call: never enough."""

    measured = True

    def __init__(self) -> None:
        self.grown: list[int] = []

    def due(self, received_bytes: int) -> bool:
        return True

    async def grow(self, output_tokens: int, received_bytes: int) -> None:
        self.grown.append(received_bytes)

    async def again(self, paid: int) -> None:
        pass

    def settle(self, tokens: int, nano_usd: int) -> None:
        pass


@pytest.mark.parametrize("upstream", ["gemini", "openai_chat"])
async def test_limits_hold_to_the_end_of_a_stream_that_names_its_end_early(upstream: str) -> None:
    pieces = naming_its_end_early(upstream)
    desk = Desk(upstream, pieces)
    call = desk.call(upstream, stream=True)
    desk.record.held = held = Aside()
    reply = await desk.gateway.infer(call)
    assert isinstance(reply, Streaming)
    assert b"".join([data async for data in reply.chunks])

    assert len(b"".join(pieces[:3])) in held.grown


@pytest.mark.parametrize("upstream", ["gemini", "openai_chat"])
async def test_a_stream_that_names_its_end_early_and_breaks_is_no_success(upstream: str) -> None:
    desk = Desk(upstream, [*naming_its_end_early(upstream)[:2], UpstreamUnavailable("the connection broke")])

    said = await desk.streamed(upstream)

    assert 2 == said.count(b'a "'), "what came goes out"
    assert ERROR[upstream] in said
    assert ("error", "unavailable") == (desk.record.outcome, desk.record.error)


async def test_an_end_that_was_left_out_is_settled_before_its_client_has_it() -> None:
    """The last read holds pieces of the answer, and why it ends; only the end of the connection says that nothing follows."""
    data = transcript("openai_chat", "plain")
    ends = frame_ends("openai_chat", data)
    desk = Desk("openai_chat", [data[: ends[2]], data[ends[2] : ends[4]]])
    reply = await desk.gateway.infer(desk.call("openai_chat", stream=True))
    assert isinstance(reply, Streaming)
    settled = [desk.record.attempts[0].outcome async for piece in reply.chunks if TERMINATOR["openai_chat"] in piece]

    assert ["ok"] == settled
