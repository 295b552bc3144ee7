"""Canonical messages to this protocol's turns.

The vendor's rules, each kept here: instructions that come first are the system prompt; results of tools stand first in
the user turn behind the call, all in one turn; neighbours of one role are one turn; no turn and no text is empty; a
conversation begins with the user and, where the model cannot continue a text, ends with the user. Thinking goes back
only under this protocol's own seal, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from generated.types.anthropic_messages import (
    DocumentBlock,
    ImageBlock,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from runtime.canonical import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from runtime.errors import InvalidRequest
from runtime.protocols.anthropic_messages.cache import control
from runtime.protocols.anthropic_messages.media import document_block, image_block
from runtime.protocols.anthropic_messages.pairing import pair
from runtime.protocols.anthropic_messages.wire import PROTOCOL, compact_object
from runtime.protocols.free_text import wrapped
from runtime.protocols.shown import instructed_in_words, shown_by_user
from runtime.protocols.tool_name import WordRule, fit

__all__ = ["Block", "Prompt", "Turn", "write_prompt"]

Block: TypeAlias = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | msgspec.Raw
)
WireRole = Literal["user", "assistant", "system"]

_INSTRUCTIONS: Final = (TextBlock, msgspec.Raw)
IDS: Final = WordRule(chars="a-zA-Z0-9_-", max_chars=128)

_OPENING: Final = "Begin."
_GO_ON: Final = "Go on exactly where your last message ends."


class Turn(msgspec.Struct):
    role: WireRole
    content: list[Block]


class Prompt(msgspec.Struct, frozen=True):
    """``losses`` names what of the messages the vendor cannot be told."""

    system: list[TextBlock | msgspec.Raw]
    turns: list[Turn]
    losses: tuple[str, ...] = ()


def write_prompt(
    messages: Sequence[Message],
    names: Mapping[str, str],
    *,
    system_anywhere: bool,
    prefill: bool,
    documents_by_model: bool = True,
    simple: bool = False,
) -> Prompt:
    """The whole prompt.

    Args:
        messages: canonical, in order.
        names: the client's tool names to the vendor's.
        system_anywhere: instructions may stand in mid-conversation; else they become the user's text, marked as such.
        documents_by_model: documents may stand in the model's own turns; else the user shows them next, like images.
        prefill: the model continues a last turn of its own; else it is asked to.
        simple: the messages are known to be texts alone (`words_alone`).

    Raises:
        InvalidRequest: a part cannot be said in this protocol and must not be left out: sound, a kind of image or file.
    """
    writer = _Writer(names)
    if not simple:
        messages = instructed_in_words(messages)
    leading = 0
    while leading < len(messages) and messages[leading].role in {"system", "developer"}:
        leading += 1
    system = [
        block
        for index, message in enumerate(messages[:leading])
        for block in writer.system(message.content, f"messages[{index}]")
    ]
    spoken: Sequence[Message] = messages[leading:]
    if not simple:
        spoken = shown_by_user(pair(spoken), (Image,) if documents_by_model else (Image, Document))
    for index, message in enumerate(spoken, leading):
        writer.add(message, f"messages[{index}]", system_anywhere=system_anywhere)
    return Prompt(
        system, _closed(writer.turns, prefill=prefill), tuple(dict.fromkeys(writer.losses)) if writer.losses else ()
    )


class _Writer:
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self.turns: list[Turn] = []
        self.losses: list[str] = []

    def add(self, message: Message, path: str, *, system_anywhere: bool) -> None:
        match message.role:
            case "system" | "developer":
                blocks: list[Block] = [*self.system(message.content, path)]
                if system_anywhere:
                    self._put("system", blocks)
                else:
                    self._put("user", [_marked(block) for block in blocks if isinstance(block, TextBlock)])
            case "assistant":
                self._put(
                    "assistant", _calls_last(self._blocks(message.content, path, said_by_model=True), message.content)
                )
            case "user" | "tool":
                self._put("user", self._blocks(message.content, path, said_by_model=False))

    def system(self, parts: Iterable[Part], path: str) -> list[TextBlock | msgspec.Raw]:
        blocks = self._blocks(parts, path, said_by_model=False)
        return [block for block in blocks if isinstance(block, _INSTRUCTIONS)]

    def _put(self, role: WireRole, blocks: list[Block]) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1].role == role and role != "system":
            self.turns[-1].content += blocks
        else:
            self.turns.append(Turn(role, blocks))

    def _blocks(self, parts: Iterable[Part], path: str, *, said_by_model: bool) -> list[Block]:
        blocks: list[Block] = []
        for index, part in enumerate(parts):
            match part:
                case Text():
                    block, whole = _text(part, said_by_model=said_by_model)
                    if block is not None:
                        blocks.append(block)
                    if not whole:
                        self.losses.append(f"{path}.content[{index}].citations")
                case Refusal(text=text):
                    blocks += [TextBlock(text=text)] if text.strip() else []
                case ToolCall():
                    blocks.append(self._call(part))
                case ToolResult():
                    blocks.append(self._result(part, f"{path}.content[{index}]"))
                case Reasoning():
                    blocks += self._thinking(part, f"{path}.content[{index}]")
                case Image() | Document() | Audio():
                    blocks.append(_media(part))
                case Native():
                    blocks += self._native(part, f"{path}.content[{index}]")
        return blocks

    def _call(self, call: ToolCall) -> ToolUseBlock:
        arguments = msgspec.Raw(wrapped(call.arguments).encode()) if call.custom else compact_object(call.arguments)
        block = ToolUseBlock(id=fit(call.id, IDS), name=self._names[call.name], input=arguments)
        if call.cache is not None:
            block.cache_control = control(call.cache)
        return block

    def _result(self, result: ToolResult, path: str) -> ToolResultBlock:
        block = ToolResultBlock(tool_use_id=fit(result.call_id, IDS))
        content = self._blocks(result.content, path, said_by_model=False)
        only = content[0] if len(content) == 1 else None
        if isinstance(only, TextBlock) and isinstance(only.cache_control, msgspec.UnsetType):
            block.content = only.text
        elif content:
            block.content = content  # type: ignore[assignment]  # a raw block is one of the union, as it came
        if result.is_error and not all(isinstance(each, TextBlock) for each in content):
            self.losses.append(f"{path}.is_error")  # the vendor takes nothing but texts beside it
        elif result.is_error is not None:
            block.is_error = result.is_error
        if result.cache is not None:
            block.cache_control = control(result.cache)
        return block

    def _thinking(self, part: Reasoning, path: str) -> list[Block]:
        if part.seal is None or part.sealed_by != PROTOCOL:
            self.losses.append(path)
            return []
        if part.redacted:
            return [RedactedThinkingBlock(data=part.seal)]
        return [ThinkingBlock(thinking=part.text, signature=part.seal)]

    def _native(self, part: Native, path: str) -> list[Block]:
        if part.protocol == PROTOCOL:
            return [msgspec.Raw(part.json.encode())]
        self.losses.append(path)
        return []


def _media(part: Image | Document | Audio) -> Block:
    if isinstance(part, Audio):
        raise InvalidRequest("This model does not take sound.", param="messages", code="unsupported_value")
    return image_block(part) if isinstance(part, Image) else document_block(part)


def _text(part: Text, *, said_by_model: bool) -> tuple[TextBlock | None, bool]:
    """The block, none for a blank text; and whether all citations stay, which the model's own words alone may have."""
    own = _own_citations(part) if said_by_model and part.citations else []
    whole = not part.citations or len(own) == len(part.citations)
    if not part.text or part.text.isspace():
        return None, whole
    block = TextBlock(text=part.text)
    if own:
        block.citations = [msgspec.Raw(msgspec.json.encode(fields)) for fields in own]
    if part.cache is not None:
        block.cache_control = control(part.cache)
    return block, whole


