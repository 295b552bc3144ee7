"""OpenAI's embeddings."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Final

from runtime.services.inference import Inference
from runtime.web.exchange import Exchange

__all__ = ["Embeddings"]


class Embeddings:
    """Implements `generated.api.embeddings.EmbeddingsService`."""

    PROTOCOL: Final = "openai_embeddings"

    def __init__(self, inference: Inference) -> None:
        self._embed = inference.embed(self.PROTOCOL)

    def create_embeddings(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._embed(exchange)
