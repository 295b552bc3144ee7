"""OpenAI Chat Completions."""

from __future__ import annotations

from typing import Final

from runtime.services.inference import Inference
from runtime.web.exchange import Exchange

__all__ = ["Chat"]


class Chat:
    """Implements `generated.api.chat.ChatService`."""

    PROTOCOL: Final = "openai_chat"

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def create_chat_completion(self, exchange: Exchange) -> None:
        await self._inference.chat(exchange, self.PROTOCOL)
