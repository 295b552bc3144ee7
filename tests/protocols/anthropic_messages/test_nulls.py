"""Servers that write every member they know, and null for those that say nothing: to be read as if these were left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from generated.types.anthropic_messages import ReceivedAnswer, ReceivedBlock, ReceivedDelta, ReceivedEvent
from runtime.errors import UpstreamProtocolError
from tests.protocols.anthropic_messages.given import ANSWER, CODEC, OUTGOING
from tests.support.stream import decode_stream, tap_stream
from tests.support.vendor import WIRE

FOLDER: Path = WIRE / "anthropic_messages"
STREAMS = sorted(path.name for path in FOLDER.glob("*.sse") if path.stem != "cut")
WHOLE = sorted(path.name for path in FOLDER.glob("*.json") if "content" in json.loads(path.read_bytes()))
KEPT = frozenset({"data", "id", "name", "tool_use_id"})
"""Members of a block that it cannot be without, where its kind has them; no other kind is known to have them."""


def filled(value: dict[str, Any], known: type[msgspec.Struct]) -> dict[str, Any]:
    """``value`` with null for each member of ``known`` that it lacks, and for an empty list of content."""
    nothing = {name: None for name in known.__struct_fields__ if name not in KEPT}
    return {**nothing, **{name: item for name, item in value.items() if item != []}}


def event(line: str) -> str:
    head, mark, data = line.partition("data: ")
    if not mark or head:
        return line
    given = json.loads(data)
    for name, known in (("message", ReceivedAnswer), ("content_block", ReceivedBlock), ("delta", ReceivedDelta)):
        if name in given:
            given[name] = filled(given[name], known)
    return mark + json.dumps(filled(given, ReceivedEvent))


@pytest.mark.parametrize("name", STREAMS)
def test_a_streams_nulls_say_nothing(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    odd = "\n".join(event(line) for line in data.decode().split("\n")).encode()
    expected, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])
    events, odd_error = decode_stream(CODEC.stream_decoder(OUTGOING), [odd])

    assert b"null" in odd
    assert (expected, str(error)) == (events, str(odd_error))
    assert str(tap_stream(CODEC.stream_tap(ANSWER), [data])[1]) == str(tap_stream(CODEC.stream_tap(ANSWER), [odd])[1])


@pytest.mark.parametrize("name", WHOLE)
def test_an_answers_nulls_say_nothing(name: str) -> None:
    given = json.loads((FOLDER / name).read_bytes())
    odd = {
        **filled(given, ReceivedAnswer),
        "content": [filled(block, ReceivedBlock) for block in given["content"]] or None,
    }
    expected = CODEC.decode_response(json.dumps(given).encode(), OUTGOING)

    assert expected == CODEC.decode_response(json.dumps(odd).encode(), OUTGOING)


@pytest.mark.parametrize(
    "body", [b'{"content":null}', b'{"content":null,"error":null,"stop_reason":null}', b'{"error":null}']
)
def test_nothing_but_nulls_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="no content"):
        CODEC.decode_response(body, OUTGOING)
