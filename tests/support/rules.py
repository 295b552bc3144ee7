"""What vendors refuse beside what their types refuse: pairs, order, emptiness, seals that are not theirs.

`broken(protocol, body, headers)` is the vendor's complaint or None. Each protocol's rules are one generator of complaints; the
first counts. A seal is any opaque thinking state; `SEALS` are those which the fake vendors' transcripts gave out.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.support.oracle import proto_json

__all__ = ["SEALS", "broken"]

SEALS: Mapping[str, frozenset[str]] = {
    "anthropic_messages": frozenset({"c2lnbmF0dXJlLTE=", "cmVkYWN0ZWQtMQ=="}),
    "gemini": frozenset({"dGhvdWdodC0x"}),
    "openai_responses": frozenset({"ZW5jcnlwdGVkLTE="}),
}
DUMMY = "skip_thought_signature_validator"
"""What Google documents for a call that no Gemini model made; bytes fields may hold it as text or in base64."""

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
GEMINI_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
ITEM_PREFIXES = {
    "message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc", "web_search_call": "ws",
}  # fmt: skip

Rules = Callable[[dict[str, Any], Mapping[str, str]], Iterator[str]]


def broken(protocol: str, body: dict[str, Any], headers: Mapping[str, str]) -> str | None:
    """The first rule that ``body`` breaks, as the vendor would put it."""
    for text in _texts(body):
        if text.startswith(("gw1.", "Z3cxL")):  # plain, and in base64 again
            return "an envelope of the gateway's in a request to a vendor"
    return next(RULES[protocol](body, headers), None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unlike_strict(schema: Any, path: str = "schema") -> Iterator[str]:
    """Where ``schema`` is not what `strict: true` demands."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _unlike_strict(item, f"{path}.{index}")
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            yield f"{path}: 'additionalProperties' is required to be supplied and to be false"
        if sorted(schema.get("properties", {})) != sorted(schema.get("required", [])):
            yield f"{path}: 'required' is required to be supplied and to be an array including every key in properties"
        for name, item in schema.get("properties", {}).items():
            yield from _unlike_strict(item, f"{path}.{name}")
    for name in ("items", "anyOf"):
        yield from _unlike_strict(schema.get(name), f"{path}.{name}")
    for name, item in schema.get("$defs", {}).items():
        yield from _unlike_strict(item, f"{path}.{name}")


def _names(names: list[Any], pattern: re.Pattern[str]) -> Iterator[str]:
    for name in names:
        if not isinstance(name, str) or not pattern.fullmatch(name):
            yield f"tools: invalid name {name!r}"
    if len(set(names)) < len(names):
        yield "tools: names must be unique"


# -- OpenAI's Chat Completions


