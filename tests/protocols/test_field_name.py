"""What fields are called: in the words of the client who is told of a fault, and alike in what every codec says it lost."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given

from runtime.canonical import Message, Reasoning, Request, Text, ToolCall
from runtime.catalog import Limits, Model, Provider, Surface
from runtime.errors import InvalidRequest
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Outgoing, Target
from runtime.protocols.field_name import beyond, field_name
from tests.support.canonical import requests
from tests.support.examples import few

SAID = [
    ("openai_chat", "tools[1].parameters.properties.a", "tools[1].function.parameters.properties.a"),
    ("openai_chat", "response_format.schema", "response_format.json_schema.schema"),
    ("openai_chat", "messages[2].content[0]", "messages[2].content[0]"),
    ("openai_responses", "messages[2].content[0]", "input"),
    ("openai_responses", "response_format.schema.properties.a", "text.format.schema"),
    ("anthropic_messages", "messages[2].content[0]", "messages"),
    ("anthropic_messages", "response_format.schema", "output_config.format.schema"),
    ("gemini", "messages[2].content[0]", "contents"),
    ("gemini", "n", "generationConfig.candidateCount"),
    ("gemini", "response_format.schema", "generationConfig.responseJsonSchema"),
    ("ollama_chat", "tools[1].parameters", "tools[1].function.parameters"),
    ("ollama_chat", "messages[2].content[0]", "messages[2].content[0]"),
    ("ollama_chat", "response_format.schema", "format"),
    ("ollama_generate", "messages[2].content[0]", "prompt"),
    ("openai_completions", "messages[2].content[0]", "prompt"),
    ("openai_completions", "n", "n"),
    ("openai_chat", None, None),
]


@pytest.mark.parametrize(("protocol", "path", "said"), SAID)
def test_a_field_is_called_as_the_client_calls_it(protocol: str, path: str | None, said: str | None) -> None:
    assert said == field_name(protocol, path)


def aim(protocol: str) -> Target:
    surface = Surface(path="/v1/x")
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: surface})
    return Target(provider, Model(id="up-1", limits=Limits(max_output=8192)), surface)


def sent(request: Request, protocol: str) -> Outgoing:
    return codec(protocol).encode_request(request, aim(protocol), {})


@pytest.mark.parametrize("protocol", CODECS)
@few()
@given(request_=requests())
def test_losses_are_told_by_canonical_paths(protocol: str, request_: Request) -> None:
    known = set(Request.__struct_fields__) | set(beyond(request_.extensions, ""))
    try:
        losses = sent(request_, protocol).losses
    except InvalidRequest:
        return

    assert {re.split(r"[.\[]", loss)[0] for loss in losses} <= known


@pytest.mark.parametrize(
    ("protocol", "lost"),
    [
        ("openai_chat", ()),
        ("openai_responses", ("sampling.top_k", "sampling.min_p")),
        ("anthropic_messages", ("sampling.min_p",)),
        ("gemini", ("sampling.min_p",)),
        ("ollama_chat", ()),
    ],
)
def test_chat_s_own_sampling_is_lost_only_where_it_is_not_told(protocol: str, lost: tuple[str, ...]) -> None:
    chat = codec("openai_chat")
    fields: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "top_k": 5, "min_p": 0.1}
    request = chat.decode_request(chat.peek(msgspec.json.encode(fields)), {})

    assert lost == sent(request, protocol).losses


@pytest.mark.parametrize("protocol", CODECS)
def test_nothing_is_lost_of_a_result_that_nobody_sent(protocol: str) -> None:
    """A call without a result gets one that says so."""
    turn = Message(role="assistant", content=(ToolCall(id="c1", name="f", arguments="{}"),))
    request = Request(model="m", messages=(_user("x"), turn, _user("y")))
    outgoing = sent(request, protocol)

    assert b"No result" in outgoing.body
    assert () == outgoing.losses


@pytest.mark.parametrize("protocol", ["anthropic_messages", "gemini"])
def test_thinking_that_cannot_go_back_is_named_by_its_place(protocol: str) -> None:
    turn = Message(role="assistant", content=(Text(text="a"), Reasoning(text="hm", seal="s", sealed_by="openai_chat")))
    request = Request(model="m", messages=(_user("x"), turn, _user("y")))

    assert ("messages[1].content[1]",) == sent(request, protocol).losses


def _user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))
