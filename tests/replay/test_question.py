"""Two requests share an answer only where nothing that an answer depends on differs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.protocols.base import Asked
from runtime.replay.question import IRRELEVANT, read_question
from tests.replay.support import make_call

USER = {"role": "user", "content": "hi"}
BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": [USER], "temperature": 0},
    "openai_responses": {"model": "m", "input": "hi", "temperature": 0, "store": False},
    "openai_completions": {"model": "m", "prompt": "hi", "temperature": 0},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": [USER], "temperature": 0},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"temperature": 0}},
    "ollama_chat": {"model": "m", "messages": [USER], "options": {"temperature": 0}},
    "ollama_generate": {"model": "m", "prompt": "hi", "options": {"temperature": 0}},
}
ASKED = {"gemini": Asked(model="m", stream=False)}


def shown(part: dict[str, Any]) -> dict[str, Any]:
    """Beside a question."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is it"}, part]}]}


def ask(protocol: str, body: dict[str, Any] | bytes, **more: Any) -> Any:
    owner = more.pop("owner", "build/team/key")
    temperature, tools = more.pop("temperature", "zero"), more.pop("tools", "none")
    call = make_call(body, protocol=protocol, asked=ASKED.get(protocol, Asked()), **more)
    return read_question(call, owner, temperature, tools)


@pytest.mark.parametrize("protocol", BODIES)
def test_every_dialect_can_be_cached_and_its_last_text_is_found(protocol: str) -> None:
    question = ask(protocol, BODIES[protocol])
    assert question is not None
    assert "hi" == question.text
    assert set(BODIES) == set(IRRELEVANT)


@pytest.mark.parametrize("protocol", BODIES)
def test_white_space_and_the_order_of_keys_do_not_matter(protocol: str) -> None:
    body = BODIES[protocol]
    turned = json.dumps(dict(reversed(body.items())), indent=3).encode()
    assert ask(protocol, body) == ask(protocol, turned)


@pytest.mark.parametrize("protocol", BODIES)
def test_what_no_answer_depends_on_does_not_matter(protocol: str) -> None:
    body = BODIES[protocol]
    for name in IRRELEVANT[protocol] - {"stream", "store"}:
        assert ask(protocol, body) == ask(protocol, body | {name: "x" if name != "metadata" else {"user_id": "x"}}), (
            name
        )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.text(min_size=1, max_size=8), one=JSON, other=JSON, protocol=st.sampled_from(list(BODIES)))
def test_any_difference_in_a_field_misses(name: str, one: Any, other: Any, protocol: str) -> None:
    texts = [json.dumps(each, sort_keys=True, ensure_ascii=False) for each in (one, other)]
    body = BODIES[protocol]
    name = f"x-{name}"
    found = [ask(protocol, body | {name: each}, temperature="any") for each in (one, other)]
    assert found[0] is not None
    if texts[0] != texts[1]:
        assert found[0].exact != found[1].exact or json.loads(texts[0]) == json.loads(texts[1])
        assert found[0].context != found[1].context or json.loads(texts[0]) == json.loads(texts[1])
    else:
        assert found[0] == found[1]
    assert found[0].exact != ask(protocol, body, temperature="any").exact


def test_numbers_too_large_for_a_machine_word_are_told_apart() -> None:
    one, other = (ask("openai_chat", BODIES["openai_chat"] | {"seed": 2**80 + each}) for each in range(2))
    assert one.exact != other.exact


@given(one=st.text(min_size=1), other=st.text(min_size=1), protocol=st.sampled_from(list(BODIES)))
def test_only_the_last_user_text_is_outside_of_the_context(one: str, other: str, protocol: str) -> None:
    bodies = []
    for text in (one, other):
        body = copy.deepcopy(BODIES[protocol])
        for field in ("input", "prompt"):
            if field in body:
                body[field] = text
        if "messages" in body:
            body["messages"][-1]["content"] = text
        if "contents" in body:
            body["contents"][-1]["parts"][0]["text"] = text
        bodies.append(ask(protocol, body))
    assert bodies[0].context == bodies[1].context
    assert (one, other) == (bodies[0].text, bodies[1].text)
    assert (one == other) == (bodies[0].exact == bodies[1].exact)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "system", "content": "be brief"}, USER]},
        {"messages": [{"role": "user", "content": "earlier"}, {"role": "assistant", "content": "yes"}, USER]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        {"messages": [{**USER, "name": "bob"}]},
        {"model": "m2"},
        {"max_tokens": 5},
        {"top_p": 0.5},
        {"response_format": {"type": "json_object"}},
        {"stream": True},
        {"stream_options": {"include_usage": True}},
        {"temperature": 0.0, "seed": 1},
    ],
)
def test_a_difference_around_the_text_is_another_context(change: dict[str, Any]) -> None:
    one, other = ask("openai_chat", BODIES["openai_chat"]), ask("openai_chat", BODIES["openai_chat"] | change)
    assert one.exact != other.exact
    assert one.context != other.context


