"""A client's request to the canonical one. Runs only when a request is translated; pass-through never comes here.

A body that only counts tokens holds contents alone, or a whole request under `generateContentRequest`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import msgspec

from generated.types.gemini import GenerateContentRequest
from runtime.canonical import Request, ToolSubset
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.base import Envelope
from runtime.protocols.complaint import read_field
from runtime.protocols.gemini.config import read_config
from runtime.protocols.gemini.contents import read_contents, read_instructions
from runtime.protocols.gemini.spelling import spelled
from runtime.protocols.gemini.tools import read_tool_config, read_tools
from runtime.protocols.gemini.wire import PROTOCOL, Fields, raw_of

__all__ = ["decode_request"]

TIERS: Final = MappingProxyType({"standard": "default"})

_REQUEST: Final = msgspec.json.Decoder(GenerateContentRequest, strict=False)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_LABELS: Final = msgspec.json.Decoder(dict[str, str])
_TRANSLATED: Final = frozenset(
    {
        "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "store", "model",
    }
)  # fmt: skip
_OWN: Final = frozenset(
    {"safetySettings", "cachedContent", "labels", "continuationToken", "modelArmorConfig", "outputConfig"}
)
_WHOLE: Final = "generateContentRequest"


def decode_request(envelope: Envelope) -> Request:
    """Raises InvalidRequest that names the field at fault."""
    raw = _body(envelope)
    given = read_field(_REQUEST, raw, "")
    fields = {name: value for name, value in _OBJECT.decode(raw).items() if present(value) is not None}
    config = read_config(present(given.generationConfig))
    extensions: Fields = {name: value for name, value in fields.items() if name not in _TRANSLATED}
    if config.rest:
        extensions["generationConfig"] = raw_of(config.rest)
    tools = read_tools(present(given.tools) or (), extensions)
    choice = read_tool_config(present(given.toolConfig), extensions)
    if isinstance(choice, ToolSubset) and not tools:
        choice = None
    labels = present(given.labels)
    tier = present(given.serviceTier)
    return Request(
        model=envelope.model,
        messages=(*read_instructions(given.systemInstruction or None), *read_contents(given.contents)),
        tools=tools,
        tool_choice=choice,
        max_output_tokens=config.max_output_tokens,
        stop=config.stop,
        sampling=config.sampling,
        choices=config.choices,
        top_logprobs=config.top_logprobs,
        response_format=config.response_format,
        reasoning=config.reasoning,
        stream=envelope.stream,
        include_usage=envelope.stream,
        service_tier=TIERS.get(tier.lower(), tier.lower()) if tier and tier.lower() != "unspecified" else None,
        metadata={} if labels is None else read_field(_LABELS, labels, "labels"),
        store=present(given.store),
        extensions={PROTOCOL: extensions} if extensions else {},
        unknown=tuple(name for name in fields if name not in _TRANSLATED and name not in _OWN),
    )


def _body(envelope: Envelope) -> msgspec.Raw:
    """The request in one spelling."""
    body = msgspec.Raw(envelope.body) if envelope.body else raw_of(envelope.fields)
    try:
        body = spelled(body)
        fields = _OBJECT.decode(body)
    except RecursionError:
        raise InvalidRequest("The request body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None
    whole = present(fields.get(_WHOLE))
    return body if whole is None else whole
