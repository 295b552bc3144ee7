"""Several prompts in one request: a call for each, whose choices are numbered through as if one call had made them all.

A prompt's choices have the numbers from its place times ``n`` on, whatever comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from typing_extensions import override

from runtime.canonical import Response, Usage
from runtime.errors import InvalidRequest
from runtime.protocols.base import Answer, Envelope, StreamEncoder
from runtime.protocols.openai_chat.finish import DONE
from runtime.protocols.openai_chat.usage import write_usage
from runtime.protocols.openai_completions.answer import CompletionEncoder, Share, write_choices, write_head
from runtime.protocols.openai_completions.codec import OpenAICompletions

__all__ = ["PromptCodec", "join_answers", "split_prompts", "write_stream_end"]

_SEVERAL: Final = msgspec.json.Decoder(list[str])
_ENCODE: Final = msgspec.json.Encoder().encode


class PromptCodec(OpenAICompletions):
    """The dialect for the call of one prompt: what it writes is that prompt's share of the answer."""

    def __init__(self, share: Share) -> None:
        self._share = share

    @override
    def encode_response(self, response: Response, answer: Answer) -> bytes:
        return write_choices(response, answer, self._share)

    @override
    def stream_encoder(self, answer: Answer) -> StreamEncoder:
        return CompletionEncoder(answer, self._share)


def split_prompts(envelope: Envelope, most: int) -> tuple[Envelope, ...]:
    """One request per prompt, in order. Raises InvalidRequest for more than ``most``, or an empty one among several.

    A request that has one prompt, or what is no list of texts, comes back alone as it is.
    """
    try:
        prompts = _SEVERAL.decode(envelope.fields.get("prompt", b""))
    except (msgspec.DecodeError, RecursionError):
        return (envelope,)
    if len(prompts) < 2:
        return (envelope,)
    if len(prompts) > most:
        message = f"The field 'prompt' holds {len(prompts)} prompts; at most {most} are taken in one request."
        raise InvalidRequest(message, param="prompt", code="array_above_max_length")
    if "" in prompts:
        message = f"The field 'prompt' must not hold an empty prompt, as it does at {prompts.index('')}."
        raise InvalidRequest(message, param="prompt", code="invalid_value")
    return tuple(_with_prompt(envelope, prompt) for prompt in prompts)


def join_answers(shares: Iterable[bytes], usage: Usage, answer: Answer) -> bytes:
    """The whole answer of what `PromptCodec` wrote for each prompt."""
    choices = b",".join(share for share in shares if share)
    return b'%b"choices":[%b],"usage":%b}' % (write_head(answer, answer.created), choices, write_usage(usage))


def write_stream_end(usage: Usage, answer: Answer) -> bytes:
    """What ends a stream, once every prompt's share of it has ended."""
    if answer.request is None or not answer.request.include_usage:
        return DONE
    return b'data: %b"choices":[],"usage":%b}\n\n%b' % (write_head(answer, answer.created), write_usage(usage), DONE)


def _with_prompt(envelope: Envelope, prompt: str) -> Envelope:
    fields = {**envelope.fields, "prompt": msgspec.Raw(_ENCODE(prompt))}
    return msgspec.structs.replace(envelope, fields=fields, body=_ENCODE(fields))
