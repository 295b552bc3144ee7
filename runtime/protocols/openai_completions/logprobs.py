"""Chat's log probabilities of tokens in the columns in which Completions has them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.errors import UpstreamProtocolError

__all__ = ["write_logprobs"]


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    logprob: float | None = None
    top_logprobs: list[_Likely] | None = None


class _Likely(msgspec.Struct, frozen=True):
    token: str
    logprob: float


_TOKENS: Final = msgspec.json.Decoder(list[_Token])


def write_logprobs(inside: str, offset: int) -> tuple[bytes, int]:
    """The columns for the tokens in ``inside`` (of Chat's list), and where the next token begins.

    ``offset`` is where the first one begins, in characters of the choice's text. Raises UpstreamProtocolError: the list is
    the provider's own, and nobody has looked into it yet.
    """
    try:
        tokens = _TOKENS.decode(f"[{inside}]")
    except (msgspec.DecodeError, RecursionError) as error:
        raise UpstreamProtocolError(f"The provider's log probabilities cannot be read: {error}.") from None
    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    columns: dict[str, Any] = {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{likely.token: likely.logprob for likely in token.top_logprobs or ()} for token in tokens],
        "text_offset": offsets,
    }
    return msgspec.json.encode(columns), offset
