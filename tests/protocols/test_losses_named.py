"""Every line of every codec's table of losses: what is dropped stands in `Outgoing.losses`, and what is not is said how.

`test_losses.py` of each protocol shows that a loss is real; here it is named to the client, at the place where it happens.
A line may only stay unnamed with a reason in `SAID_OTHERWISE`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from runtime.canonical import Request
from runtime.catalog import Limits, Model
from runtime.protocols import CODECS
from runtime.protocols.base import Outgoing
from tests.docs.translation import Loss
from tests.protocols.gemini.given import target as gemini_target
from tests.protocols.openai_chat.support import target as chat_target
from tests.support.each import each

MOVED = "What the model showed is shown by the user next."
WRAPPED = "The same words, in an object."
READ_AS = "The same words in another form."
ALWAYS = "It is done anyway."
SAID_OTHERWISE: Mapping[str, Mapping[str, str]] = {
    "anthropic_messages": {
        "messages.role.developer": READ_AS,
        "messages.content.text.blank": "Nothing was said.",
        "messages.content.refusal": READ_AS,
        "messages.content.image.by_model": MOVED,
        "messages.content.document.by_model": MOVED,
        "messages.content.search_result": READ_AS,
        "messages.content.tool_call.arguments": WRAPPED,
        "messages.content.tool_call.custom": WRAPPED,
        "messages.content.tool_result.name": "The call has the name.",
        "tools.strict": "What cannot be forced is told in descriptions.",
        "tools.custom": WRAPPED,
        "parallel_tool_calls": ALWAYS,
        "include_usage": ALWAYS,
    },
    "gemini": {
        "messages.role.developer": READ_AS,
        "messages.content.refusal": READ_AS,
        "messages.content.image.detail": "The model decides, as `auto` asks it to.",
        "messages.content.document.text": READ_AS,
        "messages.content.tool_call.custom": WRAPPED,
        "messages.content.tool_call.arguments": WRAPPED,
        "messages.content.tool_result.texts": "The same words, as one text.",
        "messages.content.tool_result.is_error": "What is no error is a result.",
        "messages.content.tool_result.image": MOVED,
        "tools.custom": WRAPPED,
        "tools.parameters": "What is not honoured is told in descriptions.",
        "tool_choice": "Only the tools of the subset are sent.",
        "reasoning.display": "Thinking is shown, as when nothing is said.",
        "include_usage": ALWAYS,
    },
    "ollama_chat": {
        "messages.role.developer": READ_AS,
        "messages.content.order": READ_AS,
        "messages.content.text.split": "The same words, as one text.",
        "messages.content.image.media_type": "The bytes tell it.",
        "messages.content.document.text": READ_AS,
        "messages.content.refusal": READ_AS,
        "messages.content.tool_call.custom": WRAPPED,
        "messages.content.tool_result.image": MOVED,
        "tools.parameters": "An empty object says that there are none.",
        "tools.custom": WRAPPED,
        "response_format.json_schema.strict": ALWAYS,
        "include_usage": ALWAYS,
    },
    "openai_chat": {
        "messages.content.image.by_model": MOVED,
        "messages.content.order": READ_AS,
        "messages.content.tool_result.is_error": "What is no error is a result.",
        "messages.content.tool_result.name": "The call has the name.",
        "messages.content.tool_result.image": MOVED,
        "messages.content.tool_call.arguments": WRAPPED,
        "messages.content.document.title": "A name was made up, none was lost.",
        "tools.custom": WRAPPED,
        "include_usage": ALWAYS,
    },
    "openai_responses": {
        "messages.content.tool_call.arguments": WRAPPED,
        "messages.content.tool_result.name": "The call has the name.",
        "messages.content.document.title": "A name was made up, none was lost.",
        "stop": "The gateway cuts the answer.",
        "include_usage": ALWAYS,
        "store": "Nothing was said.",
    },
}
"""Lines of requests of which nothing is dropped, with what becomes of it."""

NAMED_AS: Mapping[tuple[str, str], str] = {
    ("openai_chat", "tools.strict"): "tools.parameters.additionalProperties",
    ("openai_chat", "reasoning.mode"): "reasoning",
    ("openai_responses", "reasoning.mode"): "reasoning.budget_tokens",
}
"""Lines whose loss is named by the very field that is in the way."""

_INDEX = re.compile(r"\[\d+\]")
_NESTED = re.compile(r"(?:\.content)+")
_KIND = re.compile(r"^(messages\.content)\.(?:text|image|document|reasoning|tool_call|tool_result|native)(?=\.|$)")


def lines() -> Iterator[tuple[str, str]]:
    for protocol in CODECS:
        tests = table_of(protocol)
        for path in tests.LOSSES:
            if Loss(path, "", "").of_request and path not in getattr(tests, "REFUSED", {}):
                yield protocol, path


def table_of(protocol: str) -> ModuleType:
    return import_module(f"tests.protocols.{protocol}.test_losses")


def sent(protocol: str, path: str) -> Outgoing | None:
    """The request that shows the loss, to the target that suffers it; None where no request of the table does."""
    tests = table_of(protocol)
    request = tests.SHOWN.get(path)
    if not isinstance(request, Request):
        return None
    if protocol == "gemini":
        old = path in tests.BEFORE_GEMINI_3
        to = gemini_target("gemini-2.5-flash" if old else "gemini-3.5-flash", max_output=8192)
    elif protocol == "openai_chat":
        to = chat_target(Model(id="up-1", limits=Limits(max_output=8192)))
    else:
        to = getattr(tests, "THINKER", None) or tests.target()
    return CODECS[protocol]().encode_request(request, to, {})


def plain(path: str) -> str:
    """A place without its indexes, as deep inside results as outside of them, and without the kind of its part."""
    short = _NESTED.sub(".content", _INDEX.sub("", path)).replace("response_format.json_schema.", "response_format.")
    return _KIND.sub(r"\1", _KIND.sub(r"\1", short))


def named(path: str, losses: tuple[str, ...]) -> bool:
    """Whether a loss is ``path``, holds it, or is in it."""
    wanted = plain(path)
    return any(f"{wanted}.".startswith(f"{loss}.") or loss.startswith(f"{wanted}.") for loss in map(plain, losses))


@each(list(lines()))
def test_every_loss_is_named_or_said_otherwise(protocol: str, path: str) -> None:
    outgoing = sent(protocol, path)
    if path in SAID_OTHERWISE[protocol]:
        assert outgoing is None or not outgoing.losses
        return
    assert outgoing is not None
    assert named(NAMED_AS.get((protocol, path), path), outgoing.losses), outgoing.losses


def test_what_is_said_otherwise_is_a_line_of_the_table() -> None:
    known = set(lines())

    assert {(protocol, path) for protocol, said in SAID_OTHERWISE.items() for path in said} <= known
