"""OpenAI's older text completions."""

from __future__ import annotations

from typing import Final

from runtime.services.inference import Adapt, Inference
from runtime.services.prompts import Prompts
from runtime.web.exchange import Exchange

__all__ = ["Completions"]


class Completions:
    """Implements `generated.api.completions.CompletionsService`."""

    PROTOCOL: Final = "openai_completions"

    def __init__(self, inference: Inference, prompts: Prompts) -> None:
        self._inference = inference
        self._prompts = prompts

    async def create_completion(self, exchange: Exchange) -> None:
        await self.create(exchange)

    async def create(self, exchange: Exchange, adapt: Adapt | None = None) -> None:
        """Complete texts; ``adapt`` is what else the path means."""
        await self._inference.chat(self.PROTOCOL, adapt=adapt, infer=self._prompts.infer)(exchange)
