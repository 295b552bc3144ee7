"""Whether an answer to a request may be given again, and what two requests must have in common for that.

Reads a client's JSON as it is, per dialect. The form that is compared is the whole body with its keys in order, without
the fields that no answer depends on; and, for the semantic cache, with the last user text taken out. What is not known
to be safe is not cached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec

from runtime.call import Call
from runtime.replay.elsewhere import depends_elsewhere

__all__ = ["Question", "read_question"]

Temperature = Literal["zero", "any"]
Tools = Literal["none", "client"]

IRRELEVANT: Final[Mapping[str, frozenset[str]]] = {
    "openai_chat": frozenset({"stream", "user", "safety_identifier", "metadata", "store", "prompt_cache_key"}),
    "openai_responses": frozenset({"stream"}),  # its answers repeat the rest
    "openai_completions": frozenset({"stream", "user"}),
    "anthropic_messages": frozenset({"stream", "metadata"}),
    "gemini": frozenset({"labels"}),
    "ollama_chat": frozenset({"stream", "keep_alive"}),
    "ollama_generate": frozenset({"stream", "keep_alive"}),
}
"""Per dialect, the fields on which no answer depends. A dialect that is not here is not cached."""

STORED_PROMPT: Final = frozenset({"openai_chat", "openai_responses"})
"""Where `prompt` names a prompt that the vendor keeps and its owner may change."""

HEADERS: Final = ("anthropic-", "openai-", "x-goog-", "x-omniroute-", "x-gatewright-")
"""Request headers, by their beginnings, that may change an answer."""

IDLE_HEADERS: Final = frozenset({
    "x-omniroute-no-cache", "x-omniroute-progress", "x-omniroute-session", "x-gatewright-session", "x-omniroute-session-id",
    "x-gatewright-session-id", "x-goog-api-key",
    "x-goog-api-client",
})  # fmt: skip
"""Of those, the ones that do not."""

FUNCTIONS: Final = frozenset({"function", "custom"})


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """``exact`` is the digest of all that an answer depends on; ``context`` of all but ``text``, the last user text.

    ``text`` is None where the last turn is none of a user with exactly one text.
    """

    exact: str
    context: str
    text: str | None


def read_question(call: Call, owner: str, temperature: Temperature, tools: Tools) -> Question | None:
    """None where no answer may be given again. ``owner`` is whose answers these are: with the build, and perhaps a key."""
    protocol = call.codec.protocol
    irrelevant = IRRELEVANT.get(protocol)
    if irrelevant is None:
        return None
    try:
        body: dict[str, object] = {name: msgspec.json.decode(value) for name, value in call.envelope.fields.items()}
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    if not _may(protocol, body, temperature, tools):
        return None
    body = {name: value for name, value in body.items() if name not in irrelevant}
    head = msgspec.json.encode((
        owner, protocol, call.envelope.model, call.shown, call.envelope.stream, call.envelope.variant,
        sorted((name, value) for name, value in call.headers.items() if _counts(name)),
    ))  # fmt: skip
    exact = _digest(head, body)
    text = _take_text(protocol, body)
    return Question(exact=exact, context=_digest(head, body) if text is not None else exact, text=text)


def _digest(head: bytes, body: dict[str, object]) -> str:
    return hashlib.sha256(head + b"\n" + msgspec.json.encode(body, order="sorted")).hexdigest()


def _counts(name: str) -> bool:
    return name.startswith(HEADERS) and name not in IDLE_HEADERS


def _may(protocol: str, body: Mapping[str, object], temperature: Temperature, tools: Tools) -> bool:
    if depends_elsewhere(body) or (protocol in STORED_PROMPT and body.get("prompt")):
        return False
    if body.get("store") is not False if protocol == "openai_responses" else bool(body.get("store")):
        return False
    if protocol == "openai_responses" and _refers(body.get("input")):
        return False
    if temperature == "zero" and not _is_zero(protocol, body):
        return False
    return _tools_may(body, tools)


def _refers(given: object) -> bool:
    """Whether an item of Responses stands for one that its key has kept, whatever that is by now."""
    items = map(_object, _list(given) or [given])
    return any(item.get("type") == "item_reference" or _is_bare(item) for item in items)


def _is_bare(item: Mapping[str, object]) -> bool:
    """A reference may go without its type."""
    return item.get("type") is None and item.get("role") is None and item.get("id") is not None


def _is_zero(protocol: str, body: Mapping[str, object]) -> bool:
    place: Mapping[str, object] = body
    if protocol == "gemini":
        place = _object(body.get("generationConfig", body.get("generation_config")))
    elif protocol.startswith("ollama_"):
        place = _object(body.get("options"))
    value = place.get("temperature")
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _tools_may(body: Mapping[str, object], tools: Tools) -> bool:
    """Whether the tools on offer allow that an answer is given again."""
    offered = body.get("tools")
    if not offered and not body.get("functions"):
        return True
    if tools == "none" or not isinstance(offered or [], list):
        return False
    return all(_is_clients(_object(tool)) for tool in _list(offered))


def _is_clients(tool: Mapping[str, object]) -> bool:
    """Whether the client runs it: a function of Chat, Responses, Messages or Gemini."""
    if "functionDeclarations" in tool or "function_declarations" in tool:
        return len(tool) == 1
    return tool.get("type") in FUNCTIONS or ("type" not in tool and "input_schema" in tool)


# -- the last user text


def _take_text(protocol: str, body: dict[str, object]) -> str | None:
    """The last user text, which is None in ``body`` afterwards. Nothing changes where there is none, or more than one."""
    if protocol in {"openai_completions", "ollama_generate"}:
        return _take(body, "prompt")
    if protocol == "openai_responses" and isinstance(body.get("input"), str):
        return _take(body, "input")
    name = {"openai_responses": "input", "gemini": "contents"}.get(protocol, "messages")
    turns = _list(body.get(name))
    last = _object(turns[-1]) if turns else {}
    if last.get("role", "user" if protocol == "gemini" else "") != "user":
        return None
    content_name = "parts" if protocol == "gemini" else "content"
    content = last.get(content_name)
    if isinstance(content, str):
        return _take(last, content_name)
    texts = [part for part in map(_object, _list(content)) if "text" in part]
    return _take(texts[0], "text") if len(texts) == 1 else None


def _object(value: object) -> dict[str, object]:
    """A JSON object as it is; an empty one in place of anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _take(place: dict[str, object], name: str) -> str | None:
    text = place.get(name)
    if not isinstance(text, str):
        return None
    place[name] = None
    return text
