"""What OpenAI's dialects are told of the person behind a request: a name of at most 64 characters.

So much the vendor takes for `safety_identifier`, which follows `user`; others refuse every request whose `user` is longer
than 128. A coding agent sends some 150: the ids of device, account and session as one JSON text. Unlike the repair of a
tool's name this keeps no piece of the old one, which may say whose device it is.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["end_user"]

_MOST_CHARS: Final = 64
"""As many as a SHA-256 has in hexadecimal."""


def end_user(user: str) -> str:
    """``user`` itself where it is short enough, else its hash: the same one every time, so that a vendor can tell users apart."""
    return user if len(user) <= _MOST_CHARS else hashlib.sha256(user.encode()).hexdigest()
