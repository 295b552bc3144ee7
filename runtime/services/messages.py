"""Anthropic Messages and its token count."""

from __future__ import annotations

from typing import Final

from runtime.services.inference import Inference
from runtime.web.exchange import Exchange

__all__ = ["Messages"]


class Messages:
    """Implements `generated.api.messages.MessagesService`."""

    PROTOCOL: Final = "anthropic_messages"

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def create_message(self, exchange: Exchange) -> None:
        await self._inference.chat(exchange, self.PROTOCOL)

    async def count_message_tokens(self, exchange: Exchange) -> None:
        await self._inference.count_tokens(exchange, self.PROTOCOL)
