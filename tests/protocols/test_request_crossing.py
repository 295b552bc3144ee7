"""Single fields of one dialect's requests, and what becomes of them at the providers of the others."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from runtime.canonical import Base64Source, Image, Message, Text
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Asked, Outgoing
from runtime.protocols.openai_chat.turns import folded
from tests.protocols.test_pairs import target_of
from tests.support.each import each

PNG = "iVBORw0KGgo="
PDF = "JVBERi0="
TAGS = {"a": "b"}
JPEG = "/9j/4AAQSkZJRg=="
HI = [{"role": "user", "content": "hi"}]
OPENAI = ("openai_chat", "openai_responses")
AGENT = f'{{"device_id":"{"a" * 64}","account_uuid":"","session_id":"0e2d9b1c-6f0a-4a55-9d0e-5b8c1f1b7a11"}}'


def crossed(client: str, upstream: str, **fields: Any) -> tuple[dict[str, Any], Outgoing]:
    """The body that a provider gets for a client's, and all else that is told of it."""
    body = msgspec.json.encode({"model": "m", **fields})
    if client == "gemini":
        body = msgspec.json.encode(fields)
    speaks = codec(client)
    request = speaks.decode_request(speaks.peek(body, Asked("m", stream=False)), {})
    outgoing = codec(upstream).encode_request(request, target_of(upstream), {})
    return msgspec.json.decode(outgoing.body, type=dict[str, Any]), outgoing


@pytest.mark.parametrize("upstream", OPENAI)
def test_the_end_users_name_is_as_short_as_vendors_take_it_and_always_the_same(upstream: str) -> None:
    def user(name: str) -> Any:
        sent, outgoing = crossed("anthropic_messages", upstream, messages=HI, max_tokens=9, metadata={"user_id": name})
        assert "user" not in outgoing.losses
        return sent["user"]

    assert "u" * 64 == user("u" * 64)
    assert hashlib.sha256(b"u" * 65).hexdigest() == user("u" * 65)
    assert 64 == len(user(AGENT))
    assert user(AGENT) == user(AGENT) != user(AGENT.replace("0e2d", "0e2e"))
    assert "aaaa" not in user(AGENT)


@pytest.mark.parametrize("protocol", OPENAI)
def test_the_end_users_name_passes_as_it_is(protocol: str) -> None:
    fields = {"input": "hi"} if protocol == "openai_responses" else {"messages": HI}
    speaks = codec(protocol)
    envelope = speaks.peek(msgspec.json.encode({"model": "m", "user": AGENT, **fields}))

    assert AGENT == msgspec.json.decode(speaks.splice(envelope, target_of(protocol), {}).body)["user"]


