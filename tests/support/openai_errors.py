"""Errors as OpenAI's APIs tell them, whichever of them is called."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["TOKENS_PER_MINUTE", "envelope"]


def envelope(message: str = "m", type_: str | None = None, code: Any = None, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}}).encode()


TOO_LARGE_IN = "Request too large for m in organization o on tokens per min (TPM): Limit 3, Requested 4. The input or output tokens must be reduced."
TOO_LARGE_FOR = "Request too large for model `m` on tokens per minute (TPM): Limit 3, Requested 4"
REACHED = "Rate limit reached for m on tokens per min (TPM): Limit 3, Used 2, Requested 2."

TOKENS_PER_MINUTE = [
    (429, envelope(TOO_LARGE_IN, "tokens", "rate_limit_exceeded"), "context_length"),
    (413, envelope(TOO_LARGE_FOR, "tokens", "rate_limit_exceeded"), "context_length"),
    (429, envelope(REACHED, "tokens", "rate_limit_exceeded"), "rate_limit"),
]
"""Status, body and kind: what never fits into an account's minute, and what does not fit now."""
