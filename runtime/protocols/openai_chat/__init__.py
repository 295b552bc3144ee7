"""OpenAI's Chat Completions, as clients speak it and as providers do."""

from runtime.protocols.openai_chat.codec import OpenAIChat
from runtime.protocols.openai_chat.losses import LOSSES

__all__ = ["LOSSES", "OpenAIChat"]
