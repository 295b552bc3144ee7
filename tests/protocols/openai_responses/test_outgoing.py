"""What a provider is sent: judged by the vendor's own types, then by what the vendor documents beyond them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Citation,
    Document,
    FileSource,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Sampling,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)
from runtime.catalog import Capability, Limits, Model, ParameterRules, ReasoningFacts, Surface
from runtime.errors import InvalidRequest, UpstreamProtocolError
from runtime.protocols.base import Target
from runtime.protocols.openai_responses.conversation import phase_mark
from tests.protocols.openai_responses.support import CODEC, ask, body, decode, encode, target, user, vendor_accepts
from tests.support.canonical import requests

SCHEMA = '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
LOOSE = '{"type":"object","properties":{"a":{"type":"string"}}}'
PNG = Base64Source(media_type="image/png", data="iVBORw0KGgo=")
PDF = Base64Source(media_type="application/pdf", data="JVBERi0=")
SEALED = '{"id":"rs_1","encrypted_content":"gAAAA"}'
FUNCTION = Tool(name="f", parameters=SCHEMA)


def said(*parts: Any) -> Request:
    return ask(user("x"), Message(role="assistant", content=parts), user("y"))


def asked(*parts: Any) -> Request:
    return ask(Message(role="user", content=parts))


def sent(request: Request, to: Target | None = None) -> dict[str, Any]:
    vendor_accepts(encode(request, to).body)
    return body(request, to)


def items(request: Request, to: Target | None = None) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = sent(request, to)["input"]
    return given


def thinker(**facts: Any) -> Target:
    return target(Model(id="up-1", has=(Capability.REASONING,), reasoning=ReasoningFacts(**facts) if facts else None))


@given(requests())
def test_any_request_fits_the_vendors_types(request: Request) -> None:
    vendor_accepts(encode(request).body)


@given(requests())
def test_what_comes_back_says_what_was_sent(request: Request) -> None:
    """Sent and read again it asks for the same; a second time nothing changes at all."""
    once = CODEC.decode_request(CODEC.peek(encode(request).body), {})
    twice = CODEC.decode_request(CODEC.peek(encode(once).body), {})

    assert once == twice
    if not isinstance(request.response_format, JsonObject):  # that is said in an instruction, too
        assert [turn.role for turn in request.messages] == [turn.role for turn in once.messages]
    assert [tool.name for tool in request.tools] == [tool.name for tool in once.tools]
    assert (request.sampling, request.reasoning, request.user) == (once.sampling, once.reasoning, once.user)


def test_path_and_headers() -> None:
    outgoing = encode(ask(stream=True))

    assert ("/responses", True) == (outgoing.path, outgoing.stream)
    assert {"content-type": "application/json", "accept": "text/event-stream"} == dict(outgoing.headers)


def test_the_least_that_is_sent() -> None:
    assert {
        "model": "up-1", "input": [{"type": "message", "role": "user", "content": "hi"}], "store": False,
    } == sent(ask())  # fmt: skip


# -- who says what


def test_plain_instructions_at_the_front_have_a_field_of_their_own_and_others_keep_their_place() -> None:
    front = Message(role="system", content=(Text(text="Be brief."),))
    late = Message(role="developer", content=(Text(text="Now in Czech."),))
    fields = sent(ask(front, user("a"), late))

    assert "Be brief." == fields["instructions"]
    assert ["user", "developer"] == [item["role"] for item in fields["input"]]


def test_a_provider_without_the_developer_role_gets_system() -> None:
    late = Message(role="developer", content=(Text(text="b"),))

    assert ["user", "system"] == [item["role"] for item in items(ask(user("a"), late), target(developer_role=False))]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(source=UrlSource(url="https://e.com/a.png")), {"type": "input_image", "detail": "auto", "image_url": "https://e.com/a.png"}),
        (Image(source=PNG, detail="low"), {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,iVBORw0KGgo="}),
        (Image(source=FileSource(file_id="file_1")), {"type": "input_image", "detail": "auto", "file_id": "file_1"}),
        (Document(source=PDF, title="t.pdf"), {"type": "input_file", "filename": "t.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}),
        (Document(source=PDF), {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}),
        (Document(source=FileSource(file_id="file_1")), {"type": "input_file", "file_id": "file_1"}),
        (Document(source=UrlSource(url="https://e.com/a.pdf")), {"type": "input_file", "file_url": "https://e.com/a.pdf"}),
        (Document(source=TextSource(text="t"), title="n"), {"type": "input_text", "text": "n\n\nt"}),
    ],
)  # fmt: skip
def test_content(part: Any, expected: dict[str, Any]) -> None:
    assert [expected] == items(asked(part))[0]["content"]


def test_sound_is_refused_by_its_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(asked(Text(text="a"), Audio(source=Base64Source(media_type="audio/wav", data="AAAA"))))

    assert "messages[0].content[1]" == caught.value.param


def test_marks_go_to_those_who_take_them_and_are_named_as_lost_elsewhere() -> None:
    request = asked(Text(text="a", cache=CacheMark(ttl_s=1800)))
    [item] = items(request, target(cache_marks="prompt_cache_breakpoint"))

    assert [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}] == item[
        "content"
    ]
    assert ("messages[0].content[0].cache",) == encode(request).losses or any(
        loss.endswith("cache") for loss in encode(request).losses
    )


# -- what the model said


def test_a_turn_is_items_in_their_order() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"a":"1"}')
    free = ToolCall(id="c2", name="g", arguments="free", custom=True)
    turn = Message(
        role="assistant",
        content=(
            Reasoning(text="hm", seal=SEALED, sealed_by="openai_responses"),
            Text(text="a"),
            call,
            free,
            Text(text="b"),
        ),
    )
    results = Message(
        role="tool",
        content=(
            ToolResult(call_id="c1", content=(Text(text="1"),)),
            ToolResult(call_id="c2", content=(Text(text="2"),)),
        ),
    )
    given = items(ask(user("x"), turn, results))

    assert [
        "message", "reasoning", "message", "function_call", "custom_tool_call", "message", "function_call_output",
        "custom_tool_call_output",
    ] == [item["type"] for item in given]  # fmt: skip
    assert {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "gAAAA",
    } == given[1]
    assert {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":"1"}'} == given[3]
    assert {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "free"} == given[4]


def test_citations_refusals_and_the_phase_go_back() -> None:
    cited = Text(text="ab", citations=(Citation(url="https://e.com", title="t", start=0, end=1),))
    [_, item, _] = items(said(phase_mark("commentary"), cited, Refusal(text="No.")))

    assert ("commentary", "assistant") == (item["phase"], item["role"])
    assert [
        {"type": "output_text", "text": "ab", "annotations": [{"type": "url_citation", "url": "https://e.com", "title": "t", "start_index": 0, "end_index": 1}]},
        {"type": "refusal", "refusal": "No."},
    ] == item["content"]  # fmt: skip


def test_items_of_the_vendors_own_go_back_whole() -> None:
    json = '{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}'
    block = Native(protocol="openai_responses", block="web_search_call", json=json)

    assert msgspec.json.decode(json) == items(said(block, Text(text="a")))[1]


def test_thinking_of_others_is_dropped_and_named_unless_all_of_it_is_wanted() -> None:
    request = said(Reasoning(text="hm", seal="s", sealed_by="gemini"), Text(text="a"))

    assert ["message"] * 3 == [item["type"] for item in items(request)]
    assert ("messages[1].content[0]",) == encode(request).losses
    shown = items(request, target(replay_reasoning=True))[1]
    assert ("reasoning", [{"type": "reasoning_text", "text": "hm"}]) == (shown["type"], shown["content"])
    assert "encrypted_content" not in shown


def test_an_item_without_sealed_state_is_named_only_where_the_vendor_may_have_kept_it() -> None:
    bare = Reasoning(text="hm", seal='{"id":"rs_1"}', sealed_by="openai_responses")
    request = said(bare, Text(text="a"))

    assert "rs_1" not in encode(request).body.decode()
    assert "rs_1" in encode(msgspec.structs.replace(request, store=True)).body.decode()


def test_a_call_without_a_result_gets_one() -> None:
    """The vendor refuses a call that is left alone."""
    given = items(said(ToolCall(id="c1", name="f", arguments="{}")))

    assert "function_call_output" in [item["type"] for item in given]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "{}"), (" ", "{}"), ("null", "{}"), ("[1]", '{"value":[1]}'), ("{bad", '{"INVALID_JSON":"{bad"}'),
        ('{"a": 1.0}', '{"a": 1.0}'),
    ],
)  # fmt: skip
def test_arguments_in_history_are_an_object_whatever_the_model_wrote(written: str, expected: str) -> None:
    call = next(item for item in items(said(ToolCall(id="a", name="f", arguments=written))) if "arguments" in item)

    assert expected == call["arguments"]


def test_ids_of_calls_fit_the_vendors_limits_and_stay_together() -> None:
    id_ = "toolu:" + "x" * 90
    turn = Message(role="assistant", content=(ToolCall(id=id_, name="f", arguments="{}"),))
    results = Message(role="tool", content=(ToolResult(call_id=id_, content=(Text(text="1"),)),))
    [_, call, output] = items(ask(user("x"), turn, results))

    assert call["call_id"] == output["call_id"]
    assert len(call["call_id"]) <= 64


# -- tools


def test_tools_and_what_is_strict() -> None:
    loose = Tool(name="g", parameters=LOOSE, strict=True)
    free = Tool(name="h", custom=True, format='{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}')
    request = ask(tools=(msgspec.structs.replace(FUNCTION, strict=True), loose, free))
    first, second, third = sent(request)["tools"]

    assert {"type": "function", "name": "f", "parameters": msgspec.json.decode(SCHEMA), "strict": True} == first
    assert False is second["strict"]
    assert ("tools[1].strict",) == encode(request).losses
    assert {
        "type": "custom",
        "name": "h",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
    } == third


def test_names_of_tools_are_repaired_and_known_on_the_way_back() -> None:
    outgoing = encode(ask(tools=(Tool(name="a.b/c", parameters=LOOSE),)))
    [tool] = msgspec.json.decode(outgoing.body)["tools"]

    assert {tool["name"]: "a.b/c"} == dict(outgoing.tool_names)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolMode(mode="required"), "required"),
        (NamedTool(name="f"), {"type": "function", "name": "f"}),
        (ToolSubset(names=("f",), required=True), {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}),
    ],
)  # fmt: skip
def test_tool_choice(choice: Any, expected: Any) -> None:
    assert expected == sent(ask(tools=(FUNCTION,), tool_choice=choice, parallel_tool_calls=False))["tool_choice"]


def test_a_choice_without_tools_is_left_out() -> None:
    assert (
        not {"tools", "tool_choice", "parallel_tool_calls"}
        & sent(ask(tool_choice=ToolMode(mode="auto"), parallel_tool_calls=True)).keys()
    )


# -- the rest


def test_what_the_dialect_lacks_is_named() -> None:
    sampling = Sampling(top_k=1, min_p=0.1, presence_penalty=1, frequency_penalty=1, seed=1, logit_bias={"1": 1.0})
    outgoing = encode(ask(sampling=sampling))

    assert {
        f"sampling.{name}" for name in ("top_k", "min_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias")
    } == set(outgoing.losses)


def test_stop_strings_stay_with_the_gateway() -> None:
    outgoing = encode(ask(stop=("END",)))

    assert ("END",) == outgoing.stop
    assert b"END" not in outgoing.body


@pytest.mark.parametrize(
    ("wanted", "limit", "told"), [(1, None, 16), (16, None, 16), (9000, 8192, 8192), (100, 8192, 100)]
)
def test_output_limit_is_within_what_vendor_and_model_take(wanted: int, limit: int | None, told: int) -> None:
    to = target(Model(id="up-1", limits=Limits(max_output=limit)))
    outgoing = encode(ask(max_output_tokens=wanted), to)

    assert told == msgspec.json.decode(outgoing.body)["max_output_tokens"]
    assert (told != wanted) == ("max_output_tokens" in outgoing.losses)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, None),
        (ReasoningConfig(effort="high"), {"effort": "high"}),
        (ReasoningConfig(mode="off"), {"effort": "none"}),
        (ReasoningConfig(mode="on", budget_tokens=4096), {"effort": "low", "summary": "auto"}),
        (ReasoningConfig(effort="low", display="summarized"), {"effort": "low", "summary": "auto"}),
        (ReasoningConfig(effort="low", display="omitted"), {"effort": "low"}),
    ],
)  # fmt: skip
def test_reasoning(wanted: ReasoningConfig | None, expected: dict[str, Any] | None) -> None:
    assert expected == sent(ask(reasoning=wanted), thinker()).get("reasoning")


def test_effort_and_tools_go_together_whatever_chat_says_of_the_model() -> None:
    request = ask(tools=(FUNCTION,), reasoning=ReasoningConfig(effort="high"))

    assert {"effort": "high"} == sent(request, thinker(with_tools="none"))["reasoning"]


def test_sealed_thinking_is_asked_for_where_the_model_thinks() -> None:
    assert ["reasoning.encrypted_content"] == sent(ask(), thinker())["include"]
    assert ["reasoning.encrypted_content"] == sent(ask(reasoning=ReasoningConfig(effort="low")))["include"]
    assert "include" not in sent(ask())


def test_logprobs_are_asked_for_by_the_vendors_word() -> None:
    fields = sent(ask(top_logprobs=3))

    assert (["message.output_text.logprobs"], 3) == (fields["include"], fields["top_logprobs"])
    assert ["message.output_text.logprobs"] == sent(ask(top_logprobs=0))["include"]


def test_schemas_have_a_name_and_are_strict_only_where_the_vendor_takes_it() -> None:
    tight = sent(ask(response_format=JsonSchema(schema=SCHEMA, strict=True)))["text"]["format"]
    loose = sent(ask(response_format=JsonSchema(schema=LOOSE, name="n", strict=True)))["text"]["format"]

    assert ("json_schema", "response", True) == (tight["type"], tight["name"], tight["strict"])
    assert ("n", False) == (loose["name"], loose["strict"])


def test_json_mode_is_never_without_the_word_that_the_vendor_wants() -> None:
    silent, spoken = sent(ask(response_format=JsonObject())), sent(ask(user("As JSON"), response_format=JsonObject()))

    assert {"type": "json_object"} == silent["text"]["format"] == spoken["text"]["format"]
    assert "JSON" in silent["instructions"]
    assert "instructions" not in spoken


def test_a_model_that_knows_no_schema_is_told_in_words() -> None:
    to = target(Model(id="up-1", lacks=(Capability.JSON_SCHEMA,)))
    fields = sent(ask(response_format=JsonSchema(schema=SCHEMA, name="n")), to)

    assert {"type": "json_object"} == fields["text"]["format"]
    assert SCHEMA in fields["instructions"]


@pytest.mark.parametrize(("store", "told"), [(None, False), (False, False), (True, True)])
def test_the_vendor_keeps_nothing_unless_the_client_says_so(store: bool | None, told: bool) -> None:
    assert told is sent(ask(store=store))["store"]


@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call"])
def test_a_chain_goes_on_with_what_the_vendor_keeps(kind: str) -> None:
    """Its calls were made in an answer that the vendor has, so that a result stands alone here, and keeps its kind."""
    output = {"type": f"{kind}_output", "call_id": "c1", "output": "ok"}
    fields = sent(decode(previous_response_id="resp_1", input=[output]))

    assert "resp_1" == fields["previous_response_id"]
    assert [output] == fields["input"]
    assert "store" not in fields


def test_tiers_that_the_vendor_does_not_have_are_named() -> None:
    assert "default" == sent(ask(service_tier="standard_only"))["service_tier"]
    assert ("service_tier",) == encode(ask(service_tier="odd")).losses


def test_fields_of_other_protocols_are_named_as_lost() -> None:
    request = ask(extensions={"gemini": {"safetySettings": msgspec.Raw(b"[]")}})

    assert ("safetySettings",) == encode(request).losses


def test_parameter_rules_apply() -> None:
    to = target(Model(id="up-1", parameters=ParameterRules(drop=("temperature",), add={"truncation": '"auto"'})))
    fields = sent(ask(sampling=Sampling(temperature=0.5)), to)

    assert "temperature" not in fields
    assert "auto" == fields["truncation"]


def test_two_answers_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(ask(choices=2))

    assert "n" == caught.value.param


# -- counting


def test_counting_sends_what_counts() -> None:
    request = ask(tools=(FUNCTION,), max_output_tokens=50, stream=True, reasoning=ReasoningConfig(effort="low"))
    outgoing = CODEC.encode_count(request, target(), {})

    assert outgoing is not None
    assert ("/responses/input_tokens", False) == (outgoing.path, outgoing.stream)
    assert {"model", "input", "tools", "reasoning"} == msgspec.json.decode(outgoing.body).keys()
    assert 11 == CODEC.decode_count(b'{"object":"response.input_tokens","input_tokens":11}')


def test_counting_is_not_offered_where_the_provider_cannot() -> None:
    to = target()
    bare = Target(to.provider, to.model, Surface(path="/responses"))

    assert CODEC.encode_count(ask(), bare, {}) is None


def test_a_count_that_is_none_is_a_fault_of_the_provider() -> None:
    with pytest.raises(UpstreamProtocolError):
        CODEC.decode_count(b'{"tokens":1}')


@pytest.mark.parametrize("display", [None, "summarized"])
def test_thinking_that_cannot_be_turned_off_is_named_and_no_summary_of_it_is_asked_for(display: str | None) -> None:
    """Nothing is known of the model: it may refuse any word of thinking."""
    outgoing = encode(ask(reasoning=ReasoningConfig(mode="off", display=display)))

    assert "reasoning" not in msgspec.json.decode(outgoing.body)
    assert ("reasoning",) == outgoing.losses


@pytest.mark.parametrize(
    "format_",
    [
        '{"type":-1.5}',
        '{"type":"grammar","grammar":{"syntax":[[]],"definition":"start: x"}}',
        '{"type":"grammar","grammar":{"syntax":"lark","definition":{"a":1}}}',
    ],
)
def test_a_format_of_no_known_form_goes_to_the_provider_as_it_is(format_: str) -> None:
    tool = Tool(name="free", custom=True, format=format_)

    assert body(ask(tools=(tool,)))["tools"][0]["format"] == msgspec.json.decode(format_)
