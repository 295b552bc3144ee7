"""Chat in, Chat out: byte for byte but for the model, and for what a quirk of the provider bites on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.catalog import Model, ParameterRules
from runtime.errors import InvalidRequest
from runtime.protocols.base import Target
from tests.protocols.openai_chat.support import CODEC, target

BODY = (
    b'{ "messages": [ {"role": "developer", "content": "\\u0041"}, {"role":"user","content":"x", "odd": 1.0} ],'
    b' "model": "gpt-x", "max_completion_tokens": 5, "stream": true, "stream_options": {"include_usage": false},'
    b' "temperature": 0, "new_field": [1.50] }'
)
ALL_KNOWN = {"max_tokens_field": "max_completion_tokens"}


def passed(body: bytes, to: Target) -> bytes:
    return CODEC.splice(CODEC.peek(body), to, {}).body


def fields(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


def test_only_the_model_changes() -> None:
    outgoing = CODEC.splice(CODEC.peek(BODY), target(**ALL_KNOWN), {})

    assert BODY.replace(b'"gpt-x"', b'"up-1"') == outgoing.body
    assert (True, "/v1/chat/completions", (), {}) == (
        outgoing.stream,
        outgoing.path,
        outgoing.losses,
        outgoing.tool_names,
    )


def test_parameter_rules_apply_to_the_fields_alone() -> None:
    to = target(Model(id="up-1", parameters=ParameterRules(drop=("temperature",))), **ALL_KNOWN)
    sent = fields(passed(BODY, to))

    assert "temperature" not in sent
    assert b'[ {"role": "developer", "content": "\\u0041"}, {"role":"user","content":"x", "odd": 1.0} ]' in passed(
        BODY, to
    )


@pytest.mark.parametrize(
    ("wanted", "said"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_output_limit_goes_by_the_provider_s_name(wanted: str, said: str) -> None:
    body = b'{"model":"gpt-x","%b": 7,"messages":[]}' % said.encode()

    assert b'{"model":"up-1","%b":7,"messages":[]}' % wanted.encode() == passed(body, target(max_tokens_field=wanted))


def test_output_limit_said_in_both_names_is_left_alone() -> None:
    body = b'{"model":"gpt-x","max_tokens":7,"max_completion_tokens":9}'

    assert body.replace(b"gpt-x", b"up-1") == passed(body, target())


def test_developer_role_becomes_system_and_nothing_else_changes() -> None:
    sent = fields(passed(BODY, target(developer_role=False, **ALL_KNOWN)))["messages"]

    assert [{"role": "system", "content": "A"}, {"role": "user", "content": "x", "odd": 1.0}] == sent
    assert b'"content":"\\u0041"' in passed(BODY, target(developer_role=False, **ALL_KNOWN))


def test_stream_options_are_kept_from_those_who_refuse_them() -> None:
    assert "stream_options" not in fields(passed(BODY, target(stream_usage=False, **ALL_KNOWN)))


def asking(**quirks: Any) -> Target:
    return msgspec.structs.replace(target(**quirks), asks_usage=True)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"", {"include_usage": True}),
        (b',"stream_options":null', {"include_usage": True}),
        (b',"stream_options":{"include_usage":false,"odd":[1.50]}', {"include_usage": True, "odd": [1.5]}),
    ],
)
def test_who_does_not_ask_what_a_stream_takes_may_be_asked_for(options: bytes, sent: dict[str, Any]) -> None:
    body = b'{"model":"gpt-x","messages":[],"stream":true%b}' % options
    outgoing = CODEC.splice(CODEC.peek(body), asking(), {})

    assert sent == fields(outgoing.body)["stream_options"]
    assert outgoing.unasked_usage


@pytest.mark.parametrize(
    ("body", "to"),
    [
        (b'{"model":"gpt-x","stream":true,"stream_options":{"include_usage":true}}', asking()),
        (b'{"model":"gpt-x","stream":true,"stream_options":[1]}', asking()),
        (b'{"model":"gpt-x"}', asking()),
        (b'{"model":"gpt-x","stream":true}', asking(stream_usage=False)),
        (b'{"model":"gpt-x","stream":true}', target()),
    ],
)
def test_nobody_is_asked_for_who_asks_or_gets_no_stream(body: bytes, to: Target) -> None:
    outgoing = CODEC.splice(CODEC.peek(body), to, {})

    assert body.replace(b"gpt-x", b"up-1") == outgoing.body
    assert not outgoing.unasked_usage


def test_quirks_of_the_messages_own_shape_reshape_the_messages_only() -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c", "tool_calls": [{"id": "call_long_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_long_1", "content": "d"},
    ]  # fmt: skip
    body = b'{"model":"gpt-x","messages":' + msgspec.json.encode(turns) + b',"odd": [1.50]}'
    to = target(
        text_only_content=True, content_xor_tool_calls=True, tool_call_id="^[a-zA-Z0-9]{9}$", empty_content="empty"
    )
    sent = passed(body, to)
    first, second, third = fields(sent)["messages"]

    assert ("a\nb", "") == (first["content"], second["content"])
    assert second["tool_calls"][0]["id"] == third["tool_call_id"] != "call_long_1"
    assert sent.endswith(b',"odd": [1.50]}')


def test_what_passes_has_words_of_the_models_behind_results_where_the_provider_wants_them() -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    given = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "d"},
        {"role": "user", "content": "and?"},
    ]
    body = msgspec.json.encode({"model": "gpt-x", "messages": given})

    assert given == fields(passed(body, target()))["messages"]
    assert ["tool", "assistant", "user"] == [
        turn["role"] for turn in fields(passed(body, target(assistant_after_results=True)))["messages"]
    ][2:]


def test_content_that_a_quirk_cannot_carry_is_refused() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": [image]}]})

    with pytest.raises(InvalidRequest, match="text only"):
        passed(body, target(text_only_content=True))


def test_counting_is_not_offered() -> None:
    assert CODEC.encode_count(CODEC.decode_request(CODEC.peek(BODY), {}), target(), {}) is None
