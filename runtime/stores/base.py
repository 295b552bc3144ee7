"""The topics of persistence: what each store is asked, whatever it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

__all__ = [
    "RUNNING",
    "Item",
    "ItemPage",
    "Key",
    "ResponseStore",
    "Status",
    "StoreError",
    "StoreGoneError",
    "StoreRefusedError",
    "StoredResponse",
]

Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

RUNNING: Final = frozenset({"queued", "in_progress"})
"""The states that end."""

Key: TypeAlias = tuple[str, str]
"""An owner, and the id of a response of theirs. Every owner has names of their own."""


class StoreError(Exception):
    """What the store runs on refused: a full disk, a lock that was never let go. Nothing the client could mend."""


class StoreGoneError(StoreError):
    """It does not answer: locked, full or gone. The database says so itself, once for each time."""


class StoreRefusedError(StoreError):
    """It answers, and does not take what it was brought: a value that it cannot hold, or a rule of its own is against a row."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a conversation. ``body`` is its JSON as it came; ``id`` is its name, whether or not ``body`` says it."""

    id: str
    body: bytes


class ItemPage(msgspec.Struct, frozen=True, kw_only=True):
    """``more``: others follow."""

    items: tuple[Item, ...]
    more: bool


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response as its client sees it in ``body``. Times are Unix seconds.

    ``lease_until_s``: by then whoever runs a background response has renewed its lease, or is dead.
    """

    owner: str
    id: str
    status: Status
    created_s: float
    body: bytes
    background: bool = False
    lease_until_s: float = 0.0

    @property
    def key(self) -> Key:
        return self.owner, self.id


class ResponseStore(Protocol):
    """Responses and the conversations they belong to. Another owner's response is like one that does not exist.

    Every method may raise StoreError. What returned has happened, and survives the death of the process.
    """

    async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
        """Keep a response with all it was asked (``context``: earlier turns too) and answered. Replaces one of its key."""
        ...

    async def get(self, key: Key) -> StoredResponse | None: ...

    async def conversation(self, key: Key) -> tuple[Item, ...] | None:
        """The context, then the output; None for an unknown response."""
        ...

    async def context(self, key: Key, *, limit: int, newest_first: bool, after: str | None) -> ItemPage | None:
        """A page of the context, behind the item with the id ``after``. None for an unknown response.

        Raises LookupError when the context has no such item.
        """
        ...

    async def item(self, owner: str, item_id: str) -> Item | None:
        """An item of any conversation of ``owner``; the latest of those with this id."""
        ...

    async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
        """Change a response that runs. False when it does not run any more, or is gone: the first end stands."""
        ...

    async def renew(self, keys: Iterable[Key], lease_until_s: float) -> frozenset[Key]:
        """Prolong the leases of responses that run. Returns those; the others ended or are gone."""
        ...

    async def delete(self, key: Key) -> bool:
        """Whether there was one. Items that other responses share stay with those."""
        ...

    async def sweep(self, before_s: float, max_bytes: int) -> int:
        """Delete responses made before ``before_s``, then the oldest until all take ``max_bytes`` at most; how many.

        One that runs stays, while somebody renews its lease.
        """
        ...
