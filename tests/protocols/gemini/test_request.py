"""What a client of this protocol says is understood: both spellings, every kind of part, every field."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Audio,
    Base64Source,
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
    Text,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)
from runtime.errors import InvalidRequest
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Asked
from runtime.protocols.seal import wrap
from tests.protocols.gemini.given import CODEC, SIGNATURE, assistant, contents, decoded, envelope, sent, target, user
from tests.protocols.test_pairs import target as any_target

WIRE = Path(__file__).parents[2] / "fixtures/wire/gemini"
CLI = WIRE / "gemini-cli.request.json"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gemini-x", "gemini-x"), ("models/gemini-x", "gemini-x"), ("publishers/google/models/gemini-x", "gemini-x"),
        ("projects/p/locations/l/publishers/google/models/gemini-x", "gemini-x"), ("tunedModels/x", "tunedModels/x"),
        ("models/anthropic/claude:x", "anthropic/claude:x"),
    ],
)  # fmt: skip
def test_model_and_stream_come_from_the_url(name: str, model: str) -> None:
    found = CODEC.peek(b'{"contents":[]}', Asked(name, True, "array"))

    assert (model, True, "array") == (found.model, found.stream, found.variant)


def test_a_body_that_counts_tokens_holds_contents_or_a_whole_request() -> None:
    given = {"contents": [{"parts": [{"text": "Hi."}]}], "system_instruction": "Be brief."}
    whole = decoded(**given)
    wrapped = CODEC.decode_request(envelope({"generate_content_request": {"model": "models/x", **given}}), {})

    assert whole.messages == wrapped.messages
    assert ["system", "user"] == [message.role for message in whole.messages]


def test_both_spellings_mixed_at_every_level_and_user_data_left_alone() -> None:
    request = decoded(
        contents={"role": "model", "parts": {"function_call": {"name": "f", "args": {"snake_key": {"in_line": 1.0}}}}},
        system_instruction={"parts": {"text": "s"}},
        generation_config={"max_output_tokens": 5, "topP": 0, "stop_sequences": "END", "thinking_config": {"thinking_level": "LOW"}},
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["a_b"]}},
        tools={"function_declarations": {"name": "a_b"}},
        labels={"team_name": "x_y"}, safety_settings=[], service_tier="STANDARD",
    )  # fmt: skip

    assert '{"snake_key":{"in_line":1.0}}' == request.messages[1].content[0].arguments  # type: ignore[union-attr]
    assert 5 == request.max_output_tokens
    assert 0.0 == request.sampling.top_p
    assert ("END",) == request.stop
    assert ReasoningConfig(effort="low", display="omitted") == request.reasoning
    assert NamedTool(name="a_b") == request.tool_choice
    assert {"team_name": "x_y"} == request.metadata
    assert "default" == request.service_tier
    assert () == request.unknown


def test_unknown_fields_are_named_and_kept_for_the_vendor() -> None:
    request = decoded(newField=1, safetySettings=[])

    assert ("newField",) == request.unknown
    assert {"newField", "safetySettings"} == set(request.extensions["gemini"])


def test_every_kind_of_part_is_understood() -> None:
    url_safe = base64.urlsafe_b64encode(b"\xff\xef\xbe").decode()
    (message,) = contents({"parts": [
        {"text": "a"}, {"inline_data": {"mime_type": "image/png", "data": url_safe}}, {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AA", "displayName": "n"}},
        {"fileData": {"fileUri": "https://e.com/a.png"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x", "mimeType": "application/pdf"}},
        {"executableCode": {"code": "1", "language": "PYTHON"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        {"toolCall": {"id": "1"}}, {"toolResponse": {"id": "1"}},
        {"fileData": {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"}, "videoMetadata": {"fps": 1.0}}, {"text": ""},
    ]})  # fmt: skip

    assert [
        Text(text="a"),
        Image(source=Base64Source(media_type="image/png", data=base64.b64encode(b"\xff\xef\xbe").decode())),
        Audio(source=Base64Source(media_type="audio/mpeg", data="AAAA")),
        Document(source=Base64Source(media_type="application/pdf", data="AA=="), title="n"),
        Image(source=UrlSource(url="https://e.com/a.png"), detail="high"),
        Document(
            source=FileSource(
                file_id="https://generativelanguage.googleapis.com/v1beta/files/x", media_type="application/pdf"
            )
        ),
    ] == list(message.content[:6])
    natives = [part.block for part in message.content[6:] if isinstance(part, Native)]
    assert ["executableCode", "codeExecutionResult", "toolCall", "toolResponse", "videoMetadata"] == natives


def test_neighbouring_contents_of_the_model_are_one_turn_with_its_texts_whole() -> None:
    model = [{"role": "model", "parts": [part]} for part in (
        {"text": "h", "thought": True}, {"text": "m", "thought": True}, {"text": "Hel"}, {"text": "lo"},
        {"text": "", "thoughtSignature": SIGNATURE}, {"functionCall": {"name": "f"}},
    )]  # fmt: skip
    turn = contents({"parts": [{"text": "Hi."}]}, *model)[1]

    assert (
        Reasoning(text="hm"), Text(text="Hello"), Reasoning(seal=f"text.{SIGNATURE}", sealed_by="gemini"),
        ToolCall(id="call_0", name="f", arguments="{}"),
    ) == turn.content  # fmt: skip


def test_pitfall_093_results_without_ids_find_their_calls_by_name_and_order() -> None:
    calls = {"role": "model", "parts": [{"functionCall": {"name": name, "args": {}}} for name in ("f", "g", "f")]}
    results = {"role": "function", "parts": [
        {"functionResponse": {"name": name, "response": {"output": text}}} for name, text in (("g", "1"), ("f", "2"), ("f", "3"))
    ]}  # fmt: skip
    first = contents(user_content("x"), calls, results)
    second = contents(user_content("x"), calls, results, user_content("y"), calls)

    assert ["call_0", "call_1", "call_2"] == [part.id for part in first[1].content if isinstance(part, ToolCall)]
    assert [("call_1", "1"), ("call_0", "2"), ("call_2", "3")] == [
        (part.call_id, part.content[0].text) for part in first[2].content if isinstance(part, ToolResult)  # type: ignore[union-attr]
    ]  # fmt: skip
    assert first == second[:3]
    assert ["call_3", "call_4", "call_5"] == [part.id for part in second[4].content if isinstance(part, ToolCall)]


def test_a_result_without_an_id_answers_the_models_last_turn() -> None:
    call = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "two"}}}]}
    said = contents(user_content("x"), call, user_content("No, stop."), call, result)

    assert ["call_1"] == [part.call_id for part in said[-1].content if isinstance(part, ToolResult)]


def user_content(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "x"}, "x", None), ({"result": "x"}, "x", None), ({"error": "x"}, "x", True), ({}, "", None),
        ({"output": [1, 2.0]}, "[1,2.0]", None), ({"output": {"a": 1}}, '{"output":{"a":1}}', None),
        ({"a_b": 1}, '{"a_b":1}', None), ({"error": {"c": 1}}, '{"c":1}', True), ({"error": [1]}, "[1]", True),
    ],
)  # fmt: skip
def test_results_are_read(response: Any, text: str, is_error: bool | None) -> None:
    result = contents({"parts": [{"functionResponse": {"id": "a", "name": "f", "response": response}}]})[0].content[0]

    assert ToolResult(call_id="a", name="f", content=(Text(text=text),) if text else (), is_error=is_error) == result


def test_results_stand_before_what_else_the_user_says_and_hold_pictures() -> None:
    messages = contents({"parts": [
        {"text": "and"}, {"functionResponse": {"id": "a", "name": "f", "response": {"output": "x"}, "parts": [
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}}]})  # fmt: skip

    assert ["tool", "user"] == [message.role for message in messages]
    assert isinstance(messages[0].content[0].content[1], Image)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"thinkingBudget": 0}, ReasoningConfig(mode="off", display="omitted")),
        ({"thinkingBudget": -1, "includeThoughts": True}, ReasoningConfig(mode="adaptive", display="summarized")),
        ({"thinkingBudget": "8192"}, ReasoningConfig(mode="on", budget_tokens=8192, display="omitted")),
        ({"thinkingLevel": "XHIGH"}, ReasoningConfig(effort="xhigh", display="omitted")),
        ({"thinkingLevel": "minimal"}, ReasoningConfig(effort="minimal", display="omitted")),
        ({"includeThoughts": True}, ReasoningConfig(mode="adaptive", display="summarized")),
    ],
)
def test_thinking_is_read(config: dict[str, Any], expected: ReasoningConfig) -> None:
    assert expected == decoded(generationConfig={"thinkingConfig": config}).reasoning


def test_forms_of_the_answer_are_read() -> None:
    def form(**config: Any) -> Any:
        return decoded(generationConfig=config).response_format

    schema = JsonSchema(schema='{"type":"string"}')
    assert form(responseMimeType="text/plain") is None
    assert JsonObject() == form(responseMimeType="application/json")
    assert schema == form(responseMimeType="application/json", responseSchema={"type": "STRING"})
    assert schema == form(responseMimeType="application/json", responseJsonSchema={"type": "STRING"})
    assert schema == form(responseFormat=[{"text": {"mimeType": "application/json", "jsonSchema": {"type": "string"}}}])
    enum = decoded(
        generationConfig={"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    )
    assert enum.response_format is None
    assert {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}} == (
        sent(enum)["generationConfig"]
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"mode": "AUTO"}, ToolMode(mode="auto")), ({"mode": "NONE"}, ToolMode(mode="none")), ({"mode": "ANY"}, ToolMode(mode="required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, NamedTool(name="f")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolSubset(names=("f", "g"), required=True)),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolSubset(names=("f",))), ({"mode": "VALIDATED"}, ToolMode(mode="auto")),
        ({}, None),
    ],
)  # fmt: skip
def test_choice_among_tools_is_read(config: dict[str, Any], expected: Any) -> None:
    request = decoded(
        tools=[{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}], toolConfig={"functionCallingConfig": config}
    )

    assert expected == request.tool_choice


def test_all_of_the_configuration_is_understood_or_kept() -> None:
    given = {
        "temperature": 0, "topP": 0.5, "topK": 40, "maxOutputTokens": 9, "stopSequences": ["a"], "candidateCount": 2, "seed": 0,
        "presencePenalty": 0, "frequencyPenalty": -1, "responseLogprobs": True, "logprobs": 3, "responseModalities": ["TEXT"],
        "mediaResolution": "MEDIA_RESOLUTION_LOW", "speechConfig": {"languageCode": "en-US"},
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    }  # fmt: skip

    assert given == sent(decoded(generationConfig=given))["generationConfig"]


def test_pitfall_066_zeros_are_said() -> None:
    sampling = decoded(
        generationConfig={"temperature": 0, "topP": 0, "topK": 0, "seed": 0, "presencePenalty": 0}
    ).sampling

    assert [0.0, 0.0, 0, 0, 0.0] == [
        sampling.temperature,
        sampling.top_p,
        sampling.top_k,
        sampling.seed,
        sampling.presence_penalty,
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}]},
            "contents[0].parts[0].inlineData.data",
        ),
        ({"contents": [{"role": "model", "parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({}, "contents"),
        ({"contents": [], "generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
    ],
)
def test_a_fault_is_named_by_its_path(body: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CODEC.decode_request(envelope(body), {})
    assert param == caught.value.param


def test_signatures_of_others_come_home_and_the_vendors_own_stay_what_they_are() -> None:
    foreign = base64.b64encode(wrap("sig", "anthropic_messages", "gemini").encode()).decode()
    turn = contents(user_content("x"), {"role": "model", "parts": [
        {"text": "hm", "thought": True, "thoughtSignature": foreign}, {"text": "a", "thought": True, "thoughtSignature": SIGNATURE},
        {"text": "t", "thoughtSignature": SIGNATURE}, {"functionCall": {"id": "c", "name": "f"}, "thoughtSignature": SIGNATURE},
    ]})[1]  # fmt: skip

    assert (
        Reasoning(text="hm", seal="sig", sealed_by="anthropic_messages"),
        Reasoning(text="a", seal=f"thought.{SIGNATURE}", sealed_by="gemini"),
        Text(text="t"), Reasoning(seal=f"text.{SIGNATURE}", sealed_by="gemini"),
        Reasoning(seal=f"call.{SIGNATURE}", sealed_by="gemini"), ToolCall(id="c", name="f", arguments="{}"),
    ) == turn.content  # fmt: skip


def test_the_vendors_command_line_is_understood_and_goes_home_as_it_was() -> None:
    given = msgspec.json.decode(CLI.read_bytes())
    request = CODEC.decode_request(CODEC.peek(CLI.read_bytes(), Asked("gemini-3.5-flash", True)), {})
    body = sent(request)

    assert ["system", "user", "user", "assistant", "tool", "assistant", "tool", "assistant", "user"] == [
        message.role for message in request.messages
    ]
    assert given["generationConfig"] == body["generationConfig"]
    assert given["systemInstruction"] == body["systemInstruction"]
    assert given["contents"][3:6] == body["contents"][3:6]
    assert (
        given["contents"][2]["parts"][1:] == body["contents"][2]["parts"]
    )  # a thought without a signature stays behind
    assert {
        "parts": [{"text": "It says high water is at noon.", "thoughtSignature": "Q2lnbmF0dXJlLTI="}],
        "role": "model",
    } == (body["contents"][6])
    names = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]
    assert [tool["name"] for tool in given["tools"][0]["functionDeclarations"]] == names
    assert given["tools"][0]["functionDeclarations"][:4] == body["tools"][0]["functionDeclarations"][:4]


@pytest.mark.parametrize("upstream", sorted(CODECS))
@pytest.mark.parametrize("name", ["gemini-cli", "gemini-cli-router"])
def test_the_vendors_command_line_reaches_every_protocol(name: str, upstream: str) -> None:
    data = (WIRE / f"{name}.request.json").read_bytes()
    request = CODEC.decode_request(CODEC.peek(data, Asked("m", True)), {})
    outgoing = codec(upstream).encode_request(request, any_target(upstream) if upstream != "gemini" else target(), {})

    assert b"Z3cx" not in outgoing.body
    assert (b"Q2lnbmF0dXJlLTE" in outgoing.body) == (upstream == "gemini" and name == "gemini-cli")
    assert b'"OBJECT"' not in outgoing.body


def test_a_conversation_is_what_it_was_after_a_way_there_and_back() -> None:
    messages = (
        Message(role="system", content=(Text(text="s"),)), user("x"),
        assistant(Reasoning(text="hm", seal="thought.QQ==", sealed_by="gemini"), Text(text="a"), Reasoning(seal="text.Qg==", sealed_by="gemini"),
                  Reasoning(seal="call.Qw==", sealed_by="gemini"), ToolCall(id="c1", name="f", arguments='{"a":1.0}'), ToolCall(id="c2", name="g", arguments="{}")),
        Message(role="tool", content=(ToolResult(call_id="c1", name="f", content=(Text(text='{"b": 1}'),)),
                                      ToolResult(call_id="c2", name="g", content=(Text(text="[1]"),), is_error=None))),
        user("y"),
    )  # fmt: skip
    body = CODEC.encode_request(decoded().__class__(model="m", messages=messages), target(), {}).body

    assert messages == CODEC.decode_request(CODEC.peek(body, Asked("m")), {}).messages
