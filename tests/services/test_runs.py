"""Runs in the background: how many, who stops them, who says that they live."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from typing_extensions import override

from runtime.errors import InvalidRequest, RateLimited
from runtime.services.runs import LEASE_S, Runs
from runtime.stores.base import Key, StoredResponse, StoreError
from tests.support.responses import MemoryResponses

A, B = ("anna", "resp_1"), ("ben", "resp_1")


async def running(store: MemoryResponses, *keys: Key) -> None:
    for owner, id_ in keys:
        response = StoredResponse(owner=owner, id=id_, status="in_progress", created_s=1.0, body=b"{}", background=True)
        await store.put(response, (), ())


class Work:
    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.go = asyncio.Event()
        self.how = ""

    async def __call__(self) -> None:
        try:
            await self.go.wait()
            self.how = "finished"
        except asyncio.CancelledError:
            self.how = "stopped"
            raise
        finally:
            self.ended.set()


def runs(store: MemoryResponses, faults: list[Exception] | None = None, limit: int = 5) -> Runs:
    return Runs(store, limit, lambda: 100.0, lambda error, _: (faults or []).append(error), poll_s=0.001)


async def test_a_run_that_another_process_ended_is_stopped_here() -> None:
    store, one, other = MemoryResponses(), Work(), Work()
    await running(store, A, B)
    here = runs(store)
    here.start(A, one())
    here.start(B, other())
    await store.set_status(A, "cancelled", b"{}")
    await one.ended.wait()

    assert (one.how, other.how) == ("stopped", "")
    await here.aclose()
    assert other.how == "stopped"


async def test_a_run_whose_response_was_deleted_is_stopped() -> None:
    store, work = MemoryResponses(), Work()
    await running(store, A)
    here = runs(store)
    here.start(A, work())
    await store.delete(A)
    await work.ended.wait()

    assert work.how == "stopped"
    await here.aclose()


async def test_a_run_renews_its_lease() -> None:
    store, work = MemoryResponses(), Work()
    await running(store, A)
    here = runs(store)
    here.start(A, work())
    while (await store.get(A)).lease_until_s == 0.0:  # type: ignore[union-attr]
        await asyncio.sleep(0)

    assert store.rows[A].response.lease_until_s == 100.0 + LEASE_S
    await here.aclose()


async def test_a_run_that_has_its_answer_is_not_stopped_any_more() -> None:
    store, work = MemoryResponses(), Work()
    await running(store, A)
    here = runs(store)
    here.start(A, work())
    await asyncio.sleep(0)
    here.let_finish(A)
    here.stop(A)
    work.go.set()
    await work.ended.wait()

    assert work.how == "finished"
    await here.aclose()


async def test_there_is_a_limit_and_room_again_below_it() -> None:
    store, first, second = MemoryResponses(), Work(), Work()
    await running(store, A, B)
    here = runs(store, limit=1)
    with here.place():
        here.start(A, first())
    with pytest.raises(RateLimited) as caught, here.place():
        pytest.fail("there is no place")
    assert caught.value.retry_after_s == 5
    first.go.set()
    await first.ended.wait()
    await asyncio.sleep(0)
    with here.place():
        here.start(B, second())
    await asyncio.sleep(0)

    await here.aclose()
    assert second.how == "stopped"


def test_where_none_are_made_nobody_is_told_to_come_again() -> None:
    here = runs(MemoryResponses(), limit=0)
    with pytest.raises(InvalidRequest, match="not made in the background here") as caught, here.place():
        pytest.fail("there is no place")

    assert ("background", "unsupported_parameter") == (caught.value.param, caught.value.code)
    here.configure(1)
    with here.place():
        pass


def test_a_place_counts_from_when_it_is_taken_and_comes_back_unused() -> None:
    here = runs(MemoryResponses(), limit=2)
    with suppress(StoreError), here.place():
        raise StoreError("full")

    with here.place(), here.place(), pytest.raises(RateLimited), here.place():
        pytest.fail("there is no place")
    with here.place(), here.place():
        pass


async def test_a_store_that_fails_for_a_while_stops_no_run() -> None:
    class Sick(MemoryResponses):
        asked = 0

        @override
        async def renew(self, keys: object, lease_until_s: float) -> frozenset[Key]:
            self.asked += 1
            if self.asked < 3:
                raise StoreError("locked")
            return frozenset({A})

    store, work = Sick(), Work()
    here = Runs(store, 5, lambda: 1.0, lambda *_: None, poll_s=0.001)
    here.start(A, work())
    while store.asked < 5:
        await asyncio.sleep(0)

    assert work.how == ""
    await here.aclose()


def test_a_lease_goes_by_the_clock_of_the_runs() -> None:
    now_s = 100.0
    runs = Runs(MemoryResponses(), 1, lambda: now_s, lambda *_: None)
    lease_s = runs.lease()

    assert not runs.lapsed(lease_s)
    now_s = 100.0 + LEASE_S + 0.1
    assert runs.lapsed(lease_s)
