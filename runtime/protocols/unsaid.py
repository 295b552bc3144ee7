"""What of a client's messages a dialect has no place for, by the paths that `Outgoing.losses` names.

The paths are those of the messages as the client sent them, before calls and results are paired and turns are moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from runtime.canonical import Document, JsonSchema, Message, ResponseFormat, Text, TextSource, ToolResult
from runtime.canonical import Part as Said

__all__ = ["labels", "unsaid", "words_alone"]


def unsaid(messages: Sequence[Message], fields: Iterable[str]) -> list[str]:
    """The places in ``messages`` where one of ``fields`` is set.

    A field is named as in a codec's table of losses, below `messages.content`: ``cache`` on any part, ``document.title``
    on one kind; ``name`` is the turn's own. What is said anyway is no loss: an image's detail that is `auto`, and title
    and context of a document that is a text, which stand before the text.
    """
    wanted = frozenset(fields)
    found: list[str] = []
    for index, message in enumerate(messages):
        if message.name is not None and "name" in wanted:
            found.append(f"messages[{index}].name")
        for place, part in enumerate(message.content):
            if type(part) is not Text or part.cache is not None or part.citations:  # a plain text sets nothing
                found += _of_part(part, f"messages[{index}].content[{place}]", wanted)
    return found


def words_alone(messages: Sequence[Message]) -> bool:
    """Whether ``messages`` are texts and nothing beside them: nothing to pair, to move or to mark, and nothing `unsaid`."""
    for message in messages:
        if message.name is not None or message.role == "tool":
            return False
        for part in message.content:
            if type(part) is not Text or part.cache is not None or part.citations:
                return False
    return True


def labels(wanted: ResponseFormat | None) -> Mapping[str, str | None]:
    """What a schema of answers is called and said to be for, which most dialects cannot be told; None for what is not said."""
    if not isinstance(wanted, JsonSchema):
        return {}
    return {"response_format.name": wanted.name, "response_format.description": wanted.description}


def _of_part(part: Said, path: str, wanted: frozenset[str]) -> list[str]:
    """Of one part, and of those inside a result."""
    found = [f"{path}.{field}" for field in _set(part) if field in wanted or _kind(part, field) in wanted]
    if isinstance(part, ToolResult):
        for index, inner in enumerate(part.content):
            found += _of_part(inner, f"{path}.content[{index}]", wanted)
    return found


def _set(part: Said) -> Iterator[str]:
    told = {"title", "context"} if isinstance(part, Document) and isinstance(part.source, TextSource) else set[str]()
    for field in ("cache", "citations", "detail", "title", "context"):
        value = getattr(part, field, None)
        if value and value != "auto" and field not in told:
            yield field


def _kind(part: Said, field: str) -> str:
    return f"{part.__struct_config__.tag}.{field}"
