"""What a model made and its vendor takes only from users: images and documents in the model's own turns, moved behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from runtime.canonical import Document, Image, Message, Part, Text

__all__ = ["shown_by_user"]

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


def _made(message: Message, kinds: tuple[type[Image | Document], ...]) -> tuple[Part, ...]:
    return tuple(part for part in message.content if isinstance(part, kinds))
