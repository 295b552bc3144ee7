"""A store of responses in memory, as plain as can be: what the real one is compared with, and what services are tested on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from runtime.stores.base import RUNNING, Item, ItemPage, Key, ResponseStore, Status, StoredResponse


class Row(msgspec.Struct):
    response: StoredResponse
    context: tuple[Item, ...]
    output: tuple[Item, ...]
    number: int


class MemoryResponses(ResponseStore):
    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.puts = 0

    async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
        self.puts += 1
        self.rows[response.key] = Row(response, tuple(context), tuple(output), self.puts)

    async def get(self, key: Key) -> StoredResponse | None:
        return self.rows[key].response if key in self.rows else None

    async def conversation(self, key: Key) -> tuple[Item, ...] | None:
        return self.rows[key].context + self.rows[key].output if key in self.rows else None

    async def context(self, key: Key, *, limit: int, newest_first: bool, after: str | None) -> ItemPage | None:
        if key not in self.rows:
            return None
        items = self.rows[key].context[:: -1 if newest_first else 1]
        if after is not None:
            places = [place for place, item in enumerate(items) if item.id == after]
            if not places:
                raise LookupError(after)
            items = items[places[-1] + 1 :]
        return ItemPage(items=items[:limit], more=len(items) > limit)

    async def item(self, owner: str, item_id: str) -> Item | None:
        rows = sorted((row for key, row in self.rows.items() if key[0] == owner), key=lambda row: row.number)
        found = [item for row in rows for item in row.context + row.output if item.id == item_id]
        return found[-1] if found else None

    async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
        row = self.rows.get(key)
        if row is None or row.response.status not in RUNNING:
            return False
        row.response = msgspec.structs.replace(row.response, status=status, body=body)
        row.output = tuple(output)
        return True

    async def renew(self, keys: Iterable[Key], lease_until_s: float) -> frozenset[Key]:
        running = [key for key in keys if key in self.rows and self.rows[key].response.status in RUNNING]
        for key in running:
            row = self.rows[key]
            row.response = msgspec.structs.replace(row.response, lease_until_s=lease_until_s)
        return frozenset(running)

    async def delete(self, key: Key) -> bool:
        return self.rows.pop(key, None) is not None

    async def sweep(self, before_s: float, max_bytes: int) -> int:
        swept = 0
        for row in sorted(self.rows.values(), key=lambda row: (row.response.created_s, row.number)):
            runs, old = row.response.status in RUNNING, row.response.created_s < before_s
            if (row.response.lease_until_s < before_s and old) if runs else (old or self._bytes() > max_bytes):
                del self.rows[row.response.key]
                swept += 1
        return swept

    async def aclose(self) -> None:
        pass

    def _bytes(self) -> int:
        return sum(len(row.response.body) + 50 * len(row.context + row.output) for row in self.rows.values())
