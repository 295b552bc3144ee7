"""Token counts, both ways. One function each way, for streams and complete answers alike."""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.openai_responses import ResponseObject
from runtime.canonical import Usage
from runtime.protocols.counts import billed_tier, count, read_counted

__all__ = ["read_object", "read_usage", "search_json", "usage_json"]

_RESPONSE: Final = msgspec.json.Decoder(ResponseObject)


def read_object(data: bytes | msgspec.Raw) -> ResponseObject:
    """The response, whatever its counts are. Raises as a JSON decoder does."""
    try:
        return _RESPONSE.decode(data)
    except msgspec.ValidationError:
        counted = read_counted(_RESPONSE, bytes(data), ("usage",), ("tool_usage",))
        if counted is None:
            raise
        return counted


def read_usage(response: ResponseObject) -> Usage | None:
    """None where the answer has no counts. Cached input lies inside ``input_tokens``; missing counts are 0.

    Cached tokens that exceed the input were counted beside it: a slip of compatible servers.
    """
    wire = response.usage
    if not wire:
        return None
    total, into, out = count(wire.input_tokens), wire.input_tokens_details or None, wire.output_tokens_details or None
    cached, written = count(into and into.cached_tokens), count(into and into.cache_write_tokens)
    searches = response.tool_usage.web_search if response.tool_usage else None
    return Usage(
        input=total - cached - written if cached + written <= total else total,
        output=count(wire.output_tokens),
        cache_read=cached,
        cache_write_5m=written,
        reasoning=count(out and out.reasoning_tokens),
        search_requests=count(searches.num_requests) if searches else 0,
        tier=billed_tier(response.service_tier),
    )


def usage_json(usage: Usage) -> bytes:
    """The ``usage`` object: every count is there, zero where nothing is known."""
    return (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},'
        b'"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'
    ) % (
        usage.total_input, usage.cache_read, usage.cache_write_5m + usage.cache_write_1h,
        usage.output, usage.reasoning, usage.total,
    )  # fmt: skip


def search_json(usage: Usage) -> bytes:
    """The ``tool_usage`` member, with the comma before it; nothing where nothing was searched."""
    if not usage.search_requests:
        return b""
    images = (
        b'"image_gen":{"input_tokens":0,"input_tokens_details":{"image_tokens":0,"text_tokens":0},'
        b'"output_tokens":0,"total_tokens":0}'
    )
    return b',"tool_usage":{%b,"web_search":{"num_requests":%d}}' % (images, usage.search_requests)