def _chat(body: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    tools = body.get("tools")
    if tools == []:
        yield "[] is too short - 'tools'"
    if not tools:
        for field in ("tool_choice", "parallel_tool_calls"):
            if body.get(field) is not None:
                yield f"'{field}' is only allowed when 'tools' are specified"
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        yield "max_tokens and max_completion_tokens cannot both be set"
    functions = [tool["function"] for tool in _list(tools) if tool.get("type") == "function"]
    yield from _names([function["name"] for function in functions], NAME)
    for function in functions:
        if function.get("strict"):
            yield from _unlike_strict(function.get("parameters", {}), function["name"])
    format_ = body.get("response_format") or {}
    if (format_.get("json_schema") or {}).get("strict"):
        yield from _unlike_strict(format_["json_schema"].get("schema"), "response_format")
    if format_.get("type") == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        yield "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'"
    if not body["messages"]:
        yield "[] is too short - 'messages'"
    yield from _chat_pairs(body["messages"])


def _chat_pairs(messages: list[dict[str, Any]]) -> Iterator[str]:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"messages.{index}: 'tool' must be a response to a preceding message with 'tool_calls'"
                return
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            yield f"messages.{index}: 'tool_calls' must be followed by tool messages; {waiting} did not have any"
            return
        calls = _list(message.get("tool_calls"))
        if message.get("tool_calls") == []:
            yield f"[] is too short - 'messages.{index}.tool_calls'"
        waiting = [call["id"] for call in calls]
        for call in calls:
            if len(call["id"]) > 40:
                yield f"messages.{index}: id is too long"
            if call.get("type") == "function" and not _is_object(call["function"]["arguments"]):
                yield f"messages.{index}: arguments are not JSON"
        if message["role"] == "assistant" and not calls and not message.get("content") and not message.get("refusal"):
            yield f"messages.{index}: 'content' or 'tool_calls' must be given"
    if waiting:
        yield f"messages: 'tool_calls' must be followed by tool messages; {waiting} did not have any"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


# -- OpenAI's Responses


def _responses(body: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    if "input" not in body:
        return
    tools = _list(body.get("tools"))
    if not tools and body.get("tool_choice") not in (None, "auto", "none"):
        yield "tool_choice needs tools"
    functions = [tool for tool in tools if tool["type"] == "function"]
    yield from _names([tool["name"] for tool in functions], NAME)
    for tool in functions:
        if tool.get("strict"):
            yield from _unlike_strict(tool.get("parameters"), tool["name"])
    format_ = (body.get("text") or {}).get("format") or {}
    if format_.get("strict"):
        yield from _unlike_strict(format_.get("schema"), "text.format")
    if body.get("previous_response_id"):
        yield f"Previous response with id '{body['previous_response_id']}' not found."
    yield from _responses_items(_list(body["input"]))


def _responses_items(items: list[dict[str, Any]]) -> Iterator[str]:
    calls, answered = [], []
    for index, item in enumerate(items):
        kind = item.get("type", "message")
        prefix = ITEM_PREFIXES.get(kind)
        if prefix and item.get("id") and not item["id"].startswith(prefix):
            yield f"input.{index}.id: expected an ID that begins with '{prefix}'"
        if kind in ("function_call", "custom_tool_call"):
            calls.append(item["call_id"])
            if kind == "function_call" and not _is_object(item["arguments"]):
                yield f"input.{index}: arguments are not JSON"
        elif kind in ("function_call_output", "custom_tool_call_output"):
            if item["call_id"] not in calls:
                yield f"input.{index}: no tool call found for function call output with call_id {item['call_id']}"
            answered.append(item["call_id"])
        elif kind == "reasoning":
            yield from _reasoning(index, item, items[index + 1 :])
        elif kind == "message":
            if item.get("content") in ("", []):
                yield f"input.{index}.content: empty"
            if item.get("role") == "assistant" and item.get("content") and not isinstance(item["content"], str):
                for part in item["content"]:
                    if part["type"] not in ("output_text", "refusal"):
                        yield f"input.{index}.content: {part['type']} in an assistant's message"
    if len(set(calls)) < len(calls):
        yield "input: two calls with one call_id"
    for missing in sorted(set(calls) - set(answered)):
        yield f"No tool output found for function call {missing}."


def _reasoning(index: int, item: dict[str, Any], behind: list[dict[str, Any]]) -> Iterator[str]:
    seal = item.get("encrypted_content")
    if seal is None:
        yield f"input.{index}: item with id '{item.get('id')}' not found; items are not persisted when `store` is false"
    elif seal not in SEALS["openai_responses"]:
        yield f"input.{index}: the encrypted content could not be verified"
    following = next((other.get("type", "message") for other in behind if other.get("type") != "reasoning"), None)
    if following not in ("message", "function_call", "custom_tool_call"):
        yield f"input.{index}: 'reasoning' was provided without its required following item"


# -- Anthropic's Messages


def _messages(body: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    tools = _list(body.get("tools"))
    if not tools and body.get("tool_choice"):
        yield "tool_choice: may only be specified while providing tools"
    yield from _names([tool["name"] for tool in tools if "name" in tool], re.compile(r"[a-zA-Z0-9_-]{1,128}"))
    for tool in tools:
        schema = tool.get("input_schema", {"type": "object"})
        if schema.get("type") != "object" or {"anyOf", "oneOf", "allOf"} & set(schema):
            yield f"tools.{tool.get('name')}.input_schema: must be an object without anyOf, oneOf or allOf at the top"
    yield from _thinking(body)
    if headers.get("anthropic-version", "") >= "2026-10-21":
        for field in ("temperature", "top_p", "top_k"):
            if field in body:
                yield f"{field}: not permitted"
    if any(not text.strip() for text in _list(body.get("stop_sequences"))):
        yield "stop_sequences: each stop sequence must contain non-whitespace"
    if json.dumps(body).count('"cache_control": {') > 4:
        yield "a maximum of 4 blocks with cache_control may be provided"
    if not body["messages"]:
        yield "messages: at least one message is required"
    for place in ("system", "messages"):
        yield from _empty_blocks(body.get(place), place)
    yield from _messages_pairs(body["messages"])


def _thinking(body: dict[str, Any]) -> Iterator[str]:
    thinking = body.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return
    if not 1024 <= thinking["budget_tokens"] < body.get("max_tokens", 1 << 30):
        yield "thinking.budget_tokens: must be at least 1024 and less than max_tokens"
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "thinking may not be enabled when tool_choice forces tool use"
    if body.get("temperature", 1) != 1 or "top_k" in body or body.get("top_p", 1) < 0.95:
        yield "temperature, top_p and top_k may not be set when thinking is enabled"


def _empty_blocks(value: Any, place: str) -> Iterator[str]:
    """Text blocks and messages without text, however deep; and seals of others."""
    if isinstance(value, list):
        for item in value:
            yield from _empty_blocks(item, place)
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    if kind == "text" and "data" not in value and not value.get("text", "").strip():  # a document's text is in `data`
        yield f"{place}: text content blocks must be non-empty and contain non-whitespace text"
    if kind == "thinking" and value.get("signature") not in SEALS["anthropic_messages"]:
        yield f"{place}: invalid `signature` in `thinking` block"
    if kind == "redacted_thinking" and value.get("data") not in SEALS["anthropic_messages"]:
        yield f"{place}: invalid `data` in `redacted_thinking` block"
    if kind == "base64" and value.get("media_type", "").startswith("image/"):
        if value["media_type"].removeprefix("image/") not in ("jpeg", "png", "gif", "webp"):
            yield f"{place}: media_type {value['media_type']}"
        yield from _undecodable(value.get("data", ""), place)
    if value.get("is_error") and any(block["type"] != "text" for block in _list(value.get("content"))):
        yield f"{place}: all content must be type `text` if `is_error` is true"
    if "role" in value and value.get("content") in ("", []):
        yield f"{place}: all messages must have non-empty content"
    if kind != "tool_use":
        yield from _empty_blocks(value.get("content"), place)
    yield from _empty_blocks(value.get("source"), place)


def _undecodable(data: str, place: str) -> Iterator[str]:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        yield f"{place}: not base64"


def _messages_pairs(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Calls are answered in the very next message, by results that stand first in it. Neighbours of a role are one."""
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "system":
            continue
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message["role"], list(blocks)))
    waiting: list[str] = []
    for index, (_, blocks) in enumerate(turns):
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if missing := sorted(set(waiting) - set(results)):
            yield f"turn {index}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}"
        if stray := sorted(set(results) - set(waiting)):
            yield f"turn {index}: unexpected `tool_use_id` found in `tool_result` blocks: {stray}"
        if len(set(results)) < len(results):
            yield f"turn {index}: each tool_use must have a single result"
        if results and any(block["type"] != "tool_result" for block in blocks[: len(results)]):
            yield f"turn {index}: tool results must come first"
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(waiting)) < len(waiting):
            yield f"turn {index}: `tool_use` ids must be unique"
    if waiting:
        yield f"messages: `tool_use` ids were found without `tool_result` blocks immediately after: {waiting}"


# -- Google's Gemini


def _gemini(wire: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    body = proto_json(wire)
    body = body.get("generateContentRequest", body)
    declared = [each for tool in _list(body.get("tools")) for each in _list(tool.get("functionDeclarations"))]
    yield from _names([each.get("name") for each in declared], GEMINI_NAME)
    for each in declared:
        if "parameters" in each and "parametersJsonSchema" in each:
            yield f"{each['name']}: parameters and parametersJsonSchema are exclusive"
        yield from _gemini_schema(each.get("parameters"), each["name"])
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") in ("ANY", "VALIDATED") and not declared:
        yield "function calling config is set without function_declarations"
    if stray := set(calling.get("allowedFunctionNames") or ()) - {each["name"] for each in declared}:
        yield f"allowed_function_names: {sorted(stray)} not declared"
    if calling.get("allowedFunctionNames") and calling.get("mode") not in ("ANY", "VALIDATED"):
        yield "allowed_function_names may only be set when the mode is ANY or VALIDATED"
    kinds = {kind for tool in _list(body.get("tools")) for kind in tool}
    if declared and len(kinds) > 1:
        if not (body.get("toolConfig") or {}).get("includeServerSideToolInvocations"):
            yield "please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling"
        if calling.get("mode") == "AUTO":
            yield "the AUTO mode is not supported with built-in tools"
    yield from _generation(body.get("generationConfig") or {})
    if "systemInstruction" in body and not _list(body["systemInstruction"].get("parts")):
        yield "systemInstruction.parts: empty"
    yield from _contents(body["contents"])


def _generation(config: dict[str, Any]) -> Iterator[str]:
    if ("responseSchema" in config or "responseJsonSchema" in config) and (
        config.get("responseMimeType") != "application/json"
    ):
        yield "a response schema is allowed only with response_mime_type application/json"
    if "responseSchema" in config and "responseJsonSchema" in config:
        yield "responseSchema and responseJsonSchema are exclusive"
    thinking = config.get("thinkingConfig") or {}
    if thinking.get("thinkingLevel") is not None and thinking.get("thinkingBudget") is not None:
        yield "you can only set one of thinking budget and thinking level"
    if len(_list(config.get("stopSequences"))) > 5:
        yield "stop_sequences: at most 5"
    yield from _gemini_schema(config.get("responseSchema"), "responseSchema")


def _gemini_schema(schema: Any, place: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "OBJECT" and schema.get("properties") == {}:
        yield f"{place}: properties should be non-empty for OBJECT type"
    if schema.get("type") == "ARRAY" and "items" not in schema:
        yield f"{place}: items: missing field"
    properties = schema.get("properties") or {}
    if stray := set(schema.get("required") or ()) - set(properties):
        yield f"{place}: required: {sorted(stray)} is not defined"
    for name, item in properties.items():
        yield from _gemini_schema(item, f"{place}.{name}")
    yield from _gemini_schema(schema.get("items"), f"{place}.items")


PART_DATA = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
}  # fmt: skip


def _contents(contents: list[dict[str, Any]]) -> Iterator[str]:
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for index, content in enumerate(contents):
        parts = _list(content.get("parts"))
        if not parts:
            yield f"contents.{index}.parts: must include at least one part"
        if content.get("role") not in ("user", "model", "function"):
            yield f"contents.{index}.role: please use a valid role: user, model"
        for part in parts:
            yield from _part(index, part)
        role = "model" if content.get("role") == "model" else "user"
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, list(parts)))
    yield from _gemini_pairs(turns)
    yield from _signed(turns)


def _part(index: int, part: dict[str, Any]) -> Iterator[str]:
    data = PART_DATA & set(part)
    if len(data) != 1:
        yield f"contents.{index}.parts: required oneof field 'data' must have one initialized field, has {sorted(data)}"
    signature = part.get("thoughtSignature")
    if part.get("text") == "" and signature is None:
        yield f"contents.{index}.parts: empty text"
    if signature is not None and not _ours(signature):
        yield f"contents.{index}.parts: thought signature is not valid"
    if "inlineData" in part:
        yield from _undecodable(_standard(part["inlineData"]["data"]), f"contents.{index}.parts.inlineData")
    if "functionResponse" in part and not isinstance(part["functionResponse"].get("response"), dict):
        yield f"contents.{index}.parts: function_response.response must be a struct"


def _standard(data: str) -> str:
    return data.replace("-", "+").replace("_", "/")


def _ours(signature: str) -> bool:
    text = _standard(signature)
    dummies = {_standard(DUMMY), base64.b64encode(DUMMY.encode()).decode()}
    return text in SEALS["gemini"] or text in dummies


def _gemini_pairs(turns: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[str]:
    waiting: list[str] = []
    for index, (_, parts) in enumerate(turns):
        results = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if sorted(results) != sorted(waiting):
            yield (
                f"turn {index}: the number of function response parts must equal the number of function call parts of "
                f"the function call turn: {results} for {waiting}"
            )
        waiting = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    if waiting:
        yield "contents: a function call turn must be followed by its function responses"


def _signed(turns: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[str]:
    """Gemini 3: since the last text of the user's, the first call of every step carries a signature."""
    texts = [at for at, (role, parts) in enumerate(turns) if role == "user" and any("text" in part for part in parts)]
    for role, parts in turns[texts[-1] if texts else 0 :]:
        calls = [part for part in parts if "functionCall" in part]
        if role == "model" and calls and "thoughtSignature" not in calls[0]:
            yield f"Function call {calls[0]['functionCall']['name']} is missing a thought_signature in functionCall parts."


# -- Ollama


def _ollama(body: dict[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    called: list[str] = []
    for index, message in enumerate(body["messages"]):
        for image in _list(message.get("images")):
            yield from _undecodable(image, f"messages.{index}.images")
        called += [call["function"]["name"] for call in _list(message.get("tool_calls"))]
        if message["role"] == "tool":
            if not called:
                yield f"messages.{index}: the result of no call"
            if message.get("tool_name") not in (None, *called):
                yield f"messages.{index}: {message['tool_name']!r} was not called"
        elif not any(message.get(field) for field in ("content", "images", "tool_calls", "thinking")):
            yield f"messages.{index}: nothing said"


RULES: Mapping[str, Rules] = {
    "anthropic_messages": _messages,
    "gemini": _gemini,
    "ollama_chat": _ollama,
    "openai_chat": _chat,
    "openai_responses": _responses,
}
