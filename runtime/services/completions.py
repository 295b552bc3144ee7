"""OpenAI's older text completions."""

from __future__ import annotations

from typing import Final

from runtime.services.inference import Inference
from runtime.web.exchange import Exchange

__all__ = ["Completions"]


class Completions:
    """Implements `generated.api.completions.CompletionsService`."""

    PROTOCOL: Final = "openai_completions"

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def create_completion(self, exchange: Exchange) -> None:
        await self._inference.chat(exchange, self.PROTOCOL)
