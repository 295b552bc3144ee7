"""A canonical answer to the complete answer a Chat client gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from runtime.canonical import (
    Base64Source,
    Choice,
    Citation,
    Image,
    Native,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    UrlSource,
)
from runtime.protocols.base import Answer
from runtime.protocols.openai_chat.finish import write_finish
from runtime.protocols.openai_chat.reasoning import PROTOCOL, write_details
from runtime.protocols.openai_chat.request import LEGACY_FIELDS
from runtime.protocols.openai_chat.signature import before_calls, extra_for_client
from runtime.protocols.openai_chat.usage import write_usage

__all__ = ["annotation_json", "image_json", "is_legacy", "json", "tier_json", "write_response"]

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_TIER_WORDS: Final = {"standard": "default", "batch": "flex"}
"""Tiers that another vendor's answers name, in the words that the vendor's SDK types allow."""

json: Final = msgspec.json.Encoder().encode


def write_response(response: Response, answer: Answer) -> bytes:
    """The model's name is the one the client asked for, the id the gateway's."""
    legacy = is_legacy(answer)
    choices = b",".join([_choice(choice, index, legacy=legacy) for index, choice in enumerate(response.choices)])
    more = b""
    if response.extensions:
        kept = response.extensions.get(PROTOCOL, {})
        more = b"".join([b',"%b":%b' % (name.encode(), bytes(value)) for name, value in kept.items()])
    return b'{"id":"chatcmpl-%b","object":"chat.completion","created":%d,"model":%b,"choices":[%b],"usage":%b%b%b}' % (
        answer.id.encode(), response.created or answer.created, json(answer.model), choices,
        write_usage(response.usage), tier_json(response.service_tier), more,
    )  # fmt: skip


def is_legacy(answer: Answer) -> bool:
    """The client knows functions and no tools: its one call comes as ``function_call``."""
    request = answer.request
    if request is None or not request.extensions:
        return False
    return not LEGACY_FIELDS.isdisjoint(request.extensions.get(PROTOCOL, {}))


def tier_json(tier: str | None) -> bytes:
    """The member with the comma before it; nothing for a tier that Chat does not know."""
    if tier is None:
        return b""
    word = _TIER_WORDS.get(tier, tier)
    return b',"service_tier":%b' % json(word) if word in _TIERS else b""


def annotation_json(citation: Citation, start: int, end: int) -> bytes:
    """A page as Chat cites it. ``start`` and ``end``: the text that the page stands behind, if the citation is silent."""
    page = {
        "start_index": start if citation.start is None else citation.start,
        "end_index": end if citation.end is None else citation.end,
        "title": citation.title or "",
        "url": citation.url or "",
    }
    return b'{"type":"url_citation","url_citation":%b}' % json(page)


def image_json(image: Image) -> bytes | None:
    """A generated image, as compatible servers show it beside the text; None for a vendor's file."""
    match image.source:
        case Base64Source(media_type=media_type, data=data):
            url = f"data:{media_type};base64,{data}"
        case UrlSource(url=url):
            pass
        case _:
            return None
    return b'{"type":"image_url","image_url":%b}' % json({"url": url})


class _Said:
    """What an answer holds, by kinds."""

    __slots__ = ("calls", "other", "refusals", "texts", "thinking")

    def __init__(self, content: tuple[Part, ...]) -> None:
        self.texts: list[Text] = []
        self.refusals: list[str] = []
        self.thinking: list[Reasoning] = []
        self.calls: list[ToolCall] = []
        self.other: list[Part] = []
        for part in content:
            match part:
                case Text():
                    self.texts.append(part)
                case Refusal():
                    self.refusals.append(part.text)
                case Reasoning():
                    self.thinking.append(part)
                case ToolCall():
                    self.calls.append(part)
                case _:
                    self.other.append(part)


def _choice(choice: Choice, index: int, *, legacy: bool) -> bytes:
    said = _Said(choice.content)
    finish = write_finish(choice.finish, calls=bool(said.calls), refused=bool(said.refusals))
    if legacy and finish == "tool_calls":
        finish = "function_call"
    logprobs = b"null" if choice.logprobs is None else b'{"content":%b,"refusal":null}' % choice.logprobs.encode()
    return b'{"index":%d,"message":%b,"logprobs":%b,"finish_reason":"%b"}' % (
        index, _message(choice.content, said, legacy=legacy), logprobs, finish.encode(),
    )  # fmt: skip


def _message(content: tuple[Part, ...], said: _Said, *, legacy: bool) -> bytes:
    texts, calls = said.texts, said.calls
    text = json("".join([part.text for part in texts])) if texts else b"null"
    refusal = json("".join(said.refusals)) if said.refusals else b"null"
    pieces = [b'{"role":"assistant","content":%b,"refusal":%b' % (text, refusal)]
    if said.thinking:
        pieces += _thinking(said.thinking)
    annotations = _annotations(texts)
    if annotations:
        pieces.append(b',"annotations":[%b]' % b",".join(annotations))
    if calls and legacy:
        pieces.append(b',"function_call":%b' % json({"name": calls[0].name, "arguments": calls[0].arguments}))
    elif calls:
        pieces.append(
            b',"tool_calls":[%b]' % b",".join([_call(call, before) for call, before in before_calls(content)])
        )
    if said.other:
        pieces += _beside(said.other)
    return b"".join((*pieces, b"}"))


def _beside(other: list[Part]) -> list[bytes]:
    """Images and sound."""
    images = [shown for part in other if isinstance(part, Image) and (shown := image_json(part))]
    pieces = [b',"images":[%b]' % b",".join(images)] if images else []
    sound = [part.json for part in other if isinstance(part, Native) and _is_audio(part)]
    return [*pieces, *[b',"audio":%b' % json.encode() for json in sound]]


def _is_audio(part: Native) -> bool:
    return part.protocol == PROTOCOL and part.block == "audio"


def _thinking(parts: list[Reasoning]) -> list[bytes]:
    text = "".join(part.text for part in parts)
    details = write_details(parts, foreign=True)
    shown = [b',"reasoning_content":%b' % json(text)] if text else []
    return [*shown, b',"reasoning_details":%b' % json(details)] if details else shown


def _annotations(texts: Sequence[Text]) -> list[bytes]:
    annotations: list[bytes] = []
    start = 0
    for part in texts:
        end = start + len(part.text)
        if part.citations:
            annotations += [annotation_json(citation, start, end) for citation in part.citations if citation.url]
        start = end
    return annotations


def _call(call: ToolCall, before: Reasoning | None) -> bytes:
    kind, field = (b"custom", "input") if call.custom else (b"function", "arguments")
    extra = extra_for_client(before) if before else None
    return b'{"id":%b,"type":"%b","%b":%b%b}' % (
        json(call.id), kind, kind, json({"name": call.name, field: call.arguments}),
        b',"extra_content":%b' % extra if extra else b"",
    )  # fmt: skip