def test_owner_dialect_and_headers_that_count_are_part_of_it() -> None:
    body = BODIES["openai_chat"]
    digests = {
        ask("openai_chat", body).exact,
        ask("openai_chat", body, owner="build/other/key").exact,
        ask("openai_chat", body, owner="build2/team/key").exact,
        ask("ollama_chat", body, temperature="any").exact,
        ask("openai_chat", body, headers={"anthropic-beta": "x"}).exact,
        ask("openai_chat", body, headers={"x-omniroute-connection": "x"}).exact,
    }
    assert 6 == len(digests)
    assert ask("openai_chat", body) == ask(
        "openai_chat", body, headers={"x-omniroute-progress": "true", "x-request-id": "1"}
    )


@pytest.mark.parametrize(
    ("protocol", "change"),
    [
        ("openai_chat", {"temperature": 0.1}),
        ("openai_chat", {"temperature": None}),
        ("openai_chat", {"temperature": False}),
        ("openai_chat", {"store": True}),
        ("openai_chat", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("openai_chat", {"functions": [{"name": "f"}]}),
        ("openai_chat", {"web_search_options": {"x": 1}}),
        ("openai_chat", {"web_search_options": {}}),
        ("openai_chat", {"search_parameters": {"mode": "on"}}),
        ("openai_chat", {"plugins": [{"id": "web"}]}),
        ("openai_chat", {"enable_search": True}),
        ("openai_responses", {"store": True}),
        ("openai_responses", {"store": None}),
        ("openai_responses", {"background": True}),
        ("openai_responses", {"previous_response_id": "resp_1"}),
        ("openai_responses", {"conversation": "conv_1"}),
        ("openai_responses", {"prompt": {"id": "pmpt_1"}}),
        ("anthropic_messages", {"mcp_servers": [{"url": "x"}]}),
        ("anthropic_messages", {"container": "c"}),
        ("gemini", {"cachedContent": "c"}),
        ("gemini", {"generationConfig": {}}),
        ("ollama_generate", {"context": [1, 2]}),
        ("ollama_chat", {"options": None}),
        ("openai_chat", shown({"type": "image_url", "image_url": {"url": "https://cam.test/now.jpg"}})),
        ("openai_chat", shown({"type": "file", "file": {"file_id": "file-1"}})),
        ("openai_responses", {"input": shown({"type": "input_image", "image_url": "http://cam.test/"})["messages"]}),
        ("openai_responses", {"input": shown({"type": "input_file", "file_url": "https://a.test/a.pdf"})["messages"]}),
        ("openai_responses", {"input": shown({"type": "input_image", "file_id": "file-1"})["messages"]}),
        ("anthropic_messages", shown({"type": "image", "source": {"type": "url", "url": "https://cam.test/"}})),
        ("anthropic_messages", shown({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
        (
            "anthropic_messages",
            shown(
                {"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "https://a/"}}]}
            ),
        ),
        ("gemini", {"contents": [{"parts": [{"text": "a"}, {"fileData": {"fileUri": "https://a.test/v"}}]}]}),
        ("gemini", {"contents": [{"parts": [{"text": "a"}, {"file_data": {"file_uri": "files/1"}}]}]}),
    ],
)
def test_what_is_not_known_to_be_safe_is_not_cached(protocol: str, change: dict[str, Any]) -> None:
    assert ask(protocol, BODIES[protocol] | change) is None


@pytest.mark.parametrize(
    ("protocol", "change"),
    [
        ("openai_chat", {"web_search_options": None, "plugins": [], "enable_search": False}),
        ("openai_chat", shown({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})),
        ("openai_responses", {"background": False, "previous_response_id": None, "conversation": ""}),
        ("anthropic_messages", shown({"type": "image", "source": {"type": "base64", "data": "AAAA"}})),
        ("gemini", {"contents": [{"parts": [{"text": "a"}, {"inlineData": {"data": "AAAA"}}]}]}),
        ("ollama_chat", {"messages": [{"role": "user", "content": "see http://a.test", "images": ["AAAA"]}]}),
    ],
)
def test_what_says_nothing_and_what_is_in_the_request_keep_nothing_from_a_cache(
    protocol: str, change: dict[str, Any]
) -> None:
    assert ask(protocol, BODIES[protocol] | change) is not None


@pytest.mark.parametrize(
    ("protocol", "tool", "cached"),
    [
        ("openai_chat", {"type": "function", "function": {"name": "f"}}, True),
        ("openai_responses", {"type": "web_search"}, False),
        ("openai_responses", {"type": "function", "name": "f"}, True),
        ("anthropic_messages", {"name": "f", "input_schema": {}}, True),
        ("anthropic_messages", {"type": "web_search_20250305", "name": "web_search"}, False),
        ("gemini", {"functionDeclarations": []}, True),
        ("gemini", {"googleSearch": {}}, False),
        ("gemini", {"functionDeclarations": [], "googleSearch": {}}, False),
    ],
)
def test_only_tools_that_the_client_runs_may_be_offered_and_only_where_it_is_declared(
    protocol: str, tool: dict[str, Any], cached: bool
) -> None:
    body = BODIES[protocol] | {"tools": [tool]}
    assert ask(protocol, body) is None
    assert cached == (ask(protocol, body, tools="client") is not None)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "assistant", "content": "hi"}],
        [{"role": "tool", "content": "hi"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "user", "content": None}],
        ["hi"],
    ],
)
def test_where_the_last_turn_is_no_single_user_text_nothing_is_compared(messages: list[Any]) -> None:
    question = ask("openai_chat", BODIES["openai_chat"] | {"messages": messages})
    assert question is not None
    assert question.text is None
