"""Several prompts in one request: split into one request each, and their answers put together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Choice, Finish, Response, Text, Usage
from runtime.errors import InvalidRequest, ModelNotFound, UpstreamProtocolError
from runtime.protocols import client_codec
from runtime.protocols.base import Answer, Envelope
from runtime.protocols.openai_completions.answer import Share
from runtime.protocols.openai_completions.prompts import PromptCodec, join_answers, split_prompts, write_stream_end
from runtime.protocols.openai_completions.request import ECHO
from tests.protocols.openai_completions.test_answer import TOKEN, chunks_of, texts
from tests.support.canonical import events_of

CODEC = client_codec("openai_completions")
NOTHING = Usage()


def asked(prompt: Any, **fields: Any) -> Envelope:
    return CODEC.peek(msgspec.json.encode({"model": "m", "prompt": prompt, **fields}))


def reply_to(envelope: Envelope) -> Answer:
    request = CODEC.decode_request(envelope, {})
    return Answer("public/name", "req1", 1_795_219_200, {}, request, envelope.variant)


def says(*said: str, usage: Usage = NOTHING, logprobs: str | None = None) -> Response:
    choices = tuple(
        Choice(content=(Text(text=text),), finish=Finish(reason="stop"), logprobs=logprobs) for text in said
    )
    return Response(id="r", model="up", created=5, choices=choices, usage=usage)


def share(first: int, size: int) -> PromptCodec:
    return PromptCodec(Share(first=first, size=size, created=1_795_219_200))


@given(st.lists(st.text(min_size=1), min_size=2, max_size=5))
def test_each_prompt_is_a_request_that_differs_in_nothing_else(prompts: list[str]) -> None:
    whole = asked(prompts, n=2, temperature=0.5, echo=True, stream=True)
    parts = split_prompts(whole, 5)

    assert len(prompts) == len(parts)
    for prompt, part in zip(prompts, parts, strict=True):
        alone = asked(prompt, n=2, temperature=0.5, echo=True, stream=True)
        assert (alone.fields, alone.variant, alone.stream) == (part.fields, part.variant, part.stream)
        assert msgspec.json.decode(alone.body) == msgspec.json.decode(part.body)
        assert CODEC.decode_request(alone, {}) == CODEC.decode_request(part, {})


@pytest.mark.parametrize("prompt", ["one", ["one"], [], [1, 2], [[1, 2], [3]], ["a", 1], 5, None, {"a": 1}])
def test_what_is_no_list_of_texts_is_left_to_those_who_read_it(prompt: Any) -> None:
    whole = asked(prompt)

    assert (whole,) == split_prompts(whole, 1)


def test_a_request_without_a_prompt_is_left_alone() -> None:
    whole = CODEC.peek(b'{"model":"m"}')

    assert (whole,) == split_prompts(whole, 1)


@pytest.mark.parametrize(
    ("prompts", "code", "words"),
    [(["a"] * 4, "array_above_max_length", "4 prompts; at most 3"), (["a", "", "b"], "invalid_value", "at 1")],
)
def test_what_is_refused_is_named(prompts: list[str], code: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        split_prompts(asked(prompts), 3)

    assert ("prompt", code) == (caught.value.param, caught.value.code)


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3, 4]], ["a", 1]])
def test_tokens_are_refused_by_name(tokens: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"'prompt'.*tokens") as caught:
        CODEC.decode_request(split_prompts(asked(tokens), 9)[0], {})

    assert ("prompt", "unsupported_value") == (caught.value.param, caught.value.code)


def test_choices_are_numbered_through_and_usage_is_added() -> None:
    parts = split_prompts(asked(["Once", "Twice"], n=2, echo=True), 5)
    usages = (Usage(input=3, output=4, cache_read=1), Usage(input=5, output=6, reasoning=2))
    bodies = [
        share(at * 2, 2).encode_response(says(f"{at}a", f"{at}b", usage=usages[at]), reply_to(part))
        for at, part in enumerate(parts)
    ]
    whole = msgspec.json.decode(join_answers(bodies, sum(usages, Usage()), reply_to(parts[0])))

    assert ["Once0a", "Once0b", "Twice1a", "Twice1b"] == [choice["text"] for choice in whole["choices"]]
    assert [0, 1, 2, 3] == [choice["index"] for choice in whole["choices"]]
    assert (9, 10, 19) == tuple(whole["usage"][f"{kind}_tokens"] for kind in ("prompt", "completion", "total"))
    assert ("cmpl-req1", "public/name", 1_795_219_200) == (whole["id"], whole["model"], whole["created"])


def test_usage_is_added_field_by_field() -> None:
    names = [name for name in Usage.__struct_fields__ if name not in {"estimated", "tier"}]
    each = msgspec.convert({name: at for at, name in enumerate(names, 1)}, Usage)
    twice = msgspec.convert({name: 2 * at for at, name in enumerate(names, 1)}, Usage)

    assert twice == each + each
    assert (Usage(estimated=True) + Usage()).estimated is (Usage() + Usage(estimated=True)).estimated is True


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_has_all_choices_one_end_and_one_usage(usage: bool) -> None:
    options = {"stream_options": {"include_usage": usage}}
    parts = split_prompts(asked(["Once", "Twice"], stream=True, echo=True, **options), 5)
    streams: list[bytes] = []
    for at, part in enumerate(parts):
        encoder = share(at, 1).stream_encoder(reply_to(part))
        streams.append(encoder.feed(events_of(says(f" upon {at}", usage=Usage(input=1, output=2)))))
    chunks = chunks_of(b"".join(streams) + write_stream_end(Usage(input=2, output=4), reply_to(parts[0])))

    assert ["Once upon 0", "Twice upon 1"] == [texts(chunks, at) for at in (0, 1)]
    assert {("cmpl-req1", 1_795_219_200, "public/name")} == {
        (each["id"], each["created"], each["model"]) for each in chunks
    }
    finished = [choice["index"] for each in chunks for choice in each["choices"] if choice["finish_reason"]]
    assert [0, 1] == finished
    assert [6] * usage == [each["usage"]["total_tokens"] for each in chunks if each.get("usage")]


def test_log_probabilities_begin_at_each_choices_own_text() -> None:
    said = "[" + TOKEN % ("ab", "ab") + "," + TOKEN % ("c", "c") + "]"
    body = share(3, 1).encode_response(says("abc", logprobs=said), reply_to(asked("x", logprobs=1)))
    choice = msgspec.json.decode(body)

    assert (3, [0, 2]) == (choice["index"], choice["logprobs"]["text_offset"])


def test_a_completion_too_many_would_take_anothers_number() -> None:
    with pytest.raises(UpstreamProtocolError, match="more than the 1 completions"):
        share(0, 1).encode_response(says("a", "b"), reply_to(asked("x")))
    with pytest.raises(UpstreamProtocolError, match="more than the 1 completions"):
        share(0, 1).stream_encoder(reply_to(asked("x"))).feed(events_of(says("a", "b")))


def test_fewer_completions_leave_the_others_their_numbers() -> None:
    parts = split_prompts(asked(["a", "b"], n=2), 5)
    bodies = [
        share(at * 2, 2).encode_response(says(*said), reply_to(parts[at])) for at, said in enumerate(((), ("b1",)))
    ]

    whole = msgspec.json.decode(join_answers(bodies, Usage(), reply_to(parts[0])))
    assert [2] == [choice["index"] for choice in whole["choices"]]


def test_it_is_the_dialect_in_everything_else() -> None:
    error = ModelNotFound("the model 'x' does not exist", param="model")

    assert CODEC.encode_error(error, "r") == share(0, 1).encode_error(error, "r")
    assert CODEC.protocol == share(0, 1).protocol
    assert ECHO == asked("x", echo=True).variant
