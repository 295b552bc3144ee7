"""A client's completion request to a canonical one: the prompt becomes what a user says.

Refused by name is what a model that chats cannot be asked: a text behind the completion, tokens instead of words, and the
best of several. Several prompts are several requests (see `prompts`); here is one of them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from generated.types.openai_completions import CompletionRequest
from runtime.canonical import Message, Request, Sampling, Text
from runtime.errors import InvalidRequest
from runtime.protocols.absent import NULL
from runtime.protocols.base import Envelope
from runtime.protocols.complaint import read_body

__all__ = ["ECHO", "PROTOCOL", "prompt_of", "read_request"]

PROTOCOL: Final = "openai_completions"
ECHO: Final = "echo"
"""The form of an answer that begins with the prompt."""

_DEFAULT_MAX_TOKENS: Final = 16
"""The vendor's, where the client gives none."""

_KNOWN: Final = frozenset(CompletionRequest.__struct_encode_fields__)
_REQUEST: Final = msgspec.json.Decoder(CompletionRequest)
_PROMPT: Final[msgspec.json.Decoder[str | list[Any]]] = msgspec.json.Decoder(str | list[Any])


def read_request(envelope: Envelope) -> Request:
    """The whole request. Raises InvalidRequest that names the field at fault."""
    wire = read_body(_REQUEST, envelope)
    limit = wire.max_tokens
    choices = wire.n or 1
    if wire.suffix:
        raise _unsupported("suffix", "models are asked to chat here, not to fill a gap in a text")
    if (wire.best_of or choices) != choices:
        raise _unsupported("best_of", f"it must be {choices}, as many as completions are wanted")
    logprobs = None if wire.logprobs is msgspec.UNSET else wire.logprobs
    if logprobs is not None and wire.echo:
        raise _unsupported("logprobs", "those of a prompt that is echoed cannot be given")
    return Request(
        model=envelope.model,
        messages=(Message(role="user", content=(Text(text=_prompt(wire.prompt)),)),),
        max_output_tokens=limit if isinstance(limit, int) else _DEFAULT_MAX_TOKENS,
        stop=(wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
        sampling=Sampling(
            temperature=_said(wire.temperature),
            top_p=_said(wire.top_p),
            presence_penalty=_said(wire.presence_penalty),
            frequency_penalty=_said(wire.frequency_penalty),
            seed=_said(wire.seed),
            logit_bias=_said(wire.logit_bias),
        ),
        choices=choices,
        top_logprobs=logprobs,
        stream=envelope.stream,
        include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
        user=wire.user or None,
        unknown=tuple(name for name in envelope.fields if name not in _KNOWN),
    )


def prompt_of(request: Request | None) -> str:
    """What the client asked to be continued."""
    parts = request.messages[-1].content if request is not None and request.messages else ()
    return "".join(part.text for part in parts if isinstance(part, Text))


def _said(value: Any) -> Any:
    """None for what is absent; everything else as it is: zero counts."""
    return None if value is msgspec.UNSET else value


def _prompt(given: msgspec.Raw | msgspec.UnsetType) -> str:
    if not isinstance(given, msgspec.Raw) or given == NULL:
        raise InvalidRequest("The field 'prompt' is required.", param="prompt", code="missing_required_parameter")
    try:
        prompt = _PROMPT.decode(given)
    except (msgspec.DecodeError, RecursionError):
        raise _wrong_type() from None
    if isinstance(prompt, list):
        if any(isinstance(item, int | list) for item in prompt):
            raise _unsupported("prompt", "tokens cannot be turned back into words here; send a text")
        if len(prompt) > 1:
            raise _unsupported("prompt", f"{len(prompt)} prompts are {len(prompt)} calls; one is read at a time")
        prompt = prompt[0] if prompt else ""
    if not isinstance(prompt, str):
        raise _wrong_type()
    if not prompt:
        raise InvalidRequest("The field 'prompt' must not be empty.", param="prompt", code="invalid_value")
    return prompt


def _wrong_type() -> InvalidRequest:
    message = "The field 'prompt' must be a text, or a list that holds one."
    return InvalidRequest(message, param="prompt", code="invalid_type")


def _unsupported(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"The field '{field}' is not supported so: {reason}.", param=field, code="unsupported_value")
