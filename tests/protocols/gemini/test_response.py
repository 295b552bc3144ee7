"""What a client of this protocol is told, whole and in streams, and that both say the same."""

from __future__ import annotations

import base64
import random
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import (
    Base64Source,
    Choice,
    Citation,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Response,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
    collect,
)
from runtime.errors import UpstreamProtocolError
from runtime.protocols.base import Answer, Asked
from tests.protocols.anthropic_messages.given import told
from tests.protocols.gemini.given import ANSWER, CODEC, OUTGOING, SIGNATURE, ask
from tests.support.canonical import events_of, responses
from tests.support.each import each
from tests.support.stream import decode_stream

HIDDEN = msgspec.structs.replace(ANSWER, request=ask(reasoning=ReasoningConfig(display="omitted")))
LIST = msgspec.structs.replace(ANSWER, variant="array")
CALL = ToolCall(id="c1", name="f", arguments='{"big":123456789012345678901234567890,"one":1.0}')
SEALED = Reasoning(seal=f"call.{SIGNATURE}", sealed_by="gemini")
FOREIGN = Reasoning(text="hm", seal="sig", sealed_by="anthropic_messages")


def answer(*parts: Any, usage: Usage = Usage(), **finish: Any) -> Response:  # noqa: B008 — frozen
    return Response(
        id="x", model="m", usage=usage, choices=(Choice(content=parts, finish=Finish(**{"reason": "stop", **finish})),)
    )


def whole(response: Response, to: Answer = ANSWER) -> dict[str, Any]:
    data = CODEC.encode_response(response, to)
    types.GenerateContentResponse.model_validate_json(data)
    return msgspec.json.decode(data, type=dict[str, Any])


def parts(response: Response, to: Answer = ANSWER) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = whole(response, to)["candidates"][0]["content"]["parts"]
    return found


def streamed(events: list[Event], to: Answer = ANSWER) -> bytes:
    encoder = CODEC.stream_encoder(to)
    return b"".join(encoder.feed([event]) for event in events)


def pieces(data: bytes) -> list[dict[str, Any]]:
    assert data.endswith(b"\r\n\r\n")
    frames = data.split(b"\r\n\r\n")[:-1]
    for frame in frames:
        assert frame.startswith(b"data: {")
        assert b"\n" not in frame
        types.GenerateContentResponse.model_validate_json(frame.removeprefix(b"data: "))
    return [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in frames]


def again(data: bytes) -> Response:
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])
    assert error is None
    return collect(events)


def test_an_answer_is_told_whole() -> None:
    usage = Usage(input=10, output=9, cache_read=4, cache_write_5m=1, reasoning=2, audio_input=3, image_input=2)

    assert {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 15, "candidatesTokenCount": 7, "totalTokenCount": 24, "cachedContentTokenCount": 4, "thoughtsTokenCount": 2,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}, {"modality": "AUDIO", "tokenCount": 3}, {"modality": "IMAGE", "tokenCount": 2}],
        },
        "modelVersion": "public/name", "responseId": "r1",
    } == whole(answer(Text(text="a"), usage=usage))  # fmt: skip


def test_pitfall_112_counts_are_what_they_were_after_a_way_there_and_back() -> None:
    usage = Usage(input=10, output=9, cache_read=4, reasoning=2, audio_input=3, image_input=2, audio_output=5)

    assert (
        usage
        == CODEC.decode_response(CODEC.encode_response(answer(Text(text="a"), usage=usage), ANSWER), OUTGOING).usage
    )


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "STOP"), ("stop_sequence", "STOP"), ("tool_calls", "STOP"), ("length", "MAX_TOKENS"), ("context_full", "MAX_TOKENS"),
     ("content_filter", "SAFETY"), ("refusal", "SAFETY"), ("pause", "STOP")],
)  # fmt: skip
def test_every_reason_has_a_word(reason: str, word: str) -> None:
    assert word == whole(answer(Text(text="a"), reason=reason))["candidates"][0]["finishReason"]


def test_a_filters_own_word_comes_back_to_clients_of_its_vendor() -> None:
    found = whole(answer(Text(text="a"), reason="content_filter", explanation="RECITATION: Too like."))["candidates"][0]

    assert ("RECITATION", "Too like.") == (found["finishReason"], found["finishMessage"])


def test_a_blocked_prompt_has_no_candidates() -> None:
    response = answer(reason="content_filter", explanation="PROHIBITED_CONTENT")
    stream = pieces(streamed([Started(id="x", model="m"), Finished(finish=response.choices[0].finish), Ended()]))

    assert {"blockReason": "PROHIBITED_CONTENT"} == whole(response)["promptFeedback"] == stream[-1]["promptFeedback"]
    assert "candidates" not in whole(response)
    assert (
        "content_filter"
        == CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING).choices[0].finish.reason
    )


