"""People's passwords: argon2id, and what a new one has to be. Slow on purpose; whoever serves calls does it in a thread.

How hard it is follows RFC 9106, section 4, its second choice, in one lane: one core is busy with it for a moment and the
others serve on.
"""

from __future__ import annotations

import re
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from runtime.errors import InvalidRequest

__all__ = [
    "MAX_PASSWORD",
    "MIN_PASSWORD",
    "demand_good_name",
    "demand_good_password",
    "hash_password",
    "password_matches",
]

MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 200

_TIME: Final = 3
_MEMORY_KIB: Final = 64 << 10

_DECOY: Final = "$argon2id$v=19$m=65536,t=3,p=1$Z2F0ZXdyaWdodC1ub2JvZHk$SQd0t5cJ7pHYGVTZQ5d5yZ8xqT7l1N9sU0mR2vWb4kE"
"""Nobody's hash: comparing with it takes as long as comparing with somebody's."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_KNOWN: Final = frozenset({"changeme", "password", "admin", "administrator", "gatewright", "omniroute", "letmein"})


def demand_good_name(name: str, field: str = "name") -> None:
    """Raises InvalidRequest for what cannot be somebody's name."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"`{field}` is letters, digits, `.`, `_`, `@`, `+` and `-`, 100 at most", param=field)


def demand_good_password(plain: str, field: str = "password") -> None:
    """Raises InvalidRequest for one that is too short or too long, or a word from every list repeated."""
    if not MIN_PASSWORD <= len(plain) <= MAX_PASSWORD:
        message = f"`{field}` needs {MIN_PASSWORD} to {MAX_PASSWORD} characters, and has {len(plain)}"
        raise InvalidRequest(message, param=field)
    rest = plain.lower()
    for word in _KNOWN:
        rest = rest.replace(word, "")
    if len(set(rest)) < 4:
        raise InvalidRequest(f"`{field}` is one that is tried first; take a longer sentence", param=field)


def hash_password(plain: str) -> str:
    """What is stored of a password; another salt each time."""
    return _hasher().hash(plain)


def password_matches(stored: str | None, plain: str) -> bool:
    """Whether it is the one; with None it never is, and takes as long."""
    try:
        _hasher().verify(_DECOY if stored is None else stored, plain)
    except (Argon2Error, InvalidHashError):
        return False
    return stored is not None


def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=_TIME, memory_cost=_MEMORY_KIB, parallelism=1)
