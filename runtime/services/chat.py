"""OpenAI Chat Completions."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Final

from runtime.services.inference import Inference
from runtime.web.exchange import Exchange

__all__ = ["Chat"]


class Chat:
    """Implements `generated.api.chat.ChatService`."""

    PROTOCOL: Final = "openai_chat"

    def __init__(self, inference: Inference) -> None:
        self._chat = inference.chat(self.PROTOCOL)

    def create_chat_completion(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._chat(exchange)
