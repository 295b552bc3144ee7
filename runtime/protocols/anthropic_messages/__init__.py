"""Anthropic Messages: `POST /v1/messages`, as clients speak it and as providers do."""

from runtime.protocols.anthropic_messages.codec import AnthropicMessages
from runtime.protocols.anthropic_messages.losses import LOSSES

__all__ = ["LOSSES", "AnthropicMessages"]
