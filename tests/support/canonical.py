"""Hypothesis strategies for canonical values, as any codec may meet them.

Values are *sound*: calls have results, names are names, texts are not empty. What a protocol cannot say is left out by
`without`, driven by the codec's own list of losses, not by narrower strategies.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

from runtime.canonical import (
    Base64Source,
    CacheMark,
    Choice,
    Delta,
    Document,
    Ended,
    Event,
    FileSource,
    Finish,
    Finished,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Response,
    Sampling,
    Started,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
    Usage,
    UsageReported,
)  # fmt: skip

__all__ = [
    "arguments",
    "cache_marks",
    "events_of",
    "messages",
    "names",
    "requests",
    "responses",
    "texts",
    "tools",
    "usages",
]

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=24).filter(
    lambda text: bool(text.strip())
)
"""Not blank: several vendors refuse blank texts."""

names = st.from_regex(r"[a-z][a-zA-Z0-9_-]{0,20}", fullmatch=True)
ids = st.from_regex(r"call_[a-zA-Z0-9]{4,12}", fullmatch=True)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0.5, -1.25, 1e30])
    | st.text('aé🌍"\\ ', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(names, json_values, max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
)
"""JSON objects as models write them: compact, big integers, non-ASCII text."""

cache_marks = st.sampled_from([None, None, CacheMark()])

images = st.builds(
    Image,
    source=st.builds(UrlSource, url=st.sampled_from(["https://example.com/cat.png", "https://example.com/d?x=1&y=2"]))
    | st.binary(min_size=1, max_size=12).map(
        lambda data: Base64Source(media_type="image/png", data=base64.b64encode(data).decode())
    ),
    detail=st.sampled_from([None, "low", "high"]),
)
documents = st.builds(
    Document,
    source=st.binary(min_size=1, max_size=12).map(
        lambda data: Base64Source(media_type="application/pdf", data=base64.b64encode(data).decode())
    )
    | st.just(FileSource(file_id="file_abc")),
    title=st.sampled_from([None, "report.pdf"]),
)
plain_texts = st.builds(Text, text=texts)
marked_texts = st.builds(Text, text=texts, cache=cache_marks)

schemas = st.sampled_from(
    [
        '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}',
        '{"type":"object","properties":{}}',
        '{"type":"object","properties":{"n":{"type":"integer"}}}',
    ]
)
tools = st.builds(
    Tool,
    name=names,
    description=st.none() | texts,
    parameters=schemas,
    strict=st.sampled_from([None, True, False]),
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """An assistant turn, with the results of its calls behind it."""
    parts: list[Any] = draw(st.lists(plain_texts, max_size=1))
    calls = draw(
        st.lists(st.builds(ToolCall, id=ids, name=names, arguments=arguments), max_size=3, unique_by=lambda c: c.id)
    )
    if not parts and not calls:
        parts = [draw(plain_texts)]
    out = [Message(role="assistant", content=(*parts, *calls))]
    if calls:
        results = tuple(
            ToolResult(
                call_id=call.id, name=call.name, content=tuple(draw(st.lists(plain_texts, min_size=1, max_size=2)))
            )
            for call in calls
        )
        out.append(Message(role="tool", content=results))
    return out


@st.composite
def messages(draw: st.DrawFn) -> tuple[Message, ...]:
    """A conversation: instructions first, user and assistant turns in order, ids unique."""
    out: list[Message] = []
    if draw(st.booleans()):
        out.append(Message(role="system", content=tuple(draw(st.lists(marked_texts, min_size=1, max_size=2)))))
    out.append(_user(draw))
    seen: set[str] = set()
    for _ in range(draw(st.integers(0, 2))):
        turn = draw(turns())
        calls = {part.id for part in turn[0].content if isinstance(part, ToolCall)}
        if calls & seen:
            continue
        seen |= calls
        out += turn
        out.append(_user(draw))
    return tuple(out)


def _user(draw: st.DrawFn) -> Message:
    parts = draw(st.lists(marked_texts | images | documents, min_size=1, max_size=3))
    return Message(role="user", content=tuple(parts))


def _choice(draw: st.DrawFn, known: tuple[Tool, ...]) -> ToolChoice | None:
    if not known:
        return None
    choices: list[ToolChoice | None] = [
        None, ToolMode(mode="auto"), ToolMode(mode="none"), ToolMode(mode="required"), NamedTool(name=known[0].name),
        ToolSubset(names=(known[0].name,), required=draw(st.booleans())),
    ]  # fmt: skip
    return draw(st.sampled_from(choices))


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([None, 0.0, 0.5, 1.0]),
    top_p=st.sampled_from([None, 0.0, 0.9, 1.0]),
)
"""What most protocols know; zero is zero."""


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request that says nothing only one protocol knows."""
    known = tuple(draw(st.lists(tools, max_size=3, unique_by=lambda tool: tool.name)))
    effort = draw(st.sampled_from([None, "low", "medium", "high"]))
    return Request(
        model="gpt-x",
        messages=draw(messages()),
        tools=known,
        tool_choice=_choice(draw, known),
        parallel_tool_calls=draw(st.sampled_from([None, False])) if known else None,
        max_output_tokens=draw(st.sampled_from([None, 1, 64, 4096])),
        stop=tuple(draw(st.lists(st.sampled_from(["END", "\n\n", "###"]), max_size=2, unique=True))),
        sampling=draw(samplings),
        response_format=draw(
            st.none() | st.just(JsonObject()) | st.builds(JsonSchema, schema=schemas, name=names, strict=st.just(True))
        ),
        reasoning=None if effort is None else ReasoningConfig(effort=effort),
        stream=draw(st.booleans()),
        user=draw(st.sampled_from([None, "u-1"])),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    output = draw(st.integers(0, 10**6))
    return Usage(
        input=draw(st.integers(0, 10**6)),
        output=output,
        cache_read=draw(st.integers(0, 10**6)),
        cache_write_5m=draw(st.integers(0, 10**6)),
        reasoning=draw(st.integers(0, output)),
    )


@st.composite
def responses(draw: st.DrawFn) -> Response:
    """An answer: thinking, text or a refusal, calls; the finish fits the content."""
    parts: list[Any] = []
    if draw(st.booleans()):
        parts.append(Reasoning(text=draw(texts)))
    refused = draw(st.integers(0, 7)) == 0
    parts += [Refusal(text=draw(texts))] if refused else draw(st.lists(plain_texts, max_size=1))
    calls = (
        []
        if refused
        else draw(
            st.lists(
                st.builds(ToolCall, id=ids, name=names, arguments=arguments), max_size=3, unique_by=lambda call: call.id
            )
        )
    )
    if calls:
        finish = Finish(reason=draw(st.sampled_from(["tool_calls", "tool_calls", "length"])))
    elif refused:
        finish = Finish(reason="refusal")
    else:
        finish = Finish(reason=draw(st.sampled_from(["stop", "length"])))
    return Response(
        id="r-1", model="gpt-x", created=1_795_219_200, usage=draw(usages()),
        choices=(Choice(content=(*parts, *calls), finish=finish),),
    )  # fmt: skip


def events_of(response: Response) -> list[Event]:
    """``response`` as a stream that says it in small pieces, in the order of the grammar."""
    events: list[Event] = [Started(id=response.id, model=response.model, created=response.created)]
    for number, choice in enumerate(response.choices):
        for index, part in enumerate(choice.content):
            events += _part_events(index, number, part)
        events.append(Finished(finish=choice.finish, choice=number))
    return [*events, UsageReported(usage=response.usage, service_tier=response.service_tier), Ended()]


def _part_events(index: int, choice: int, part: Any) -> list[Event]:
    match part:
        case Text(text=text):
            start: Any = Text(text="")
        case Reasoning(text=text):
            start = Reasoning(sealed_by=part.sealed_by, redacted=part.redacted)
        case Refusal(text=text):
            start = Refusal(text="")
        case Image() | Native():
            start, text = part, ""
        case _:
            start, text = ToolCall(id=part.id, name=part.name, custom=part.custom), part.arguments
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    seal = [Delta(index=index, seal=part.seal, choice=choice)] if isinstance(part, Reasoning) and part.seal else []
    return [
        PartStarted(index=index, part=start, choice=choice),
        *(Delta(index=index, text=piece, choice=choice) for piece in pieces),
        *seal,
        PartEnded(index=index, choice=choice),
    ]
