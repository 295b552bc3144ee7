"""Generated images: beside the text of an answer, as compatible servers send them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from runtime.canonical import (
    Base64Source,
    Choice,
    Finish,
    Image,
    Message,
    Response,
    Text,
    ToolCall,
    ToolResult,
    UrlSource,
    collect,
)
from runtime.errors import UpstreamProtocolError
from tests.protocols.openai_chat.support import CODEC, OUTGOING, ask, body, reply_to, user
from tests.support.canonical import events_of
from tests.support.stream import decode_stream, sse_data

BYTES = Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))
LINK = Image(source=UrlSource(url="https://e.example/a.png"))
ANSWER = Response(
    id="r", model="m", choices=(Choice(content=(Text(text="Here:"), BYTES, LINK), finish=Finish(reason="stop")),)
)
WIRE = [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}},
]


def test_images_stand_beside_the_text_of_a_whole_answer() -> None:
    told = CODEC.encode_response(ANSWER, reply_to())

    assert WIRE == msgspec.json.decode(told)["choices"][0]["message"]["images"]
    ChatCompletion.model_validate_json(told)
    assert ANSWER.choices == CODEC.decode_response(told, OUTGOING).choices


def test_images_come_whole_in_a_stream() -> None:
    told = CODEC.stream_encoder(reply_to()).feed(events_of(ANSWER))
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [told])

    for data in sse_data(told)[:-1]:
        ChatCompletionChunk.model_validate_json(data)
    assert error is None
    assert ANSWER.choices == collect(events).choices


def test_an_image_given_as_a_plain_text_is_read() -> None:
    content = [{"type": "image_url", "image_url": "https://e.example/a.png"}]
    request = CODEC.decode_request(
        CODEC.peek(msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": content}]})), {}
    )

    assert (LINK,) == request.messages[0].content


@pytest.mark.parametrize(
    "images", [[{"type": "image_url"}], [{"type": "image_url", "image_url": {"url": "data:x"}}], "x"]
)
def test_an_image_that_cannot_be_read_is_the_provider_s_fault(images: Any) -> None:
    message = {"role": "assistant", "content": "a", "images": images}
    given = msgspec.json.encode({"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    with pytest.raises(UpstreamProtocolError):
        CODEC.decode_response(given, OUTGOING)


def test_images_that_a_model_made_are_shown_by_the_user_behind_its_calls_results() -> None:
    call = ToolCall(id="a", name="f", arguments="{}")
    done = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="ok"),)),))
    made = Message(role="assistant", content=(Text(text="Here:"), LINK, call))
    sent = body(ask(user("draw"), made, done, user("thanks")))["messages"]

    assert ["user", "assistant", "tool", "user", "user"] == [turn["role"] for turn in sent]
    assert "Here:" == sent[1]["content"]
    assert WIRE[1] == sent[3]["content"][1]
