"""OpenAI's Responses, as clients speak it and as providers do."""

from runtime.protocols.openai_responses.codec import OpenAIResponses
from runtime.protocols.openai_responses.losses import LOSSES

__all__ = ["LOSSES", "OpenAIResponses"]
