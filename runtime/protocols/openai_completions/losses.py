"""What a canonical answer loses on its way to a Completions client, with the reason. Each line has a test.

The keys are field paths of canonical values; the reference page on translation is made from this table. What a request says
and no answer could keep is refused, not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOSSES"]

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "choices.content.text.split": "One answer's texts are joined.",
        "choices.content.text.citations": "A completion is plain text.",
        "choices.content.reasoning": "A completion has no place for thinking.",
        "choices.content.refusal": "A refusal is text like any other.",
        "choices.content.tool_call": "Completions know no tools, so that none can be asked for.",
        "choices.content.image": "A completion is plain text.",
        "choices.content.native": "Blocks of another protocol's server tools mean nothing to a Completions client.",
        "choices.finish.stop_sequence": "Completions do not say which stop text was met.",
        "choices.finish.category": "Completions have no category or explanation of a refusal.",
        "choices.logprobs.bytes": "Completions have tokens as texts only.",
        "usage.service_tier": "Completions have no tiers.",
        "usage.cache_write_1h": "Cache writes are counted in one number.",
        "usage.search_requests": "Searches are not counted.",
    }
)
