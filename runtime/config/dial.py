"""What is wrong with settings that can be changed while the gateway runs, beyond the bounds of each one.

The compiler says it of a configuration and the management of a change, in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from generated.config import BreakerSettings, RetrySettings

__all__ = ["Inverted", "inverted"]

_Path: TypeAlias = tuple[str, str]
Inverted: TypeAlias = tuple[tuple[_Path, _Path], str, str]
"""The two settings, what is wrong with them, and what to do."""


def inverted(retries: RetrySettings, breakers: BreakerSettings) -> Iterator[Inverted]:
    """Times that begin above what they grow to."""
    if retries.backoff_ms > retries.max_backoff_ms:
        yield _inverted("retries", "backoff", retries.backoff_ms, retries.max_backoff_ms)
    if breakers.open_for_ms > breakers.max_open_for_ms:
        yield _inverted("breakers", "open_for", breakers.open_for_ms, breakers.max_open_for_ms)


def _inverted(section: str, name: str, begins_ms: int, ends_ms: int) -> Inverted:
    most = f"max_{name}"
    message = f"{name} ({begins_ms / 1000:g}s) is longer than {most} ({ends_ms / 1000:g}s), which it grows to"
    return ((section, name), (section, most)), message, f"raise `{most}` or lower `{name}`"
