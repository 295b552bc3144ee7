"""A client's generate request to a canonical one: the prompt becomes what a user says.

What only makes sense to the runner of one model is refused by name where leaving it out would change what is asked: a
text behind the answer, a template, tokens of an earlier answer. So is a request without a prompt, by which clients load a
model before they use it: behind a gateway nothing needs to be loaded, and an answer would be one that no model gave.
"""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.ollama_generate import GenerateRequest
from runtime.canonical import Message, Request, Text
from runtime.errors import InvalidRequest
from runtime.protocols.base import Envelope
from runtime.protocols.complaint import read_body
from runtime.protocols.ollama_chat.conversation import read_words
from runtime.protocols.ollama_chat.request import read_settings

__all__ = ["PROTOCOL", "read_request"]

PROTOCOL: Final = "ollama_generate"

_KNOWN: Final = frozenset(GenerateRequest.__struct_encode_fields__)
_REQUEST: Final = msgspec.json.Decoder(GenerateRequest)


def read_request(envelope: Envelope) -> Request:
    """The whole request. Raises InvalidRequest that names the field at fault."""
    wire = read_body(_REQUEST, envelope)
    _refuse_untold(wire)
    asked = read_words(wire.prompt, wire.images, "images")
    if not asked:
        raise InvalidRequest(
            "The field 'prompt' must not be empty: a model needs not be loaded before it is used.",
            param="prompt",
            code="missing_required_parameter",
        )
    system = (Message(role="system", content=(Text(text=wire.system),)),) if wire.system else ()
    settings = read_settings(envelope.fields, wire.think, bool(wire.logprobs), wire.top_logprobs or 0)
    return Request(
        model=envelope.model,
        messages=(*system, Message(role="user", content=asked)),
        max_output_tokens=settings.max_output_tokens,
        stop=settings.stop,
        sampling=settings.sampling,
        top_logprobs=settings.top_logprobs,
        response_format=settings.response_format,
        reasoning=settings.reasoning,
        stream=envelope.stream,
        include_usage=envelope.stream,
        extensions=settings.extensions,
        unknown=tuple(name for name in envelope.fields if name not in _KNOWN),
    )


def _refuse_untold(wire: GenerateRequest) -> None:
    reasons = {
        "suffix": (wire.suffix, "models are asked to chat here, not to fill a gap in a text"),
        "template": (wire.template, "a model's template cannot be replaced for one request"),
        "raw": (wire.raw, "models are always asked through their template"),
        "context": (wire.context, "tokens of an earlier answer are not kept; send the conversation to /api/chat"),
    }
    for field, (value, reason) in reasons.items():
        if value:
            raise InvalidRequest(
                f"The field '{field}' is not supported: {reason}.", param=field, code="unsupported_value"
            )