def chat_image(media_type: str, data: str) -> dict[str, Any]:
    shown = {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
    return {"messages": [{"role": "user", "content": [shown]}]}


def gemini_image(media_type: str, data: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": media_type, "data": data}}]}]}


@each([
    ("openai_chat", chat_image("image/jpg", JPEG)),
    ("openai_chat", chat_image("image/jpg", "aGk=")),
    ("openai_chat", chat_image("image/pjpeg", "aGk=")),
    ("openai_chat", chat_image("image/png", JPEG)),
    ("gemini", gemini_image("image/jpg", JPEG)),
    ("gemini", gemini_image("image/JPEG", JPEG)),
    ("gemini", gemini_image("image/JPEG", "aGk=")),
])  # fmt: skip
def test_an_image_is_called_what_it_is_whatever_the_client_calls_it(client: str, fields: dict[str, Any]) -> None:
    sent, _ = crossed(client, "anthropic_messages", **fields)

    assert "image/jpeg" == sent["messages"][0]["content"][0]["source"]["media_type"]


def orphan(source: dict[str, str], kind: str) -> dict[str, Any]:
    """A result whose call is gone, as after a compaction."""
    shown = [{"type": "text", "text": "shot"}, {"type": kind, "source": {"type": "base64", **source}}]
    result = {"type": "tool_result", "tool_use_id": "gone", "content": shown}
    asked = {"role": "user", "content": [result, {"type": "text", "text": "What is it?"}]}
    return {"max_tokens": 9, "messages": [asked]}


def instructed(*before: Any, role: str = "developer") -> dict[str, Any]:
    logo = [
        {"type": "input_text", "text": "logo:"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
    ]
    after = {"role": "developer", "content": "Be brief."}
    return {"input": [*before, {"role": role, "content": logo}, after, {"role": "user", "content": "hi"}]}


PICTURE = {"media_type": "image/png", "data": PNG}
SHEET = {"media_type": "application/pdf", "data": PDF}
SHOWING = [
    ("anthropic_messages", orphan(PICTURE, "image"), PNG),
    ("anthropic_messages", orphan(SHEET, "document"), PDF),
    ("openai_responses", instructed(), PNG),
    ("openai_responses", instructed(role="system"), PNG),
    ("openai_responses", instructed({"role": "user", "content": "x"}), PNG),
    ("openai_responses", instructed({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}), PNG),
]


@each([
    (*showing, upstream)
    for showing in SHOWING
    for upstream in sorted(CODECS)
    if (showing[2], upstream) != (PDF, "ollama_chat")  # which takes no documents and refuses the request
])  # fmt: skip
def test_what_a_lone_result_or_an_instruction_shows_is_shown(
    client: str, fields: dict[str, Any], data: str, upstream: str
) -> None:
    sent, outgoing = crossed(client, upstream, **fields)

    assert data in str(sent)
    assert () == tuple(loss for loss in outgoing.losses if loss.startswith("messages") and not loss.endswith(".detail"))


@each(
    [
        (f"{where}", protocol)
        for where in ("front", "middle")
        for protocol in ("anthropic_messages", "gemini", "openai_chat")
    ]
)
def test_only_the_user_shows_what_belongs_to_instructions_and_these_stay_where_they_are(
    where: str, protocol: str
) -> None:
    before = [{"role": "user", "content": "x"}] if where == "middle" else []
    sent, _ = crossed("openai_responses", protocol, **instructed(*before))
    turns: list[Any] = sent.get("messages") or sent["contents"]
    showing = [turn for turn in turns if PNG in str(turn)]

    assert ["user"] == [turn["role"] for turn in showing]
    if where == "front":
        system = [turn for turn in turns if turn["role"] in {"system", "developer"}]
        first = str(sent.get("system") or sent.get("systemInstruction") or system)
        assert "logo:" in first
        assert "Be brief." in first
        assert showing[0] is turns[len(system)]


def test_a_provider_that_is_instructed_at_the_front_alone_is_shown_what_later_instructions_show() -> None:
    picture = Image(source=Base64Source(media_type="image/png", data=PNG))
    later = Message(role="system", content=(Text(text="logo:"), picture))
    first = Message(role="user", content=(Text(text="x"),))

    assert (first, Message(role="user", content=(Text(text="<system>\nlogo:\n</system>"), picture))) == folded(
        (first, later)
    )


@each([
    ("openai_responses", {"input": "x", "metadata": TAGS}, False),
    ("openai_responses", {"input": "x", "metadata": TAGS, "store": False}, False),
    ("openai_responses", {"input": "x", "metadata": TAGS, "store": True}, True),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "labels": TAGS}, False),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "labels": TAGS, "store": True}, True),
    ("openai_chat", {"messages": HI, "metadata": TAGS}, True),
])  # fmt: skip
def test_chat_providers_get_metadata_of_answers_that_they_are_to_keep_and_those_that_chat_clients_sent(
    client: str, fields: dict[str, Any], sends: bool
) -> None:
    sent, outgoing = crossed(client, "openai_chat", **fields)

    assert (TAGS if sends else None) == sent.get("metadata")
    assert sends is ("metadata" not in outgoing.losses)
    assert fields.get("store") == sent.get("store")


def test_metadata_of_a_chat_client_are_named_once_where_they_are_lost() -> None:
    _, outgoing = crossed("openai_chat", "ollama_chat", messages=HI, metadata=TAGS)

    assert ("metadata",) == outgoing.losses


