"""A provider of every protocol that may do anything to a stream: cut it, stall it, split it, garble it, lie about it.

Each request names itself in its prompt (`<id 42>`), so that what was done to it is known afterwards. The answer to a
request is a text that holds its name, the same at every attempt.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final, NamedTuple, TypeAlias

from runtime.canonical import Delta, Ended, Finished, PartEnded, PartStarted, Started, Text, Usage, UsageReported
from runtime.canonical.response import Finish
from runtime.protocols import codec
from runtime.protocols.base import Answer
from tests.support.faults import FAULTS, envelope
from tests.support.raw_server import LAST_CHUNK, RawConnection, RawRequest, answer, chunk, head

__all__ = ["GARBAGE", "Chaos", "Told", "text_of"]

FINISHED: Final[Mapping[str, bytes]] = {
    "openai_chat": b'"finish_reason":"stop"',
    "openai_responses": b"event: response.completed",
    "anthropic_messages": b'"stop_reason":"end_turn"',
    "gemini": b'"finishReason":"STOP"',
    "ollama_chat": b'"done":true',
}
"""What a stream says when its answer is complete."""

PATHS: Final[Mapping[str, str]] = {
    "/chat/completions": "openai_chat",
    "/responses": "openai_responses",
    "/messages": "anthropic_messages",
    "GenerateContent": "gemini",
    "/api/chat": "ollama_chat",
}
WORDS: Final = 24
GARBAGE: Final = '{"oops'
STALL_S: Final = 30.0
"""Longer than any limit of the gateway."""


class Told(NamedTuple):
    """What one attempt was given. ``sound``: the whole answer, if strangely; ``cut``: it ended before it said it was done."""

    fault: str
    sound: bool
    cut: bool


Act: TypeAlias = Callable[[RawConnection, str, bytes, Random], Awaitable[Told]]


class Chaos:
    """``respond`` is what is done per request, for `each_request`; ``told`` maps a request's name to its attempts."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.told: dict[int, list[Told]] = {}

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        protocol = next(protocol for path, protocol in PATHS.items() if path in request.target)
        named = re.search(rb"<id (\d+)>", request.body)
        assert named is not None, request.body
        name = int(named[1])
        act = self._random.choice(ACTS)
        rng = Random(self._random.random())
        attempts = self.told.setdefault(name, [])
        at = len(attempts)
        attempts.append(Told(act.__name__, sound=False, cut=True))  # until it is over, it is none
        attempts[at] = await act(connection, protocol, stream_of(protocol, name), rng)


def text_of(name: int) -> str:
    """The answer to the request of that name: pieces of different scripts."""
    rng = Random(name)
    words = ("plain", "naïve", "日本語", "🙂‍🔧", '"quoted"', "back\\slash", "</tag>", "line\nbreak")
    return f"<{name}>" + "".join(f" {rng.choice(words)}{at}" for at in range(WORDS)) + " the end."


def stream_of(protocol: str, name: int) -> bytes:
    encoder = codec(protocol).stream_encoder(Answer(model="m", id=f"{name:08x}", created=1_700_000_000, headers={}))
    text = text_of(name)
    pieces = [Delta(index=0, text=text[at : at + 9]) for at in range(0, len(text), 9)]
    usage = UsageReported(usage=Usage(input=11, output=len(pieces)))
    events = [
        Started(id=f"x{name}", model="m"), PartStarted(index=0, part=Text(text="")), *pieces, PartEnded(index=0),
        Finished(finish=Finish(reason="stop")), usage, Ended(),
    ]  # fmt: skip
    return b"".join(encoder.feed([event]) for event in events)


def _head(protocol: str) -> bytes:
    kind = "application/x-ndjson" if protocol == "ollama_chat" else "text/event-stream"
    return head(200, "transfer-encoding: chunked", f"content-type: {kind}")


# -- strange but sound


async def whole(connection: RawConnection, protocol: str, data: bytes, _: Random) -> Told:
    await connection.send(_head(protocol) + chunk(data) + LAST_CHUNK)
    return Told("whole", sound=True, cut=False)


