"""Ollama's chat, as clients speak it and as providers do."""

from runtime.protocols.ollama_chat.codec import OllamaChat
from runtime.protocols.ollama_chat.losses import LOSSES

__all__ = ["LOSSES", "OllamaChat"]
