"""What a canonical answer loses on its way to a client of Ollama's generate, with the reason. Each line has a test.

The keys are field paths of canonical values; the reference page on translation is made from this table. The losses of
Ollama's chat are not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOSSES"]

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "choices.content.tool_call": "Generate knows no tools, so that none can be asked for.",
        "choices.content.image": "There is room for one picture in a line: of several the first is told.",
        "context": "Tokens of the answer are not given back; conversations are held by `/api/chat`.",
    }
)