def anthropic_document(url: str) -> dict[str, Any]:
    shown = {"type": "document", "source": {"type": "url", "url": url}}
    return {"max_tokens": 9, "messages": [{"role": "user", "content": [shown]}]}


def gemini_file(uri: str, **media_type: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": uri, **media_type}}]}]}


@each([
    ("anthropic_messages", anthropic_document("https://e.com/doc"), "application/pdf"),
    ("gemini", gemini_file("gs://b/o", mimeType="application/pdf"), "application/pdf"),
    ("gemini", gemini_file("gs://b/o.txt", mimeType="text/markdown"), "text/markdown"),
    ("gemini", gemini_file("https://e.com/a", mimeType="image/webp"), "image/webp"),
    ("gemini", gemini_file("https://e.com/a.pdf"), "application/pdf"),
    ("gemini", gemini_file("https://youtu.be/a", mimeType="video/mp4"), "video/mp4"),
    ("gemini", gemini_file("gs://b/o"), None),
])  # fmt: skip
def test_what_a_client_says_is_at_an_address_is_said_on(
    client: str, fields: dict[str, Any], media_type: str | None
) -> None:
    sent, _ = crossed(client, "gemini", **fields)

    assert media_type == sent["contents"][0]["parts"][0]["fileData"].get("mimeType")


def test_empty_texts_of_an_anthropic_client_are_told_to_nobody() -> None:
    """Its vendor refuses them, so that clients seldom send any; others read an empty turn as one."""
    nothing = {"type": "text", "text": ""}
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [nothing, {"type": "text", "text": "done"}]}
    fields = {
        "max_tokens": 99,
        "system": [nothing, {"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [nothing, {"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": [nothing, call]},
            {"role": "user", "content": [result, nothing]},
        ],
    }
    chat, _ = crossed("anthropic_messages", "openai_chat", **fields)
    responses, _ = crossed("anthropic_messages", "openai_responses", **fields)
    ollama, _ = crossed("anthropic_messages", "ollama_chat", **fields)

    assert ["Be brief.", "hi", None, "done"] == [turn["content"] for turn in chat["messages"]]
    assert "Be brief." == responses["instructions"]
    assert ["message", "function_call", "function_call_output"] == [item["type"] for item in responses["input"]]
    assert ["Be brief.", "hi", "", "done"] == [turn["content"] for turn in ollama["messages"]]


def names_of(tools: list[Any]) -> list[str]:
    told = [each for tool in tools for each in tool.get("functionDeclarations", [tool])]
    return [tool.get("name") or tool["function"]["name"] for tool in told if tool.get("name") or "function" in tool]


@each([("anthropic_messages", 1), ("gemini", 1), ("openai_chat", 2), ("openai_responses", 2), ("ollama_chat", 2)])
def test_a_function_that_is_declared_twice_is_told_once_where_the_vendor_refuses_two(upstream: str, times: int) -> None:
    one = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    other = {"type": "function", "function": {"name": "g"}}
    sent, outgoing = crossed("openai_chat", upstream, messages=HI, tools=[one, other, one])

    assert ["f", "g", "f"][: times + 1] == names_of(sent["tools"])
    assert (("tools[2]",) if times == 1 else ()) == outgoing.losses


def test_a_function_goes_before_the_vendors_own_tool_of_its_name() -> None:
    """Agents call a search of their own as Anthropic calls its search, and send both."""
    own = {"type": "function", "function": {"name": "web_search", "parameters": {"type": "object", "properties": {}}}}
    surface = msgspec.structs.replace(target_of("anthropic_messages").surface, web_search=True)
    target = msgspec.structs.replace(target_of("anthropic_messages"), surface=surface)
    chat = codec("openai_chat")
    body = msgspec.json.encode({"model": "m", "messages": HI, "tools": [own], "web_search_options": {}})
    outgoing = codec("anthropic_messages").encode_request(chat.decode_request(chat.peek(body), {}), target, {})

    assert ["web_search"] == names_of(msgspec.json.decode(outgoing.body)["tools"])
    assert ("tools[1]",) == outgoing.losses