def _own_citations(part: Text) -> list[Mapping[str, msgspec.Raw]]:
    """Those that the vendor made itself, which alone it takes back."""
    own = [found.extensions[PROTOCOL] for found in part.citations if PROTOCOL in found.extensions]
    return [fields for fields in own if fields.get("encrypted_index") != msgspec.Raw(b'""')]


def _marked(block: TextBlock) -> TextBlock:
    """Instructions in mid-conversation, for a server that has no place for them: told apart from the user's words."""
    block.text = f"<system>\n{block.text}\n</system>"
    return block


def _calls_last(blocks: list[Block], parts: Sequence[Part]) -> list[Block]:
    """A block of the vendor's own tools between a call and its result would part them: calls then go last."""
    called = False
    for part in parts:
        if called and isinstance(part, Native):
            first: Callable[[Block], bool] = lambda block: isinstance(block, ToolUseBlock)  # noqa: E731
            return sorted(blocks, key=first)
        called = called or isinstance(part, ToolCall)
    return blocks


def _closed(turns: list[Turn], *, prefill: bool) -> list[Turn]:
    first = 0
    while first < len(turns) and turns[first].role == "system":
        first += 1
    if first == len(turns) or turns[first].role != "user":
        turns = [Turn("user", [TextBlock(text=_OPENING)]), *turns]
    last = turns[-1]
    if last.role == "assistant":
        if not prefill:
            turns.append(Turn("user", [TextBlock(text=_GO_ON)]))
        elif isinstance(final := last.content[-1], TextBlock):  # the vendor refuses a last text that ends in blanks
            final.text = final.text.rstrip()
    return turns
