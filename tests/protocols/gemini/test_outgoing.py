"""What a provider of this protocol is sent: nothing that it is known to refuse, and all that can be said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Audio,
    Base64Source,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Request,
    Sampling,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)
from runtime.catalog import Capability, ParameterRules, ReasoningFacts
from runtime.errors import InvalidRequest
from runtime.protocols.base import Target
from runtime.protocols.gemini.signature import DUMMY
from tests.protocols.gemini.given import CODEC, ask, assistant, decoded, losses, sent, target, user
from tests.support.each import each

OLD, NEW = target("gemini-2.5-flash"), target("gemini-3.5-flash")
CALL = ToolCall(id="c1", name="f", arguments='{"a":1}')
PNG = Image(source=Base64Source(media_type="image/png", data="AAAA"))
F = Tool(name="f", description="d", parameters='{"type":"object","properties":{}}')


def answered(*parts: Any, **fields: Any) -> Message:
    return Message(role="tool", content=(ToolResult(call_id="c1", content=parts, **fields),))


def config(request: Request, to: Any = NEW) -> dict[str, Any]:
    return sent(request, to).get("generationConfig", {})  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-3.5-flash", False, "/v1beta/models/gemini-3.5-flash:generateContent"),
        ("gemini-3.5-flash", True, "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"),
        ("models/gemini x", False, "/v1beta/models/gemini%20x:generateContent"),
        ("vendor/gemini-x", False, "/v1beta/models/vendor/gemini-x:generateContent"),
        ("tunedModels/x", False, "/v1beta/tunedModels/x:generateContent"),
    ],
)
def test_model_and_action_are_in_the_path(model: str, stream: bool, path: str) -> None:
    outgoing = CODEC.encode_request(ask(stream=stream), target(model), {})

    assert path == outgoing.path
    assert stream == outgoing.stream
    assert b'"model"' not in outgoing.body


def test_instructions_are_one_and_those_in_mid_conversation_are_marked() -> None:
    body = sent(ask(Message(role="system", content=(Text(text="a"),)), Message(role="developer", content=(Text(text="b"),)), user("x"),
                    Message(role="system", content=(Text(text="c"),)), user("y")))  # fmt: skip

    assert [{"text": "a"}, {"text": "b"}] == body["systemInstruction"]["parts"]
    assert ["x", "<system>\nc\n</system>", "y"] == [content["parts"][0]["text"] for content in body["contents"]]


def test_pitfall_051_a_conversation_begins_and_ends_with_the_user() -> None:
    alone = sent(ask(Message(role="system", content=(Text(text="a"),))))
    prefilled = ask(user("x"), assistant(Text(text="It is")))

    assert ["user"] == [content["role"] for content in alone["contents"]]
    assert ["user", "model", "user"] == [content["role"] for content in sent(prefilled)["contents"]]
    assert 2 == len(sent(prefilled, target(has=(Capability.PREFILL,)))["contents"])


def test_pitfall_057_results_stand_directly_behind_their_calls_in_their_order() -> None:
    other = ToolCall(id="c2", name="g", arguments="{}")
    late = ToolResult(call_id="c1", content=(Text(text="1"),))
    body = sent(ask(user("x"), assistant(CALL, other), user("wait"), Message(role="tool", content=(late,)), user("y"),
                    Message(role="tool", content=(ToolResult(call_id="gone", content=(Text(text="?"),)),))))  # fmt: skip
    roles = [
        (content["role"], [next(iter(set(part) - {"thoughtSignature"})) for part in content["parts"]])
        for content in body["contents"]
    ]

    assert [
        ("user", ["text"]), ("model", ["functionCall", "functionCall"]), ("user", ["functionResponse", "functionResponse"]),
        ("user", ["text"]), ("user", ["text"]), ("user", ["text", "text"]),
    ] == roles  # fmt: skip
    assert [("c1", "f", {"output": "1"}), ("c2", "g", {"error": "No result was recorded for this call."})] == [
        (found["id"], found["name"], found["response"])
        for part in body["contents"][2]["parts"] for found in [part["functionResponse"]]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("plain", None, {"output": "plain"}), ("", None, {"output": ""}), ("x", True, {"error": "x"}), ('{"a":1}', None, {"a": 1}),
        ('{"output":"x"}', None, {"output": '{"output":"x"}'}), ("[1]", None, {"output": [1]}), ("{broken", None, {"output": "{broken"}),
        ("5", None, {"output": "5"}), ('{"output":{"a":1}}', None, {"output": {"a": 1}}), ('{"result":{"a":1}}', None, {"result": {"a": 1}}),
        ('{"result":"x"}', None, {"output": '{"result":"x"}'}), ('{"error":"x"}', None, {"output": '{"error":"x"}'}),
        ('{"error":1,"output":"x"}', None, {"error": 1, "output": "x"}), ("{}", None, {"output": "{}"}),
        ('{"code":5}', True, {"error": {"code": 5}}), ("[5]", True, {"error": [5]}), ("{5", True, {"error": "{5"}), ("5", True, {"error": "5"}),
    ],
)  # fmt: skip
def test_a_result_is_an_object(text: str, is_error: bool | None, response: Any) -> None:
    body = sent(ask(user("x"), assistant(CALL), answered(*([Text(text=text)] if text else []), is_error=is_error)))

    assert response == body["contents"][2]["parts"][0]["functionResponse"]["response"]


@pytest.mark.parametrize(
    "response",
    [
        {"output": {"a": 1}}, {"result": {"a": [1, {"b": None}]}}, {"output": [1, 2.5]}, {"error": {"code": 5}}, {"error": ["x"]}, {"output": 5},
        {"output": None}, {"a": "x"}, {"output": "x"}, {"error": "x"}, {"output": "x", "more": 1}, {"result": "x", "error": "y"},
    ],
)  # fmt: skip
def test_a_result_of_this_protocols_own_client_arrives_as_it_was(response: Any) -> None:
    call = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]}
    given = {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": response}}]}
    body = sent(decoded(contents=[{"parts": [{"text": "hi"}]}, call, given]))

    assert response == body["contents"][2]["parts"][0]["functionResponse"]["response"]


def test_functions_may_be_limited_in_the_vendors_own_mode() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}, {"name": "h"}]}]
    calling = {"mode": "VALIDATED", "allowedFunctionNames": ["f", "h"]}
    body = sent(request := decoded(tools=tools, toolConfig={"functionCallingConfig": calling}))

    assert {"functionCallingConfig": calling} == body["toolConfig"]
    assert ["f", "g", "h"] == [each["name"] for each in body["tools"][0]["functionDeclarations"]]
    assert () == losses(request)


def test_functions_that_nobody_must_call_are_left_out_where_they_are_not_allowed() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    body = sent(
        decoded(tools=tools, toolConfig={"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["g"]}})
    )

    assert {"functionCallingConfig": {"mode": "AUTO"}} == body["toolConfig"]
    assert ["g"] == [each["name"] for each in body["tools"][0]["functionDeclarations"]]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_without_room_for_an_answer_is_refused(limit: int) -> None:
    with pytest.raises(InvalidRequest, match="at least 1") as caught:
        decoded(generationConfig={"maxOutputTokens": limit})

    assert "generationConfig.maxOutputTokens" == caught.value.param


def test_pitfall_073_pictures_in_results_reach_the_model() -> None:
    request = ask(user("x"), assistant(CALL), answered(Text(text="see"), PNG))
    new, old = sent(request, NEW)["contents"][2]["parts"], sent(request, OLD)["contents"][2]["parts"]

    assert [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}] == new[0]["functionResponse"]["parts"]
    assert "parts" not in old[0]["functionResponse"]
    assert {"inlineData": {"mimeType": "image/png", "data": "AAAA"}} == old[1]


def test_pictures_sound_and_files_are_sent() -> None:
    body = sent(ask(Message(role="user", content=(
        PNG, Image(source=UrlSource(url="https://e.com/a"), detail="high"), Audio(source=Base64Source(media_type="audio/mpeg", data="AAAA")),
        Document(source=UrlSource(url="https://e.com/a.pdf?x=1")), Document(source=TextSource(text="t"), title="n"), Text(text=""),
    ))))  # fmt: skip

    assert [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://e.com/a"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://e.com/a.pdf?x=1"}}, {"text": "n\nt"},
    ] == body["contents"][0]["parts"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "args"),
    [("", "{}"), ("null", "{}"), ("[1]", '{"value":[1]}'), ('{"a":', '{"INVALID_JSON":"{\\"a\\":"}'),
     ('{"big":123456789012345678901234567890,"one":1.0}', '{"big":123456789012345678901234567890,"one":1.0}')],
)  # fmt: skip
def test_arguments_are_an_object_with_their_digits(arguments: str, args: str) -> None:
    outgoing = CODEC.encode_request(ask(user("x"), assistant(ToolCall(id="c", name="f", arguments=arguments))), NEW, {})

    assert f'"args":{args}'.encode() in outgoing.body


def test_pitfall_097_signatures_go_back_to_where_they_stood_even_when_another_dialect_moved_them() -> None:
    sealed = [Reasoning(seal=f"{kind}.{sig}", sealed_by="gemini") for kind, sig in (("text", "dA=="), ("call", "Yw=="))]
    calls = (CALL, ToolCall(id="c2", name="g", arguments="{}"))
    kept = sent(ask(user("x"), assistant(Text(text="a"), sealed[0], sealed[1], *calls)))
    moved = sent(ask(user("x"), assistant(*sealed, Text(text="a"), *calls)))

    assert ["dA==", "Yw==", None] == [part.get("thoughtSignature") for part in kept["contents"][1]["parts"]]
    assert kept == moved


def test_an_empty_text_with_a_signature_is_kept_where_no_text_can_carry_it() -> None:
    body = sent(ask(user("x"), assistant(Reasoning(seal="text.dA==", sealed_by="gemini")), user("y")))

    assert [{"text": "", "thoughtSignature": "dA=="}] == body["contents"][1]["parts"]


def test_pitfall_098_and_099_a_call_that_nobody_signed_gets_the_stand_in_where_one_is_demanded() -> None:
    foreign = Reasoning(text="hm", seal="sig", sealed_by="anthropic_messages")
    request = ask(user("x"), assistant(foreign, CALL, ToolCall(id="c2", name="g", arguments="{}")))
    new, old = sent(request, NEW)["contents"][1]["parts"], sent(request, OLD)["contents"][1]["parts"]

    assert [DUMMY, None] == [part.get("thoughtSignature") for part in new]
    assert [None, None] == [part.get("thoughtSignature") for part in old]
    assert ("messages[1].content[0]",) == losses(request)


@pytest.mark.parametrize(
    ("facts", "wanted", "expected"),
    [
        (None, ReasoningConfig(effort="high"), {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (None, ReasoningConfig(effort="max", display="omitted"), {"thinkingLevel": "HIGH"}),
        (None, ReasoningConfig(effort="minimal"), {"thinkingLevel": "LOW", "includeThoughts": True}),
        (None, ReasoningConfig(mode="on", budget_tokens=20_000), {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (None, ReasoningConfig(mode="adaptive"), {"includeThoughts": True}),
        (None, ReasoningConfig(mode="off"), {"thinkingLevel": "LOW"}),
        (ReasoningFacts(efforts=("minimal", "high")), ReasoningConfig(effort="medium"), {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (ReasoningFacts(style="budget", max_budget=9000), ReasoningConfig(effort="high"), {"thinkingBudget": 9000, "includeThoughts": True}),
        (ReasoningFacts(style="budget"), ReasoningConfig(mode="on", budget_tokens=10), {"thinkingBudget": 1024, "includeThoughts": True}),
        (ReasoningFacts(style="budget"), ReasoningConfig(mode="off"), {"thinkingBudget": 0}),
        (ReasoningFacts(style="budget", can_disable=False, min_budget=128), ReasoningConfig(mode="off"), {"thinkingBudget": 128}),
        (ReasoningFacts(style="budget"), ReasoningConfig(effort="max"), {"thinkingBudget": -1, "includeThoughts": True}),
    ],
)  # fmt: skip
def test_pitfall_108_thinking_is_told_by_a_level_or_by_a_budget(
    facts: Any, wanted: ReasoningConfig, expected: Any
) -> None:
    found = config(ask(reasoning=wanted), target(reasoning=facts))["thinkingConfig"]

    assert expected == found
    assert len({"thinkingLevel", "thinkingBudget"} & set(found)) <= 1


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.5-flash", "gemini-4-argon", "other"])
@pytest.mark.parametrize(
    "wanted",
    [
        ReasoningConfig(effort="high", mode="on", budget_tokens=4096),
        ReasoningConfig(effort="low"),
        ReasoningConfig(mode="off"),
    ],
)
def test_pitfall_108_never_both_for_any_generation(model: str, wanted: ReasoningConfig) -> None:
    found = config(ask(reasoning=wanted), target(model)).get("thinkingConfig", {})

    assert 1 == len({"thinkingLevel", "thinkingBudget"} & set(found))
    if model.startswith("gemini-2.5"):
        assert "thinkingLevel" not in found
    elif model.startswith("gemini"):
        assert "thinkingBudget" not in found


def test_a_model_that_does_not_think_is_told_nothing() -> None:
    to = target(lacks=(Capability.REASONING,))

    assert {} == config(ask(reasoning=ReasoningConfig(effort="high")), to)
    assert ("reasoning",) == losses(ask(reasoning=ReasoningConfig(effort="high")), to)


CHOICES: list[tuple[ToolChoice | None, Any]] = [
    (None, None), (ToolMode(mode="auto"), {"mode": "AUTO"}), (ToolMode(mode="none"), {"mode": "NONE"}), (ToolMode(mode="required"), {"mode": "ANY"}),
    (NamedTool(name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}), (NamedTool(name="gone"), {"mode": "AUTO"}),
    (ToolSubset(names=("f",), required=True), {"mode": "ANY", "allowedFunctionNames": ["f"]}), (ToolSubset(names=("f",)), {"mode": "AUTO"}),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "expected"), CHOICES)
def test_pitfall_091_choice_among_tools(choice: ToolChoice | None, expected: Any) -> None:
    body = sent(ask(tools=(F, Tool(name="g")), tool_choice=choice))

    assert expected == body.get("toolConfig", {}).get("functionCallingConfig")
    names = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]
    assert (["f"] if choice == ToolSubset(names=("f",)) else ["f", "g"]) == names


def test_pitfall_065_nothing_is_said_of_tools_where_there_are_none() -> None:
    body = sent(ask(tool_choice=ToolMode(mode="required"), parallel_tool_calls=False))

    assert {"contents"} == set(body)


def test_pitfall_087_the_vendors_own_tools_stay_behind_where_they_cannot_stand_beside_functions() -> None:
    request = ask(tools=(F, SEARCH))

    assert 2 == len(sent(request, NEW)["tools"])
    assert 1 == len(sent(request, OLD)["tools"])
    assert ("tools[1]",) == losses(request, OLD)
    assert [{"googleSearch": {}}] == sent(ask(tools=(SEARCH,)), OLD)["tools"]


SEARCH = Tool(name="googleSearch", native='{"googleSearch":{}}', native_protocol="gemini")
MIXED: list[tuple[ToolChoice | None, Any]] = [
    (None, None), (ToolMode(mode="auto"), {"mode": "VALIDATED"}), (ToolMode(mode="none"), {"mode": "NONE"}),
    (ToolMode(mode="required"), {"mode": "ANY"}), (NamedTool(name="gone"), {"mode": "VALIDATED"}),
    (ToolSubset(names=("f", "googleSearch")), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
]  # fmt: skip


@each(MIXED)
def test_functions_beside_the_vendors_own_tools_are_told_as_it_demands(
    choice: ToolChoice | None, expected: Any
) -> None:
    """It refuses the two together unless it may show what it ran, and AUTO then."""
    said = sent(ask(tools=(F, SEARCH), tool_choice=choice))["toolConfig"]

    assert said.pop("includeServerSideToolInvocations") is True
    assert expected == said.get("functionCallingConfig")


def test_where_only_one_kind_of_tool_is_sent_nothing_is_said_of_the_other() -> None:
    assert "toolConfig" not in sent(ask(tools=(F,)))
    assert "toolConfig" not in sent(ask(tools=(SEARCH,)))
    assert "toolConfig" not in sent(ask(tools=(F, SEARCH)), OLD)


def test_a_client_that_says_it_itself_is_taken_at_its_word() -> None:
    declared = [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]
    config = {"includeServerSideToolInvocations": False}

    assert config == sent(decoded(tools=declared, toolConfig=config))["toolConfig"]


def test_vertex_does_not_know_the_field() -> None:
    vertex = msgspec.structs.replace(NEW.provider, base_url="https://global-aiplatform.googleapis.com")

    assert "toolConfig" not in sent(ask(tools=(F, SEARCH)), Target(vertex, NEW.model, NEW.surface))


@pytest.mark.parametrize("tool", [F, SEARCH], ids=["function", "search"])
@pytest.mark.parametrize("wanted", [JsonObject(), JsonSchema(schema='{"type":"object","title":"answer"}')])
def test_before_gemini_3_json_beside_tools_is_asked_for_in_words(tool: Tool, wanted: JsonObject | JsonSchema) -> None:
    request = ask(
        Message(role="system", content=(Text(text="Be brief."),)), user("x"), tools=(tool,), response_format=wanted
    )
    *before, words = sent(request, OLD)["systemInstruction"]["parts"]

    assert [{"text": "Be brief."}] == before
    assert ('"title":"answer"' if isinstance(wanted, JsonSchema) else "one JSON object") in words["text"]
    assert {} == config(request, OLD)
    assert ("response_format",) == losses(request, OLD)
    assert "application/json" == config(request, NEW)["responseMimeType"]
    assert "application/json" == config(msgspec.structs.replace(request, tools=()), OLD)["responseMimeType"]


def test_before_gemini_3_the_words_are_the_instructions_where_there_are_none() -> None:
    body = sent(ask(tools=(F,), response_format=JsonObject()), OLD)

    assert 1 == len(body["systemInstruction"]["parts"])


def test_pitfall_090_long_and_odd_names_are_repaired_and_come_back() -> None:
    names = ("a" * 80, "a" * 81, "1st", "_1st", "with blank", "ns.tool:x-y")
    outgoing = CODEC.encode_request(ask(user("x"), assistant(ToolCall(id="c", name=names[0], arguments="{}")),
                                        tools=tuple(Tool(name=name) for name in names)), NEW, {})  # fmt: skip
    body = msgspec.json.decode(outgoing.body)
    told = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]

    assert len(names) == len(set(told))
    assert all(len(name) <= 64 and (name[0].isalpha() or name[0] == "_") for name in told)
    assert list(names) == [outgoing.tool_names.get(name, name) for name in told]
    assert told[0] == body["contents"][1]["parts"][0]["functionCall"]["name"]
    assert "ns.tool:x-y" == told[-1]


def test_pitfall_085_a_free_text_tool_is_a_function_with_one_text() -> None:
    tool = Tool(name="apply_patch", custom=True, format='{"type":"grammar"}')
    call = ToolCall(id="c", name="apply_patch", arguments="*** Begin", custom=True)
    outgoing = CODEC.encode_request(ask(user("x"), assistant(call), tools=(tool,)), NEW, {})

    assert {"apply_patch"} == outgoing.custom_tools
    assert b'"args":{"input":"*** Begin"}' in outgoing.body
    answer = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"apply_patch","args":{"input":"x"}}}]},"finishReason":"STOP"}]}'
    back = CODEC.decode_response(answer, outgoing).choices[0].content[0]
    assert ("x", True) == (back.arguments, back.custom)  # type: ignore[union-attr]


def test_settings_are_told_within_their_bounds() -> None:
    request = ask(sampling=Sampling(temperature=3, top_p=0, top_k=0, seed=2**40, presence_penalty=-3, frequency_penalty=0, min_p=0.1, logit_bias={"1": 1}),
                  max_output_tokens=9000, stop=("a", "", "b", "c", "d", "e", "f"), choices=2, top_logprobs=25, verbosity="low", user="u",
                  cache_key="k", metadata={"a": "b"}, service_tier="scale", parallel_tool_calls=False, tools=(F,), store=False)  # fmt: skip
    body = sent(request, target(max_output=8192))

    assert {
        "temperature": 2, "topP": 0, "topK": 0, "presencePenalty": -2, "frequencyPenalty": 0, "stopSequences": ["a", "b", "c", "d", "e"],
        "candidateCount": 2, "maxOutputTokens": 8192, "responseLogprobs": True, "logprobs": 20,
    } == body["generationConfig"]  # fmt: skip
    assert body["store"] is False
    assert {
        "sampling.temperature", "sampling.presence_penalty", "sampling.seed", "sampling.min_p", "sampling.logit_bias", "stop", "verbosity", "user",
        "cache_key", "metadata", "service_tier", "parallel_tool_calls", "max_output_tokens", "top_logprobs",
    } == set(losses(request, target(max_output=8192)))  # fmt: skip


def test_the_form_of_the_answer_is_told_beside_tools_too() -> None:
    schema = '{"type":"object","properties":{"a":{"type":"string"}}}'

    assert {"responseMimeType": "application/json"} == config(ask(response_format=JsonObject()))
    assert {"responseMimeType": "application/json", "responseJsonSchema": msgspec.json.decode(schema)} == config(
        ask(response_format=JsonSchema(schema=schema, name="n"), tools=(F,))
    )


def test_fields_of_this_protocols_own_go_along_and_those_of_others_are_named() -> None:
    request = decoded(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}], cachedContent="cachedContents/x",
                      labels={"a": "b"}, toolConfig={"retrievalConfig": {"languageCode": "en"}, "functionCallingConfig": {"mode": "VALIDATED"}},
                      tools=[{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING"}]}], serviceTier="flex")  # fmt: skip
    body = sent(request)

    assert "cachedContents/x" == body["cachedContent"]
    assert {"a": "b"} == body["labels"]
    assert "flex" == body["serviceTier"]
    assert {"retrievalConfig": {"languageCode": "en"}, "functionCallingConfig": {"mode": "VALIDATED"}} == body[
        "toolConfig"
    ]
    assert "NON_BLOCKING" == body["tools"][0]["functionDeclarations"][0]["behavior"]
    foreign = ask(extensions={"anthropic_messages": {"context_management": msgspec.Raw(b"{}")}})
    assert ("context_management",) == losses(foreign)


def test_native_parts_go_home_and_nowhere_else() -> None:
    own = Native(protocol="gemini", block="executableCode", json='{"executableCode":{"code":"1","language":"PYTHON"}}')
    other = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")
    request = ask(user("x"), assistant(own, other, Text(text="a")), user("y"))

    assert [{"executableCode": {"code": "1", "language": "PYTHON"}}, {"text": "a"}] == sent(request)["contents"][1][
        "parts"
    ]
    assert ("messages[1].content[1]",) == losses(request)


def test_parameter_rules_are_about_top_level_fields() -> None:
    to = target(parameters=ParameterRules(drop=("store",)))

    assert "store" not in sent(ask(store=True), to)


def test_tokens_are_counted_of_the_whole_request() -> None:
    outgoing = CODEC.encode_count(
        ask(Message(role="system", content=(Text(text="s"),)), user("x"), stream=True, tools=(F,)), NEW, {}
    )

    assert outgoing is not None
    assert "/v1beta/models/gemini-3.5-flash:countTokens" == outgoing.path
    whole = msgspec.json.decode(outgoing.body)["generateContentRequest"]
    assert {"model", "contents", "systemInstruction", "tools"} == set(whole)
    assert "models/gemini-3.5-flash" == whole["model"]
    assert 42 == CODEC.decode_count(b'{"totalTokens":42,"promptTokensDetails":[]}')


def test_pitfall_074_encoding_changes_nothing_of_the_request() -> None:
    request = ask(user("x"), assistant(Text(text="a"), CALL), tools=(F,))

    assert CODEC.encode_request(request, NEW, {}) == CODEC.encode_request(request, NEW, {})
