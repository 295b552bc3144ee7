"""Log probabilities: the vendor's two lists, and Chat's one, in which canonical keeps them."""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.gemini import LogprobsCandidate, LogprobsResult, TopCandidates
from runtime.protocols.absent import present

__all__ = ["read_logprobs", "write_logprobs"]


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[_Token] = []


_TOKENS: Final = msgspec.json.Decoder(list[_Token])


def read_logprobs(given: LogprobsResult) -> str | None:
    """The inside of Chat's JSON list, None where there is nothing."""
    chosen = present(given.chosenCandidates) or []
    tops = present(given.topCandidates) or []
    tokens: list[_Token] = []
    for index, candidate in enumerate(chosen):
        top = tops[index] if index < len(tops) else TopCandidates()
        token = _token(candidate)
        token.top_logprobs = [_token(other) for other in present(top.candidates) or ()]
        tokens.append(token)
    return msgspec.json.encode(tokens).decode()[1:-1] if tokens else None


def write_logprobs(text: str) -> LogprobsResult | None:
    """From Chat's JSON list; None for what is none."""
    try:
        tokens = _TOKENS.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not tokens:
        return None
    result = LogprobsResult(chosenCandidates=[_candidate(token) for token in tokens])
    if any(token.top_logprobs for token in tokens):
        result.topCandidates = [
            TopCandidates(candidates=[_candidate(other) for other in token.top_logprobs]) for token in tokens
        ]
    return result


def _token(candidate: LogprobsCandidate) -> _Token:
    token = present(candidate.token) or ""
    return _Token(token, present(candidate.logProbability) or 0.0, list(token.encode("utf-8", "replace")))


def _candidate(token: _Token) -> LogprobsCandidate:
    return LogprobsCandidate(token=token.token, logProbability=token.logprob)