async def split(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """Reads end anywhere, inside of characters too."""
    await connection.send(_head(protocol))
    at = 0
    while at < len(data):
        size = rng.choice((1, 2, 3, 50, 400))
        await connection.send(chunk(data[at : at + size]))
        at += size
        await asyncio.sleep(0)
    await connection.send(LAST_CHUNK)
    return Told("split", sound=True, cut=False)


async def slow(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """Pauses that no limit forbids."""
    await connection.send(_head(protocol))
    third = len(data) // 3
    for at in range(0, len(data), third):
        await connection.send(chunk(data[at : at + third]))
        await asyncio.sleep(rng.random() * 0.05)
    await connection.send(LAST_CHUNK)
    return Told("slow", sound=True, cut=False)


async def commented(connection: RawConnection, protocol: str, data: bytes, _: Random) -> Told:
    """Comments between events, where there are such."""
    if protocol != "ollama_chat":
        end = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
        data = b": hello\n\n" + data.replace(end, end + b": still here" + end)
    await connection.send(_head(protocol) + chunk(data) + LAST_CHUNK)
    return Told("commented", sound=True, cut=False)


# -- before anything was said


async def reset_at_once(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    connection.reset()
    return Told("reset_at_once", sound=False, cut=True)


async def error_status(connection: RawConnection, protocol: str, _: bytes, rng: Random) -> Told:
    fault = FAULTS[rng.choice(("fault-429", "fault-500", "fault-529"))]._replace(retry_s=0)
    body, lines = envelope(protocol, fault)
    await connection.send(answer(body, "content-type: application/json", *lines, status=fault.status))
    return Told("error_status", sound=False, cut=True)


async def no_stream(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """200, and something else."""
    body, kind = rng.choice(
        ((b"", "text/event-stream"), (b"<html>Welcome</html>", "text/html"), (b"\x00\xff" * 99, "x/y"))
    )
    await connection.send(answer(body, f"content-type: {kind}"))
    return Told("no_stream", sound=False, cut=True)


# -- in the middle


async def closed(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """The connection ends properly, the answer does not."""
    at = rng.randrange(len(data))
    await connection.send(_head(protocol) + chunk(data[:at]) + LAST_CHUNK)
    return _cut("closed", protocol, data, at)


async def broken_off(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """The connection ends inside a chunk."""
    at = rng.randrange(len(data))
    await connection.send(_head(protocol) + b"%x\r\n" % len(data) + data[:at])
    connection.close()
    return _cut("broken_off", protocol, data, at)


async def reset_later(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    at = rng.randrange(len(data))
    await connection.send(_head(protocol) + chunk(data[:at]))
    await asyncio.sleep(rng.random() * 0.02)
    connection.reset()
    return _cut("reset_later", protocol, data, at)


async def stalled(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """Nothing more, and the connection stays open."""
    at = rng.randrange(len(data))
    await connection.send(_head(protocol) + chunk(data[:at]))
    try:
        async with asyncio.timeout(STALL_S):
            await connection.gone()
    except TimeoutError:
        pass
    return _cut("stalled", protocol, data, at)


async def garbled(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """An event too many in the middle, that is no JSON. Passed on as it came, or refused: both are fair."""
    end = b"\n" if protocol == "ollama_chat" else b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    frames = data.split(end)
    at = rng.randrange(1, len(frames) // 2)
    frame = GARBAGE.encode() if protocol == "ollama_chat" else b"data: " + GARBAGE.encode()
    await connection.send(_head(protocol) + chunk(end.join([*frames[:at], frame, *frames[at:]])) + LAST_CHUNK)
    return Told("garbled", sound=False, cut=False)


async def failed(connection: RawConnection, protocol: str, data: bytes, rng: Random) -> Told:
    """The vendor's own error event in the middle, and then nothing."""
    end = b"\n" if protocol == "ollama_chat" else b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    frames = data.split(end)
    at = rng.randrange(1, len(frames) // 2)
    body = envelope(protocol, FAULTS["fault-500"])[0]
    match protocol:
        case "ollama_chat":
            frame = body
        case "anthropic_messages":
            frame = b"event: error\ndata: " + body
        case "openai_responses":
            said = {"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": at}
            frame = b"event: error\ndata: " + json.dumps(said).encode()
        case _:
            frame = b"data: " + body
    await connection.send(_head(protocol) + chunk(end.join([*frames[:at], frame, b""])) + LAST_CHUNK)
    return Told("failed", sound=False, cut=True)


def _cut(fault: str, protocol: str, data: bytes, at: int) -> Told:
    """Where only something behind the word of the end is missing, both ends are fair."""
    return Told(fault, sound=False, cut=at <= data.index(FINISHED[protocol]))


ACTS: Final[tuple[Act, ...]] = (
    whole, split, slow, commented,
    reset_at_once, error_status, no_stream,
    closed, broken_off, reset_later, stalled, garbled, failed,
)  # fmt: skip
