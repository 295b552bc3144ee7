"""The fake vendors themselves: their transcripts are the vendor's own, and what a vendor refuses, they refuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.last_said import answers_tools
from tests.support.oracle import complaint, flaw
from tests.support.rules import SEALS, broken
from tests.support.vendor import SPEECH, WIRE

FILES = sorted(path for protocol in SPEECH for path in (WIRE / protocol).iterdir())
SCENARIOS = {
    "cut", "empty", "json", "max-tokens", "mid-error", "one-tool", "plain", "refusal", "thinking-text", "thinking-tool",
    "two-tools", "unicode", "world",
}  # fmt: skip
OF_ONE = {"openai_chat": {"free-text"}}
"""What only one protocol's vendor has to tell: elsewhere it is nothing special."""


def pieces(path: Path) -> Iterator[tuple[str, Any]]:
    """Each JSON value of a transcript, and whether it is a whole `answer` or an `event`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        yield "answer", json.loads(text)
    elif path.suffix == ".ndjson":
        yield from (("event", json.loads(line)) for line in text.split("\n") if line)
    else:
        lines = text.replace("\r\n", "\n").split("\n")
        yield from (("event", json.loads(line[6:])) for line in lines if line.startswith("data: {"))


@pytest.mark.parametrize("protocol", SPEECH)
def test_every_vendor_can_tell_every_story(protocol: str) -> None:
    streams = {path.stem for path in (WIRE / protocol).glob(f"*.{SPEECH[protocol].ending}")}
    wholes = {path.stem for path in (WIRE / protocol).glob("*.json")}

    told = SCENARIOS | OF_ONE.get(protocol, set())
    assert (streams, wholes) == (told, told - {"cut", "mid-error"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_transcript_is_made_of_the_vendors_own_types(path: Path) -> None:
    for what, value in pieces(path):
        if value.get("type") in ("error", "ping") or set(value) == {"error"}:
            continue  # the SDKs have no type for these
        assert flaw(path.parent.name, what, value) is None


# -- what is refused

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": TOOL}}],
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": min(SEALS["openai_responses"])},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
    ],
    "tools": [{"type": "function", "name": "look", "parameters": TOOL, "strict": False}],
}
MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "c2lnbmF0dXJlLTE="},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}]},
    ],
    "tools": [{"name": "look", "input_schema": TOOL}],
}
GEMINI: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "dGhvdWdodC0x"}],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"output": "seen"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": TOOL}]}],
}
OLLAMA: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]},
        {"role": "tool", "tool_name": "look", "content": "seen"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": TOOL}}],
}
GOOD = {
    "anthropic_messages": MESSAGES,
    "gemini": GEMINI,
    "ollama_chat": OLLAMA,
    "openai_chat": CHAT,
    "openai_responses": RESPONSES,
}
GONE = object()
BAD: list[tuple[str, tuple[str | int, ...], Any]] = [
    ("openai_chat", ("tools",), []),
    ("openai_chat", ("messages", 2, "tool_call_id"), "call_2"),
    ("openai_chat", ("messages", 2), GONE),
    ("openai_chat", ("messages", 1, "content"), "gw1.anthropic_messages.c2ln"),
    ("openai_chat", ("messages", 1, "tool_calls", 0, "function", "arguments"), "{"),
    ("openai_chat", ("tools", 0, "function", "strict"), True),
    ("openai_chat", ("top_k",), 3),
    ("openai_chat", ("messages", 0, "cache_control"), {"type": "ephemeral"}),
    ("openai_responses", ("input", 3), GONE),
    ("openai_responses", ("input", 2), GONE),
    ("openai_responses", ("input", 1, "encrypted_content"), "somebody else's"),
    ("openai_responses", ("input", 1, "encrypted_content"), GONE),
    ("openai_responses", ("input", 2, "id"), "call_1"),
    ("openai_responses", ("max_output_tokens",), 3),
    ("openai_responses", ("previous_response_id",), "resp_1"),
    ("openai_responses", ("stop",), ["END"]),
    ("anthropic_messages", ("max_tokens",), GONE),
    ("anthropic_messages", ("messages", 2), GONE),
    ("anthropic_messages", ("messages", 1), GONE),
    ("anthropic_messages", ("messages", 0, "content"), ""),
    ("anthropic_messages", ("messages", 0, "content"), [{"type": "text", "text": ""}]),
    ("anthropic_messages", ("messages", 1, "content", 0, "signature"), "dGhvdWdodC0x"),
    ("anthropic_messages", ("messages", 2, "content", 0, "content"), [{"type": "text", "text": " "}]),
    ("anthropic_messages", ("thinking",), {"type": "enabled", "budget_tokens": 4096}),
    ("anthropic_messages", ("tools", 0, "input_schema"), {"anyOf": [TOOL]}),
    ("anthropic_messages", ("stop_sequences",), ["\n"]),
    ("gemini", ("contents", 1, "parts", 0, "thoughtSignature"), GONE),
    ("gemini", ("contents", 1, "parts", 0, "thoughtSignature"), "c2lnbmF0dXJlLTE="),
    ("gemini", ("contents", 2), GONE),
    ("gemini", ("contents", 2, "parts", 0, "functionResponse", "name"), "see"),
    ("gemini", ("contents", 2, "parts", 0, "functionResponse", "response"), "seen"),
    ("gemini", ("contents", 0, "parts", 0, "text"), ""),
    ("gemini", ("contents", 0, "role"), "system"),
    ("gemini", ("contents", 0, "parts"), []),
    ("gemini", ("tools", 0, "functionDeclarations", 0, "parameters"), {"type": "OBJECT"}),
    ("gemini", ("generationConfig",), {"responseJsonSchema": TOOL}),
    ("gemini", ("generationConfig",), {"maxTokens": 3}),
    ("gemini", ("toolConfig",), {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["see"]}}),
    ("ollama_chat", ("messages", 2, "tool_name"), "see"),
    ("ollama_chat", ("messages", 1), GONE),
    ("ollama_chat", ("messages", 0, "images"), ["data:image/png;base64,AAAA"]),
    ("ollama_chat", ("tool_choice",), "auto"),
    ("ollama_chat", ("options",), {"max_tokens": 3}),
]  # fmt: skip


def objection(protocol: str, body: Any) -> str | None:
    return complaint(protocol, "create", body) or broken(protocol, body, {"anthropic-version": "2023-06-01"})


@pytest.mark.parametrize("protocol", GOOD)
def test_a_good_request_is_taken_and_known_to_end_in_a_result(protocol: str) -> None:
    assert objection(protocol, GOOD[protocol]) is None
    assert answers_tools(protocol, GOOD[protocol])


@pytest.mark.parametrize(("protocol", "place", "value"), BAD)
def test_a_bad_request_is_refused(protocol: str, place: tuple[str | int, ...], value: Any) -> None:
    body = copy.deepcopy(GOOD[protocol])
    at: Any = body
    for step in place[:-1]:
        at = at[step]
    if value is GONE:
        del at[place[-1]]
    else:
        at[place[-1]] = value

    assert objection(protocol, body) is not None


@pytest.mark.parametrize("protocol", GOOD)
def test_a_conversation_of_nothing_ends_in_no_result(protocol: str) -> None:
    fields = ("messages", "contents", "input")

    assert not answers_tools(protocol, {field: [] for field in fields})
    assert not answers_tools(protocol, {})


def test_google_reads_both_spellings() -> None:
    body = copy.deepcopy(GEMINI)
    declared = body["tools"][0]["functionDeclarations"]
    body["tools"] = [
        {"function_declarations": [{"name": "look", "parameters_json_schema": declared[0]["parametersJsonSchema"]}]}
    ]
    body["generation_config"] = {"thinking_config": {"include_thoughts": True, "thinking_budget": 100}}

    assert objection("gemini", body) is None
