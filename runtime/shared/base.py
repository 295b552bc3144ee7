"""What is asked of state that workers share, whatever it lies in: values that expire, and news that everybody hears.

Nothing here outlives its time to live, and losing all of it costs time, never an answer or money. A topic is a word of
ours; keys are made by us, of bounded length; values are bytes that their topic understands.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

__all__ = ["SHORT_BYTES", "News", "SharedError", "SharedState"]

SHORT_BYTES: Final = 512
"""Values up to so long say who is at work on what. Where there is too much, they are the last to go."""


class SharedError(Exception):
    """The state cannot be reached or written now. Nothing the client could mend; each topic declares what it does then."""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What was told in a topic since ``cursor`` was another one. Ask on with the new one."""

    cursor: int
    messages: tuple[bytes, ...]


class SharedState(Protocol):
    """Values by topic and key, each for ``ttl_s`` seconds. Every method raises SharedError.

    Every backend passes the same tests, `tests/shared/test_contract.py`.
    """

    async def get(self, topic: str, key: str) -> bytes | None:
        """The value, or None where there is none or its time is over."""
        ...

    async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        """Set the value, whatever was there."""
        ...

    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        """Set the value where there is none; else give the one that is there. One of all that ask at once gets None."""
        ...

    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        """Set the value if it is ``expected``; whether it was."""
        ...

    async def remove(self, topic: str, key: str, expected: bytes | None = None) -> bool:
        """Remove the value, if it is ``expected`` where that is given; whether it was there."""
        ...

    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        """Up to ``limit`` live entries whose keys begin with ``prefix``, in the order of their keys."""
        ...

    async def clear(self, topic: str, prefix: str = "") -> int:
        """Remove all entries whose keys begin with ``prefix``; how many there were."""
        ...

    async def tell(self, topic: str, message: bytes) -> None:
        """Let everybody who listens to ``topic`` know, themselves included. News are kept for a minute at least."""
        ...

    async def news(self, topic: str, cursor: int | None) -> News:
        """What was told after ``cursor``, in order; with None only where to begin. Cheap enough to ask four times a second."""
        ...

    async def aclose(self) -> None: ...
