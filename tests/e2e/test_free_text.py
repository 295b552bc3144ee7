"""A coding agent's free-text tool, over a real server, to a provider whose Chat knows functions only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseCustomToolCall

from tests.support.gateway import Running
from tests.support.vendor import Vendor

PATCH = '*** Begin Patch\n*** Add File: grüß.txt\n+"hello"\n*** End Patch\n'
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'}
TOOL: Any = {"type": "custom", "name": "apply_patch", "description": "Patches files.", "format": GRAMMAR}
ASKED = {"role": "user", "content": "Write the file."}
MODEL = "chatty/free-text"


@pytest.fixture
def chat(chatty: Vendor) -> Iterator[Vendor]:
    """The vendor, which must have been told of functions only, and had nothing to complain of."""
    chatty.clear()
    yield chatty
    for seen in chatty.requests:
        assert {"function"} == {tool["type"] for tool in seen.body["tools"]}
        assert {"function"} >= {call["type"] for turn in seen.body["messages"] for call in turn.get("tool_calls", [])}
    complaints = chatty.complaints.copy()
    chatty.clear()
    assert [] == complaints


def called(response: Any) -> ResponseCustomToolCall:
    (item,) = response.output
    assert isinstance(item, ResponseCustomToolCall)
    return item


def test_whole(served: Running, openai_client: openai.OpenAI, chat: Vendor) -> None:
    choice: Any = {"type": "custom", "name": "apply_patch"}
    answered = openai_client.responses.create(model=MODEL, input="x", tools=[TOOL], tool_choice=choice, store=False)

    assert ("call_p1", "apply_patch", PATCH) == (
        called(answered).call_id,
        called(answered).name,
        called(answered).input,
    )
    assert {"type": "function", "function": {"name": "apply_patch"}} == chat.requests[0].body["tool_choice"]
    assert 'start: "*** Begin Patch"' in chat.requests[0].body["tools"][0]["function"]["description"]


@pytest.mark.parametrize("split", [0, 1, 7])
def test_stream(served: Running, openai_client: openai.OpenAI, chat: Vendor, split: int) -> None:
    chat.split = split
    with openai_client.responses.stream(model=MODEL, input="x", tools=[TOOL], store=False) as stream:
        events = list(stream)
        answered = stream.get_final_response()

    deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
    ends = [event.input for event in events if event.type == "response.custom_tool_call_input.done"]
    assert ("".join(deltas), ends, called(answered).input) == (PATCH, [PATCH], PATCH)


def test_result_goes_back(served: Running, openai_client: openai.OpenAI, chat: Vendor) -> None:
    first = openai_client.responses.create(model=MODEL, input=[ASKED], tools=[TOOL], store=False)  # type: ignore[list-item]
    told: Any = [
        ASKED,
        called(first).to_dict(),
        {"type": "custom_tool_call_output", "call_id": "call_p1", "output": "Done."},
    ]
    second = openai_client.responses.create(model=MODEL, input=told, tools=[TOOL], store=False)

    assert second.output_text
    call, result = chat.requests[1].body["messages"][1:]
    assert chat.requests[0].body["tools"] == chat.requests[1].body["tools"]
    assert ("call_p1", "apply_patch") == (call["tool_calls"][0]["id"], call["tool_calls"][0]["function"]["name"])
    assert {"role": "tool", "tool_call_id": "call_p1", "content": "Done."} == result
