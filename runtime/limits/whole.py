"""A ledger that is not asked what was used before it is whole: else that could be used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.limits.reserves import Ledgered
from runtime.stores.base import StoreError
from runtime.stores.spending import Span, SpentRow

__all__ = ["WholeLedger"]


class WholeLedger:
    """``whole`` says whether ``ledger`` has what dead workers left behind."""

    def __init__(self, ledger: Ledgered, whole: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._whole = whole

    async def since(self, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]:
        """Raises StoreError, also before it is whole."""
        if not self._whole():
            raise StoreError("the ledger has not taken in yet what dead workers left behind")
        return await self._ledger.since(wanted)
