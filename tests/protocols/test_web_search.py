"""A search of the web, asked for in one dialect and told to a provider that speaks another: mapped where it has one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.catalog import Limits, Model, Provider
from runtime.config.protocol import USUAL
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Outgoing, Target
from tests.support.dialect import DIALECT
from tests.support.oracle import complaint

PLACE = {"city": "Brno", "country": "CZ"}
ASKED: dict[str, dict[str, Any]] = {
    "openai_chat": {"web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": PLACE}}},
    "openai_responses": {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "search_context_size": "low", "user_location": {"type": "approximate", **PLACE}}]},
    "anthropic_messages": {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"], "user_location": {"type": "approximate", **PLACE}}]},
    "gemini": {"tools": [{"googleSearch": {}}]},
}  # fmt: skip


def target(protocol: str, *, searches: bool) -> Target:
    surface = msgspec.structs.replace(USUAL[protocol], web_search=searches)
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: surface})
    return Target(provider, Model(id="up-1", limits=Limits(max_output=8000)), surface)


def sent(client: str, upstream: str, *, searches: bool, **more: Any) -> tuple[dict[str, Any], Outgoing]:
    dialect = DIALECT[client]
    body = msgspec.json.encode(dialect.body("m", stream=False, **{**ASKED[client], **more}))
    request = codec(client).decode_request(codec(client).peek(body, dialect.asked("m", stream=False)), {})
    outgoing = codec(upstream).encode_request(request, target(upstream, searches=searches), {})
    return msgspec.json.decode(outgoing.body), outgoing


def searches_in(upstream: str, body: dict[str, Any]) -> list[Any]:
    if upstream == "openai_chat":
        return [body["web_search_options"]] if "web_search_options" in body else []
    return body.get("tools", [])


@pytest.mark.parametrize("upstream", ASKED)
@pytest.mark.parametrize("client", ASKED)
def test_a_search_becomes_the_providers_own(client: str, upstream: str) -> None:
    body, outgoing = sent(client, upstream, searches=True)

    assert 1 == len(searches_in(upstream, body))
    assert complaint(upstream, "create", body) is None
    if client == upstream:
        assert ASKED[client].items() <= body.items()
        assert outgoing.losses == ()


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_where_the_user_is_comes_along(client: str) -> None:
    chat, _ = sent(client, "openai_chat", searches=True)
    responses, _ = sent(client, "openai_responses", searches=True)
    messages, _ = sent(client, "anthropic_messages", searches=True)

    assert PLACE == chat["web_search_options"]["user_location"]["approximate"]
    assert (
        {"type": "approximate", **PLACE}
        == responses["tools"][0]["user_location"]
        == messages["tools"][0]["user_location"]
    )


def test_domains_come_along_where_both_have_them() -> None:
    responses, _ = sent("anthropic_messages", "openai_responses", searches=True)
    messages, _ = sent("openai_responses", "anthropic_messages", searches=True)

    assert {"allowed_domains": ["a.example"]} == responses["tools"][0]["filters"]
    assert ["a.example"] == messages["tools"][0]["allowed_domains"]


def test_what_the_providers_form_cannot_say_is_named() -> None:
    assert ("tools[0].allowed_domains", "tools[0].location", "tools[0].max_uses") == sent("anthropic_messages", "gemini", searches=True)[1].losses  # fmt: skip
    assert ("tools[0].max_uses",) == sent("anthropic_messages", "openai_responses", searches=True)[1].losses
    assert ("tools[0].context",) == sent("openai_responses", "anthropic_messages", searches=True)[1].losses


@pytest.mark.parametrize("upstream", CODECS)
@pytest.mark.parametrize("client", ASKED)
def test_a_provider_without_search_gets_none_and_the_client_is_told(client: str, upstream: str) -> None:
    if client == upstream:
        return
    body, outgoing = sent(client, upstream, searches=False)

    assert [] == searches_in(upstream, body)
    assert "tool_choice" not in body
    assert "tools[0]" in outgoing.losses


def test_a_blocked_domain_goes_where_no_allowed_one_does() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["b.example"]}
    body, outgoing = sent("anthropic_messages", "openai_responses", searches=True, tools=[tool])

    assert [{"type": "web_search"}] == body["tools"]
    assert ("tools[0].blocked_domains",) == outgoing.losses


def test_functions_beside_a_search_stay() -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
    body, _ = sent(
        "openai_responses", "anthropic_messages", searches=True, tools=[function, {"type": "web_search_preview"}]
    )

    assert ["f", "web_search"] == [tool["name"] for tool in body["tools"]]


def _declared(upstream: str, body: dict[str, Any]) -> list[str]:
    tools = body.get("tools", [])
    if upstream == "gemini":
        return [function["name"] for tool in tools for function in tool.get("functionDeclarations", [])]
    return [(tool.get("function") or tool).get("name", tool.get("type")) for tool in tools]


@pytest.mark.parametrize("searches", [True, False])
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama_chat"])
def test_a_search_that_must_be_used_is_chosen_where_it_is_declared_and_nowhere_else(
    upstream: str, *, searches: bool
) -> None:
    function = {"name": "f", "input_schema": {"type": "object"}}
    body, outgoing = sent(
        "anthropic_messages",
        upstream,
        searches=searches,
        tools=[*ASKED["anthropic_messages"]["tools"], function],
        tool_choice={"type": "tool", "name": "web_search"},
    )
    chosen = {
        "openai_responses": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
        "anthropic_messages": {"type": "tool", "name": "web_search"},
    }.get(upstream if searches or upstream == "anthropic_messages" else "")

    assert "f" in _declared(upstream, body)
    assert chosen == body.get("tool_choice")
    assert ("tool_choice" in outgoing.losses) is (chosen is None)
    assert complaint(upstream, "create", body) is None


def test_a_function_that_is_named_like_the_search_is_the_one_that_is_chosen() -> None:
    function = {"type": "function", "function": {"name": "web_search", "parameters": {"type": "object"}}}
    choice = {"type": "function", "function": {"name": "web_search"}}
    body, outgoing = sent("openai_chat", "openai_responses", searches=True, tools=[function], tool_choice=choice)

    assert {"type": "function", "name": "web_search"} == body["tool_choice"]
    assert "tool_choice" not in outgoing.losses