def test_calls_are_whole_and_keep_their_digits() -> None:
    data = CODEC.encode_response(answer(SEALED, CALL, reason="tool_calls"), ANSWER)

    assert b'"args":{"big":123456789012345678901234567890,"one":1.0}' in data
    assert SIGNATURE == parts(answer(SEALED, CALL))[0]["thoughtSignature"]
    assert [{"INVALID_JSON": '{"a'}] == [
        part["functionCall"]["args"] for part in parts(answer(ToolCall(id="c", name="f", arguments='{"a')))
    ]


def test_thoughts_are_shown_only_to_those_who_asked_and_signatures_always_travel() -> None:
    own = Reasoning(text="hm", seal=f"thought.{SIGNATURE}", sealed_by="gemini")
    response = answer(Reasoning(text="plain"), own, FOREIGN, Text(text="a"))

    assert ["plain", "hm", "hm", "a"] == [part["text"] for part in parts(response)]
    hidden = parts(response, HIDDEN)
    assert ["", "", "a"] == [part["text"] for part in hidden]
    assert SIGNATURE == hidden[0]["thoughtSignature"]
    assert b"hm" not in CODEC.encode_response(response, HIDDEN).replace(b"thoughtSignature", b"")
    none = msgspec.structs.replace(ANSWER, request=ask())
    assert hidden == parts(response, none)


@pytest.mark.parametrize("to", [ANSWER, HIDDEN])
def test_pitfall_097_another_vendors_state_comes_home_whole(to: Answer) -> None:
    """Also its text, which the client did not ask to see: its owner wants both back."""
    for data in (CODEC.encode_response(answer(FOREIGN, Text(text="a")), to), None):
        given = parts(answer(FOREIGN, Text(text="a")), to) if data else [
            part for piece in pieces(streamed(events_of(answer(FOREIGN, Text(text="a"))), to)) for part in piece["candidates"][0]["content"]["parts"]
        ]  # fmt: skip
        contents = [{"role": "user", "parts": [{"text": "x"}]}, *({"role": "model", "parts": [part]} for part in given)]
        request = CODEC.decode_request(CODEC.peek(msgspec.json.encode({"contents": contents}), Asked("m")), {})

        assert (FOREIGN, Text(text="a")) == request.messages[1].content


def test_the_envelope_is_base64_as_clients_expect() -> None:
    signature = parts(answer(FOREIGN))[0]["thoughtSignature"]

    assert base64.b64decode(signature, validate=True).startswith(b"gw1.anthropic_messages.")


def test_a_stream_is_pieces_of_one_answer_and_ends_with_its_reason() -> None:
    events: list[Event] = [
        Started(id="x", model="m", usage=Usage(input=3)), PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a"),
        PartEnded(index=0), PartStarted(index=1, part=SEALED), PartEnded(index=1),
        PartStarted(index=2, part=ToolCall(id="c1", name="f")), Delta(index=2, text='{"a"'), Delta(index=2, text=":1}"), PartEnded(index=2),
        Finished(finish=Finish(reason="tool_calls")), UsageReported(usage=Usage(input=3, output=2)), Ended(),
    ]  # fmt: skip
    found = pieces(streamed(events))

    assert [
        [{"text": "a"}], [{"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": SIGNATURE}], [{"text": ""}],
    ] == [piece["candidates"][0]["content"]["parts"] for piece in found]  # fmt: skip
    assert [None, None, "STOP"] == [piece["candidates"][0].get("finishReason") for piece in found]
    assert {("r1", "public/name")} == {(piece["responseId"], piece["modelVersion"]) for piece in found}
    assert 5 == found[-1]["usageMetadata"]["totalTokenCount"]


def test_a_stream_without_its_end_has_no_reason() -> None:
    events = events_of(answer(Text(text="abcdef")))[:-1]

    assert b"finishReason" not in streamed(events)


def test_pitfall_140_nothing_is_sent_in_a_silence_and_nothing_at_the_end() -> None:
    encoder = CODEC.stream_encoder(ANSWER)

    assert encoder.keep_alive is None
    assert "text/event-stream" == encoder.content_type
    assert b"[DONE]" not in streamed(events_of(answer(Text(text="a"))))


def test_a_list_is_json_when_it_is_whole_and_open_while_it_is_not() -> None:
    events = events_of(answer(Text(text="abcdef"), CALL))
    data = streamed(events, LIST)

    assert "application/json" == CODEC.stream_encoder(LIST).content_type
    assert data.startswith(b"[{")
    assert b"}\n,\n{" in data
    assert data.endswith(b"}\n]")
    assert 4 == len(msgspec.json.decode(data))
    assert not streamed(events[:-1], LIST).endswith(b"]")
    assert again(data) == again(streamed(events))


