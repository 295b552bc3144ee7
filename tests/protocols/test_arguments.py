"""Whatever a model wrote as a call's arguments: what others are told is one JSON object, and says all of it."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.catalog import Model, Provider, Surface
from runtime.protocols import CODECS, codec
from runtime.protocols.arguments import as_object
from runtime.protocols.base import Answer, Outgoing, Target
from tests.support.each import each

ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={})
OUTGOING = Outgoing("/", (), b"", stream=False)

CUT = ("[", '["ls", "-la', "[[1,2]", "12abc", "true story", "nullable", '"a" b', "[1]]", "false{}")
"""What begins as JSON that is no object, and goes on as no JSON."""


WRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("", {}), (" ", {}), ("null", {}), ('{"a":1}', {"a": 1}), ("[1]", {"value": [1]}), (" 5 ", {"value": 5}),
    *((text, {"INVALID_JSON": text}) for text in CUT),
]  # fmt: skip


@each(WRITTEN)
def test_any_text_is_an_object(text: str, expected: dict[str, Any]) -> None:
    assert expected == json.loads(as_object(text))


@given(st.text(st.sampled_from('{}[]",:\\ 01-.eEnulltrfas\n'), max_size=12))
def test_any_text_is_json_as_strict_readers_read_it(text: str) -> None:
    assert isinstance(json.loads(as_object(text)), dict)


@each([*product(sorted(CODECS), CUT)])
def test_a_call_that_was_cut_in_its_arguments_leaves_the_answer_sound(client: str, text: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "shell", "arguments": text}}
    choice = {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "length"}
    body = json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
    answer = codec(client).encode_response(codec("openai_chat").decode_response(body, OUTGOING), ANSWER)

    assert "shell" in json.dumps(json.loads(answer))


@each([*product(sorted(CODECS), CUT)])
def test_such_a_call_in_history_leaves_the_next_request_sound(upstream: str, text: str) -> None:
    called = {"type": "function_call", "call_id": "call_1", "name": "shell", "arguments": text}
    result = {"type": "function_call_output", "call_id": "call_1", "output": "no such command"}
    body = json.dumps({"model": "m", "input": [{"role": "user", "content": "hi"}, called, result]}).encode()
    client, surface = codec("openai_responses"), Surface(path="/v1/x")
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={upstream: surface})
    target = Target(provider, Model(id="up-1"), surface)
    sent = codec(upstream).encode_request(client.decode_request(client.peek(body), {}), target, {})

    assert "shell" in json.dumps(json.loads(sent.body))
