"""Tools that clients run and the vendor knows by type: functions for every other vendor, their type again for this one."""

from __future__ import annotations

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from runtime.canonical import NamedTool, ToolMode
from runtime.protocols import codec
from runtime.protocols.anthropic_messages.client_tools import client_tool
from tests.protocols.anthropic_messages.given import decoded, sent
from tests.protocols.openai_chat.support import target as chat_target

TOOLS = [
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 10_000},
    {"type": "memory_20250818", "name": "memory", "cache_control": {"type": "ephemeral"}},
]
ASKED = {"messages": [{"role": "user", "content": "Hi."}], "tools": TOOLS}


def test_the_vendor_gets_them_as_they_came() -> None:
    body = sent(decoded(dict(ASKED)))

    assert TOOLS == body["tools"]
    TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body)


def test_other_vendors_get_their_schemas() -> None:
    request = decoded({**ASKED, "tool_choice": {"type": "tool", "name": "bash"}})
    body = msgspec.json.decode(codec("openai_chat").encode_request(request, chat_target(), {}).body)
    functions = {tool["function"]["name"]: tool["function"] for tool in body["tools"]}

    assert NamedTool(name="bash") == request.tool_choice
    assert ["bash", "str_replace_based_edit_tool", "memory"] == list(functions)
    assert {"command", "restart"} == set(functions["bash"]["parameters"]["properties"])
    assert ["view", "create", "str_replace", "insert"] == (
        functions["str_replace_based_edit_tool"]["parameters"]["properties"]["command"]["enum"]
    )
    assert {"old_path", "new_path"} < set(functions["memory"]["parameters"]["properties"])
    assert all(function["description"] for function in functions.values())


def test_they_can_be_chosen_here_too() -> None:
    assert {"type": "tool", "name": "bash"} == sent(
        decoded({**ASKED, "tool_choice": {"type": "tool", "name": "bash"}})
    )["tool_choice"]
    assert ToolMode(mode="required") == decoded({**ASKED, "tool_choice": {"type": "any"}}).tool_choice


@pytest.mark.parametrize("kind", ["web_search_20250305", "bash", "custom", "code_execution_20250522", "bash_next"])
def test_what_the_vendor_runs_or_nobody_knows_is_none(kind: str) -> None:
    assert client_tool(kind) is None
