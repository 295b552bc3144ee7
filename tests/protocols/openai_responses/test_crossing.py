"""Everything that any provider was heard to say, told to this dialect's clients: each event and each answer is one of the vendor's."""

from __future__ import annotations

import re

import msgspec

from generated.protocols.openai_responses import FACTS
from runtime.canonical import collect
from runtime.protocols import CODECS
from tests.protocols.openai_responses.support import CODEC, reply_to, vendor_answers, vendor_streams
from tests.protocols.test_pairs import WIRE, read, transcripts
from tests.support.each import each
from tests.support.stream import sse_data

SOUND = [(upstream, case) for upstream in sorted(CODECS) for case in transcripts(upstream)]
BROKEN = [
    (upstream, path.name)
    for upstream in sorted(CODECS)
    for path in sorted((WIRE / upstream).glob("*.*"))
    if path.suffix in {".sse", ".ndjson"} and (upstream, path.name) not in SOUND
]


@each(SOUND)
def test_a_complete_answer_is_what_its_stream_ends_in(upstream: str, case: str) -> None:
    events, _ = read(upstream, case)
    encoder = CODEC.stream_encoder(reply_to())
    data = b"".join(encoder.feed([event]) for event in events)
    answer = CODEC.encode_response(collect(events), reply_to())
    last = msgspec.json.decode(sse_data(data)[-1])

    vendor_answers(answer)
    assert last["response"]["output"] == msgspec.json.decode(answer)["output"]
    assert last["response"]["usage"] == msgspec.json.decode(answer)["usage"]


@each(BROKEN)
def test_pitfall_039_a_failed_answer_ends_in_one_event_that_says_so(upstream: str, case: str) -> None:
    events, error = read(upstream, case)
    assert error is not None
    encoder = CODEC.stream_encoder(reply_to())
    data = encoder.feed(events) + encoder.fail(error)  # type: ignore[arg-type]
    names = "".join(f"{name.decode()} " for name in re.findall(rb"^event: (.*)$", data, re.MULTILINE))

    for payload in sse_data(data):  # the one code that agents act on and the SDK's closed list lacks
        vendor_streams(payload.replace(b'"context_length_exceeded"', b'"server_error"'))
    assert re.fullmatch(FACTS.order, names)
    assert names.endswith(" response.failed ")
