"""Calls whose arguments are streamed in pieces, as Vertex does for those who ask: every client gets them whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.canonical import Response, ToolCall, collect
from runtime.errors import UpstreamProtocolError
from runtime.protocols import codec
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.relay import Translating
from tests.support.dialect import DIALECT

OUTGOING = Outgoing("/", (), b"", stream=True)
ANSWER = Answer(model="public", id="id", created=0, headers={})


def stream(*parts: dict[str, Any], reason: str = "STOP") -> bytes:
    """One piece for each part, and one that ends it."""
    pieces: list[dict[str, Any]] = [{"content": {"role": "model", "parts": [part]}} for part in parts]
    pieces.append({"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": reason})
    told = [{"candidates": [piece], "responseId": "r1", "modelVersion": "m"} for piece in pieces]
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(each).encode() for each in told)


def call(name: str | None = None, *pieces: dict[str, Any], more: bool | None = True, **rest: Any) -> dict[str, Any]:
    said = {"name": name, "partialArgs": list(pieces) or None, "willContinue": more, **rest}
    return {"functionCall": {key: value for key, value in said.items() if value is not None}}


def read(data: bytes) -> Response:
    decoder = codec("gemini").stream_decoder(OUTGOING)
    return collect([*decoder.feed(data), *decoder.close()])


def calls(data: bytes) -> list[tuple[str, Any]]:
    parts = read(data).choices[0].content
    return [(part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)]


END: dict[str, Any] = {"functionCall": {}}
BOSTON = (
    call("weather"),
    call(None, {"jsonPath": "$.location", "stringValue": "Bos", "willContinue": True}),
    call(None, {"jsonPath": "$.location", "stringValue": "ton", "willContinue": True}),
    call(None, {"jsonPath": "$.location", "stringValue": ""}),
    call(None, {"jsonPath": "$.days", "numberValue": 3.0}, {"jsonPath": "$.precise", "boolValue": False}),
    END,
)
WANTED = ("weather", {"location": "Boston", "days": 3, "precise": False})


def test_pieces_are_put_together() -> None:
    assert [WANTED] == calls(stream(*BOSTON))


def test_a_call_after_another_one_is_its_own_also_of_the_same_function() -> None:
    assert [WANTED, WANTED] == calls(stream(*BOSTON, *BOSTON))
    assert [WANTED, ("now", {})] == calls(stream(*BOSTON[:-1], call("now", more=None)))
    assert [("now", {}), WANTED] == calls(stream(call("now", more=None), *BOSTON[:-1], {"text": "That is all."}))


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([("$.a.b[0].c", 1), ("$.a.b[1].c", 2.5)], {"a": {"b": [{"c": 1}, {"c": 2.5}]}}),
        ([("$['odd name']", 1), ('$["it\'s"]', 2), (r"$['q\'s']", 3)], {"odd name": 1, "it's": 2, "q's": 3}),
        ([("$.list[0]", 1), ("$.list[2]", 3)], {"list": [1, None, 3]}),
        ([("$.ключ", 1)], {"ключ": 1}),
        ([("$.big", 1e300), ("$.half", 0.5), ("$.less", -4.0)], {"big": 1e300, "half": 0.5, "less": -4}),
    ],
)
def test_places_are_paths_of_names_and_numbers(pieces: list[tuple[str, float]], wanted: dict[str, Any]) -> None:
    parts = [call(None, {"jsonPath": path, "numberValue": number}) for path, number in pieces]

    assert [("f", wanted)] == calls(stream(call("f"), *parts, END))


@pytest.mark.parametrize("null", [None, "NULL_VALUE", 0])
def test_null_is_a_value_however_it_is_written(null: object) -> None:
    assert [("f", {"a": None})] == calls(stream(call("f"), call(None, {"jsonPath": "$.a", "nullValue": null}), END))


def test_a_text_that_does_not_go_on_is_told_anew() -> None:
    twice = [call(None, {"jsonPath": "$.a", "stringValue": text}) for text in ("one", "two")]

    assert [("f", {"a": "two"})] == calls(stream(call("f"), *twice, END))


def test_one_piece_may_hold_all_and_repeat_the_name() -> None:
    alone = call("f", {"jsonPath": "$.a", "stringValue": "x"}, more=None)
    assert [("f", {"a": "x"})] == calls(stream(alone))

    again = [call("f", {"jsonPath": "$.a", "stringValue": text, "willContinue": True}) for text in ("x", "y")]
    assert [("f", {"a": "xy"})] == calls(stream(*again, END))


def test_its_signature_stays_with_it() -> None:
    signed = {**BOSTON[0], "thoughtSignature": "c2ln"}
    parts = read(stream(signed, *BOSTON[1:])).choices[0].content

    assert ["Reasoning", "ToolCall"] == [type(part).__name__ for part in parts]


def test_what_was_cut_within_a_call_is_no_whole_call() -> None:
    parts = read(stream(*BOSTON[:2], reason="MAX_TOKENS")).choices[0].content
    (cut,) = [part for part in parts if isinstance(part, ToolCall)]

    assert '{"location":"Bos"' == cut.arguments


@pytest.mark.parametrize("path", ["", "a", "$", "$.", "$..a", "$[*]", "$.a[999999]", "$[0]", "$.a b[", "$.s.t", None])
def test_a_place_that_is_none_is_the_provider_s_fault(path: str | None) -> None:
    text = call(None, {"jsonPath": "$.s", "stringValue": "x"})

    with pytest.raises(UpstreamProtocolError, match="fits nowhere"):
        read(stream(call("f"), text, call(None, {"jsonPath": path, "numberValue": 1}), END))


def test_a_piece_of_no_call_is_the_provider_s_fault() -> None:
    with pytest.raises(UpstreamProtocolError, match="without a name"):
        read(stream(call(None, {"jsonPath": "$.a", "numberValue": 1})))


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("client", DIALECT)
def test_every_client_gets_the_arguments_whole(client: str, size: int) -> None:
    data = stream(*BOSTON, *BOSTON)
    relay = Translating(codec("gemini").stream_decoder(OUTGOING), codec(client).stream_encoder(ANSWER))
    told = b"".join(relay.feed(data[at : at + size]) for at in range(0, len(data), size)) + relay.close()

    decoder = codec(client).stream_decoder(OUTGOING)
    (choice,) = collect([*decoder.feed(told), *decoder.close()]).choices
    found = [(part.name, json.loads(part.arguments)) for part in choice.content if isinstance(part, ToolCall)]
    assert [WANTED, WANTED] == found
    assert "tool_calls" == choice.finish.reason


def test_a_client_of_the_same_protocol_gets_the_pieces_as_they_came() -> None:
    data = stream(*BOSTON)
    tap = codec("gemini").stream_tap(Answer(model="m", id="id", created=0, headers={}))

    told = tap.feed(data) + tap.close()

    assert data.count(b"partialArgs") == told.count(b"partialArgs") == 4
    assert tap.complete