def test_two_choices_keep_their_indexes() -> None:
    choices = tuple(Choice(content=(Text(text=text),), finish=Finish(reason="stop")) for text in "ab")
    response = Response(id="x", model="m", choices=choices)

    assert [(0, "a"), (1, "b")] == [
        (each["index"], each["content"]["parts"][0]["text"]) for each in whole(response)["candidates"]
    ]
    assert choices == again(streamed(events_of(response))).choices


def test_sources_are_told_in_bytes_and_come_back_in_characters() -> None:
    text = Text(
        text="Grüße: high.",
        citations=(Citation(url="https://e.com", title="t", start=7, end=12), Citation(url="https://f.com")),
    )
    grounding = whole(answer(text))["candidates"][0]["groundingMetadata"]

    assert [{"segment": {"startIndex": 9, "endIndex": 14, "text": "high."}, "groundingChunkIndices": [0]}] == grounding[
        "groundingSupports"
    ]
    back = CODEC.decode_response(CODEC.encode_response(answer(text), ANSWER), OUTGOING).choices[0].content[0]
    assert isinstance(back, Text)
    assert [(7, 12, "https://e.com"), (None, None, "https://f.com")] == [
        (one.start, one.end, one.url) for one in back.citations
    ]


@each([
    ([{"text": "Grüße: "}, {"text": "high."}], {"partIndex": 1, "endIndex": 5}),
    ([{"text": "hm", "thought": True}, {"text": "Grüße: "}, {"text": "high."}], {"partIndex": 2, "endIndex": 5}),
    ([{"text": "Grüße: "}, {"functionCall": {"name": "f"}}, {"text": "high."}], {"partIndex": 2, "endIndex": 5}),
    ([{"text": "hm", "thought": True}, {"text": "Grüße: high."}], {"partIndex": 1, "startIndex": 9, "endIndex": 14}),
    ([{"text": "hm", "thought": True}, {"text": "Grüße: high."}], {"startIndex": 9, "endIndex": 14}),
])  # fmt: skip
def test_a_source_counts_from_its_part_whatever_stands_before_that(parts: list[Any], segment: dict[str, int]) -> None:
    support = {"segment": segment, "groundingChunkIndices": [0]}
    grounding = {"groundingChunks": [{"web": {"uri": "https://e.com"}}], "groundingSupports": [support]}
    candidate = {"content": {"parts": parts}, "finishReason": "STOP", "groundingMetadata": grounding}
    read = CODEC.decode_response(msgspec.json.encode({"candidates": [candidate]}), OUTGOING).choices[0].content
    cited = [one for part in read if isinstance(part, Text) for one in part.citations]

    assert [(7, 12)] == [(one.start, one.end) for one in cited]


def searched(model: str, queries: list[str], *calls: dict[str, Any], sources: bool) -> list[dict[str, Any]]:
    """A stream whose model searched: as calls of the vendor's own, among its sources, or both."""
    told = [{"toolCall": {"id": f"s{at}", **call}, "thoughtSignature": SIGNATURE} for at, call in enumerate(calls)]
    grounding = {"groundingMetadata": {"webSearchQueries": queries}} if sources else {}
    parts: list[list[dict[str, Any]]] = [*([one] for one in told), [{"text": "High "}], [{"text": "water."}]]
    pieces = [
        {"candidates": [{"content": {"role": "model", "parts": one}, **grounding}], "modelVersion": model}
        for one in parts
    ]
    pieces[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[index]
    pieces[-1]["usageMetadata"] = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
    return pieces


WEB = {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["a", "b"]}}
PAGE = {"toolType": "URL_CONTEXT", "args": {"urls": ["u"]}}


@each([
    ("gemini-3.5-flash", (), True, 3),
    ("gemini-3.5-flash", (WEB, PAGE, {"toolType": "GOOGLE_SEARCH_IMAGE"}), False, 3),
    ("gemini-3.5-flash", (WEB,), True, 3),
    ("gemini-3.5-flash", (WEB, WEB), True, 4),
    ("gemini-3.5-flash", (PAGE, {}, {"toolType": None, "args": None}), False, 0),
    ("gemini-2.5-flash", (), True, 1),
])  # fmt: skip
def test_searches_are_counted_where_they_are_told(model: str, calls: Any, sources: bool, expected: int) -> None:
    """Beside functions they are calls of the vendor's own tool; each query is billed, and none twice."""
    pieces = searched(model, ["a", "b", "c"], *calls, sources=sources)
    data = b"".join(b"data: " + msgspec.json.encode(piece) + b"\r\n\r\n" for piece in pieces)
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])
    tap = CODEC.stream_tap(ANSWER)
    tap.feed(data)
    tap.close()
    parts = [part for piece in pieces for part in piece["candidates"][0]["content"]["parts"]]
    whole = msgspec.json.encode(
        {**pieces[-1], "candidates": [{**pieces[-1]["candidates"][0], "content": {"parts": parts}}]}
    )

    assert error is None
    assert tap.usage is not None
    assert expected == collect(events).usage.search_requests == tap.usage.search_requests
    assert expected == CODEC.decode_response(whole, OUTGOING).usage.search_requests
    assert expected == CODEC.splice_response(whole, "m")[1].search_requests  # type: ignore[union-attr]


