"""OpenAI's old Completions, as its clients speak it. Providers are called in their chat protocol."""

from runtime.protocols.openai_completions.codec import OpenAICompletions
from runtime.protocols.openai_completions.losses import LOSSES

__all__ = ["LOSSES", "OpenAICompletions"]
