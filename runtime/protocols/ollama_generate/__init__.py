"""Ollama's generate, as its clients speak it: one prompt, one answer. Providers are called in their chat protocol."""

from runtime.protocols.ollama_generate.codec import OllamaGenerate
from runtime.protocols.ollama_generate.losses import LOSSES

__all__ = ["LOSSES", "OllamaGenerate"]
