"""OpenAI's older text completions."""

from __future__ import annotations

from typing import Final

from runtime.gateway import Call
from runtime.protocols.base import Asked
from runtime.services.inference import Inference
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
        async def ask(call: Call) -> None:
            await self._inference.answer(exchange, call, await self._prompts.infer(call))

        await self._inference.serve(exchange, "chat", self.PROTOCOL, Asked(), ask)