def test_log_probabilities_come_back() -> None:
    logprobs = '[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]}]'
    choice = Choice(content=(Text(text="a"),), finish=Finish(reason="stop"), logprobs=logprobs)
    back = CODEC.decode_response(
        CODEC.encode_response(Response(id="x", model="m", choices=(choice,)), ANSWER), OUTGOING
    )

    assert msgspec.json.decode(logprobs) == msgspec.json.decode(back.choices[0].logprobs or "")


def test_pictures_and_the_vendors_own_parts_are_told() -> None:
    picture = Image(source=Base64Source(media_type="image/png", data="AAAA"))
    own = Native(protocol="gemini", block="executableCode", json='{"executableCode":{"code":"1","language":"PYTHON"}}')
    other = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")
    response = answer(picture, Reasoning(seal="data.QQ==", sealed_by="gemini"), own, other)
    events: list[Event] = [
        Started(id="x", model="m"), PartStarted(index=0, part=picture), PartEnded(index=0), Finished(finish=Finish(reason="stop")), Ended(),
    ]  # fmt: skip

    assert [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "QQ=="}, {"executableCode": {"code": "1", "language": "PYTHON"}},
    ] == parts(response)  # fmt: skip
    assert "inlineData" in pieces(streamed(events))[0]["candidates"][0]["content"]["parts"][0]
    assert (
        response.choices[0].content[:3]
        == CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING).choices[0].content
    )


def merged(response: Response) -> Response:
    """``response`` within the declared losses: refusals are texts, ids and models are the gateway's, cache writes are input."""
    (choice,) = response.choices
    content = tuple(Text(text=part.text) if isinstance(part, Refusal) else part for part in choice.content)
    finish = (
        Finish(reason="content_filter", explanation="SAFETY") if choice.finish.reason == "refusal" else choice.finish
    )
    usage = response.usage
    usage = msgspec.structs.replace(usage, input=usage.input + usage.cache_write_5m, cache_write_5m=0)
    return msgspec.structs.replace(
        response,
        id="r1",
        model="public/name",
        created=0,
        usage=usage,
        choices=(Choice(content=content, finish=finish),),
    )


@given(responses(), st.randoms(use_true_random=False))
def test_any_answer_is_what_it_was_whole_and_streamed(response: Response, draw: random.Random) -> None:
    expected = merged(response)
    first = CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING)
    second = again(streamed(told(response)))
    third = again(streamed(told(response, draw)))

    assert expected == first == second == third


def test_a_whole_answer_without_a_reason_is_whole_and_one_without_candidates_is_none() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}'

    assert "stop" == CODEC.decode_response(body, OUTGOING).choices[0].finish.reason
    with pytest.raises(UpstreamProtocolError):
        CODEC.decode_response(b'{"candidates":[],"usageMetadata":{}}', OUTGOING)


def test_a_failed_call_is_a_typed_error() -> None:
    with pytest.raises(UpstreamProtocolError, match="MALFORMED_FUNCTION_CALL") as caught:
        CODEC.decode_response(
            b'{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(x)"}]}', OUTGOING
        )
    assert "MALFORMED_FUNCTION_CALL" == caught.value.code


def test_pitfall_093_calls_without_ids_get_the_same_ones_in_every_reading() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}],"responseId":"R"}'
    first, second = (CODEC.decode_response(body, OUTGOING).choices[0].content for _ in range(2))
    stream = again(b"data: " + body + b"\r\n\r\n").choices[0].content

    assert first == second == stream
    assert 2 == len({part.id for part in first if isinstance(part, ToolCall)})


def test_calls_without_ids_in_answers_without_ids_are_told_apart_by_what_was_asked() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}'

    def call_of(asked: bytes) -> str:
        (call,) = CODEC.decode_response(body, msgspec.structs.replace(OUTGOING, body=asked)).choices[0].content
        assert isinstance(call, ToolCall)
        return call.id

    assert call_of(b'{"contents":[1]}') == call_of(b'{"contents":[1]}') != call_of(b'{"contents":[1,2]}')
