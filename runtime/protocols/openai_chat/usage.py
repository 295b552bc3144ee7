"""Chat's token counts and the canonical ones. One function each way, for streams and complete answers alike."""

from __future__ import annotations

import msgspec

from generated.types.openai_chat import CompletionUsage
from runtime.canonical import Usage
from runtime.protocols.counts import billed_tier, count

__all__ = ["read_usage", "write_usage"]


def read_usage(wire: CompletionUsage, tier: str | msgspec.UnsetType | None) -> Usage:
    """Chat counts cached input inside ``prompt_tokens`` and thinking inside ``completion_tokens``; missing counts are 0.

    Slips of compatible servers are seen by their sums: cached tokens that exceed the prompt were counted beside it, and so were
    those by which the total exceeds its parts; thinking that the total holds but the completion does not (xAI). What else the total
    holds beyond them is thinking that is told nowhere else, as Google's is; and the prompt, where nothing is said of that.
    """
    prompt, output = count(wire.prompt_tokens), count(wire.completion_tokens)
    into, out = wire.prompt_tokens_details or None, wire.completion_tokens_details or None
    total = wire.total_tokens
    cached = (into and into.cached_tokens) or wire.prompt_cache_hit_tokens or wire.cached_tokens
    if not (
        cached
        or (into and (into.cache_write_tokens or into.audio_tokens or into.image_tokens))
        or (out and (out.reasoning_tokens or out.audio_tokens))
        or (out and (out.accepted_prediction_tokens or out.rejected_prediction_tokens))
        or (total and total > prompt + output)
    ):
        return Usage(input=prompt, output=output, tier=billed_tier(tier))
    cached, written = count(cached), count(into and into.cache_write_tokens)
    reasoning = count(out and out.reasoning_tokens)
    more = count(total) - prompt - output
    if more > 0 and not prompt:
        prompt, more = more, 0
    beside = more == cached + written
    if more > 0 and not beside and reasoning in {0, more}:
        reasoning = more
        output += more
    inside = not beside and cached + written <= prompt
    return Usage(
        input=prompt - cached - written if inside else prompt,
        output=output,
        cache_read=cached,
        cache_write_5m=written,
        reasoning=reasoning,
        audio_input=count(into and into.audio_tokens),
        audio_output=count(out and out.audio_tokens),
        image_input=count(into and into.image_tokens),
        accepted_prediction=count(out and out.accepted_prediction_tokens),
        rejected_prediction=count(out and out.rejected_prediction_tokens),
        tier=billed_tier(tier),
    )


def write_usage(usage: Usage) -> bytes:
    """The ``usage`` object: every count is there, zero where nothing is known."""
    images = b',"image_tokens":%d' % usage.image_input if usage.image_input else b""
    return (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d,"audio_tokens":%d%b},'
        b'"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":%d,'
        b'"accepted_prediction_tokens":%d,"rejected_prediction_tokens":%d}}'
    ) % (
        usage.total_input, usage.output, usage.total,
        usage.cache_read, usage.cache_write_5m + usage.cache_write_1h, usage.audio_input, images,
        usage.reasoning, usage.audio_output, usage.accepted_prediction, usage.rejected_prediction,
    )  # fmt: skip
