"""Google's Gemini API: `generateContent` and `streamGenerateContent`."""

from runtime.protocols.gemini.codec import Gemini
from runtime.protocols.gemini.losses import LOSSES

__all__ = ["LOSSES", "Gemini"]
