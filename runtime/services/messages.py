"""Anthropic Messages and its token count."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Final

from runtime.services.inference import Inference
from runtime.web.exchange import Exchange

__all__ = ["Messages"]


class Messages:
    """Implements `generated.api.messages.MessagesService`."""

    PROTOCOL: Final = "anthropic_messages"

    def __init__(self, inference: Inference) -> None:
        self._chat = inference.chat(self.PROTOCOL)
        self._count_tokens = inference.count_tokens(self.PROTOCOL)

    def create_message(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._chat(exchange)

    def count_message_tokens(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._count_tokens(exchange)
