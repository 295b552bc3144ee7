"""What stands where a vendor does not take it, moved behind as the user's: images and the like in the model's own turns and in instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from runtime.canonical import Audio, Document, Image, Message, Part, Text

__all__ = ["instructed_in_words", "shown_by_user"]

_INSTRUCTIONS: Final = frozenset({"system", "developer"})
_MEDIA: Final = (Image, Document, Audio)
_BELONGS: Final = "What belongs to these instructions:"
_SHOWN: Final = "What you made in your last turn:"


def shown_by_user(
    messages: Sequence[Message], kinds: tuple[type[Image | Document], ...] = (Image, Document)
) -> tuple[Message, ...]:
    """``messages`` with parts of ``kinds`` taken out of the model's turns; the user shows them next.

    They follow the turn, behind the results of its calls, which must not be parted from it.
    """
    moved: list[Message] = []
    waiting: list[Message] = []
    for message in messages:
        if message.role != "tool":
            moved += waiting
            waiting = []
        made = _made(message, kinds) if message.role == "assistant" else ()
        if made:
            waiting = [Message(role="user", content=(Text(text=_SHOWN), *made))]
            rest = tuple(part for part in message.content if not isinstance(part, kinds))
            moved.append(msgspec.structs.replace(message, content=rest))
        else:
            moved.append(message)
    return (*moved, *waiting)


def instructed_in_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """``messages`` with images, documents and sound taken out of instructions; the user shows them right behind.

    Those of the instructions at the front follow them all, so that these stay at the front.
    """
    for message in messages:
        if message.role in _INSTRUCTIONS:
            for part in message.content:
                if isinstance(part, _MEDIA):
                    return _in_words(messages)
    return tuple(messages)


def _in_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    front = next((at for at, message in enumerate(messages) if message.role not in _INSTRUCTIONS), len(messages))
    moved: list[Message] = []
    waiting: list[Part] = []
    for count, message in enumerate(messages, 1):
        if message.role not in _INSTRUCTIONS:
            moved.append(message)
            continue
        words = tuple(part for part in message.content if not isinstance(part, _MEDIA))
        moved.append(msgspec.structs.replace(message, content=words))
        waiting += [part for part in message.content if isinstance(part, _MEDIA)]
        if waiting and count >= front:
            moved.append(Message(role="user", content=(Text(text=_BELONGS), *waiting)))
            waiting = []
    return tuple(moved)


def _made(message: Message, kinds: tuple[type[Image | Document], ...]) -> tuple[Part, ...]:
    return tuple(part for part in message.content if isinstance(part, kinds))
