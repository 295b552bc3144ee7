"""What a codec costs: microseconds of CPU per stream event to decode, to encode, and to pass through.

Repeat with: python -m benchmarks.codecs [--rounds 7] [--write]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

from benchmarks.measure import environment, publish
from benchmarks.proxy.series import spread
from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    PartEnded,
    PartStarted,
    Started,
    Text,
    Usage,
    UsageReported,
)  # fmt: skip
from runtime.protocols import CODECS, DIALECTS, client_codec, codec
from runtime.protocols.base import Answer, ClientCodec, Codec, Outgoing

__all__ = ["FRAME_END", "OUTGOING", "decode", "encode", "main", "pass_through", "reads", "stream"]

PIECES = 1_000
OUTGOING = Outgoing("/", (), b"", stream=True)
ANSWER = Answer(model="public/name", id="0123456789abcdef", created=1_795_000_000, headers={}, variant="sse")
FRAME_END = {"gemini": b"\r\n\r\n", "ollama_chat": b"\n"}
ASKED = Answer(model="vendor-name-1", id="1", created=1, headers={}, variant="sse")


def stream(protocol: str) -> bytes:
    """An answer of `PIECES` short pieces of text, as the vendor writes it."""
    match protocol:
        case "openai_chat":
            return _chat()
        case "anthropic_messages":
            return _messages()
        case _:
            encoder = codec(protocol).stream_encoder(ASKED)
            return b"".join(encoder.feed([event]) for event in EVENTS)


EVENTS: tuple[Event, ...] = (
    Started(id="1", model="vendor-name-1", created=1),
    PartStarted(index=0, part=Text(text="")),
    *(Delta(index=0, text=f" word{number}") for number in range(PIECES)),
    PartEnded(index=0),
    Finished(finish=Finish(reason="stop")),
    UsageReported(usage=Usage(input=9, output=PIECES)),
    Ended(),
)


def _chat() -> bytes:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "vendor-name-1"}

    def chunk(delta: dict[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return f"data: {json.dumps({**base, 'choices': [choice]}, separators=(',', ':'))}\n\n"

    pieces = [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": f" word{n}"}) for n in range(PIECES)),
    ]
    return "".join([*pieces, chunk({}, "stop"), "data: [DONE]\n\n"]).encode()


def _messages() -> bytes:
    def event(name: str, fields: dict[str, object]) -> str:
        return f"event: {name}\ndata: {json.dumps({'type': name, **fields}, separators=(',', ':'))}\n\n"

    usage = {"input_tokens": 9, "output_tokens": 1}
    message: dict[str, object] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "vendor-name-1", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    deltas = [
        event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": f" word{n}"}})
        for n in range(PIECES)
    ]
    return "".join(
        [
            event("message_start", {"message": message}),
            event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
            *deltas,
            event("content_block_stop", {"index": 0}),
            event("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}),
            event("message_stop", {}),
        ]
    ).encode()


def reads(data: bytes, events: int, end: bytes) -> list[bytes]:
    """``data`` as it would arrive, ``events`` events to a network read."""
    frames = [frame + end for frame in data.split(end)[:-1]]
    return [b"".join(frames[at : at + events]) for at in range(0, len(frames), events)]


def decode(each: Codec, arriving: list[bytes]) -> list[list[Event]]:
    decoder = each.stream_decoder(OUTGOING)
    return [*(decoder.feed(data) for data in arriving), decoder.close()]


def encode(each: ClientCodec, batches: list[list[Event]]) -> None:
    encoder = each.stream_encoder(ANSWER)
    for events in batches:
        encoder.feed(events)


def pass_through(each: Codec, arriving: list[bytes]) -> None:
    tap = each.stream_tap(ANSWER)
    for data in arriving:
        tap.feed(data)
    tap.close()


def microseconds(work: Callable[[], object]) -> float:
    """CPU per piece of text."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e6 / PIECES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows: dict[tuple[str, int, str], list[float]] = {}
    for _ in range(options.rounds):
        for name in CODECS:
            each = codec(name)
            for events in (1, 10):
                arriving = reads(stream(name), events, FRAME_END.get(name, b"\n\n"))
                batches = decode(each, arriving)
                works: dict[str, Callable[[], object]] = {
                    "decode": partial(decode, each, arriving),
                    "encode": partial(encode, each, batches),
                    "pass through": partial(pass_through, each, arriving),
                }
                for what, work in works.items():
                    rows.setdefault((name, events, what), []).append(microseconds(work))
        for name in DIALECTS:
            for events in (1, 10):
                batches = [list(EVENTS[at : at + events]) for at in range(0, len(EVENTS), events)]
                spent = microseconds(partial(encode, client_codec(name), batches))
                rows.setdefault((name, events, "encode"), []).append(spent)
    lines = [
        f"| {name} | {events} | {what} | {spread(times).text(2)} |" for (name, events, what), times in rows.items()
    ]
    page = (
        f"# Codecs\n\n{environment()}; {options.rounds} interleaved rounds; "
        f"`python -m benchmarks.codecs --rounds {options.rounds}`\n\n"
        "| protocol | events per read | what | µs of CPU per event, median [min–max] |\n|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n"
    )
    publish(page, "codecs", write=options.write)


if __name__ == "__main__":
    main()
