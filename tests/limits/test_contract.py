"""What all counters do, run over each of them: memory, SQLite, PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import random

import msgspec

from runtime.limits.base import ABSENT_MS, Ask, Counters, Seed, Short, Taken, Turn, Unseeded, Used
from tests.support.counters import Place

KEPT_MS = 3_600_000


def ask(
    counter: str = "a", limit: int = 10, amount: int = 1, *, bucket: int = 7, oldest: int = 7, held: bool = True,
    lasting: bool = False,
) -> Ask:  # fmt: skip
    return Ask(counter, limit, amount, bucket, oldest, held, lasting, KEPT_MS)


async def granted(counters: Counters, holder: str, *asks: Ask) -> bool:
    answer = await counters.turn(Turn(holder=holder, asks=(asks,)))
    return isinstance(answer.outcomes[0], Taken)


async def left(counters: Counters, limit: int, counter: str = "a", oldest: int = 7) -> int:
    """What is neither used nor kept aside."""
    probe = ask(counter, limit, limit + 1, oldest=oldest)
    outcome = (await counters.turn(Turn(holder="probe", asks=((probe,),)))).outcomes[0]
    assert isinstance(outcome, Short)
    return limit - sum(outcome.buckets.values()) - outcome.held


async def test_no_more_is_granted_than_the_limit_whoever_asks(counted: Place) -> None:
    one, other = counted.handle(), counted.handle()
    found = [await granted(one if number % 2 else other, f"w{number % 2}", ask(amount=3)) for number in range(5)]

    assert [True, True, True, False, False] == found
    assert 1 == await left(one, 10)


async def test_all_that_a_call_asks_for_is_granted_or_nothing(counted: Place) -> None:
    counters = counted.handle()

    assert not await granted(counters, "w", ask("a", 10, 4), ask("b", 2, 3), ask("c", 10, 1, held=False))
    assert (10, 2, 10) == (await left(counters, 10, "a"), await left(counters, 2, "b"), await left(counters, 10, "c"))
    assert await granted(counters, "w", ask("a", 10, 4), ask("b", 2, 2), ask("c", 10, 1, held=False))
    assert (6, 0, 9) == (await left(counters, 10, "a"), await left(counters, 2, "b"), await left(counters, 10, "c"))


async def test_who_is_refused_learns_what_is_in_the_way(counted: Place) -> None:
    counters = counted.handle()
    await counters.turn(
        Turn(holder="w", number=1, used=(Used("a", 7, 4, KEPT_MS), Used("a", 8, 2, KEPT_MS), Used("a", 6, 9, KEPT_MS)))
    )
    await granted(counters, "w", ask(amount=3))
    answer = await counters.turn(Turn(holder="x", asks=((ask("b"), ask(amount=2)),)))

    assert Short(1, {7: 4, 8: 2}, 3) == answer.outcomes[0]


async def test_what_a_grant_leaves_is_told(counted: Place) -> None:
    counters = counted.handle()
    await granted(counters, "w", ask(amount=3))
    answer = await counters.turn(Turn(holder="w", asks=((ask(amount=2), ask("b", 5, 1, held=False)),)))

    assert Taken((5, 1), (2, 1)) == answer.outcomes[0]


async def test_what_is_asked_for_in_advance_is_a_small_part_of_what_is_left(counted: Place) -> None:
    counters, many = counted.handle(), msgspec.structs.replace(ask(limit=100, amount=4), extra=50)
    used = msgspec.structs.replace(ask("b", limit=100, amount=1, held=False), extra=2)
    answer = await counters.turn(Turn(holder="w", asks=((many, used),)))
    assert Taken((10, 3), (10, 3)) == answer.outcomes[0]
    assert (90, 97) == (await left(counters, 100), await left(counters, 100, "b"))

    await counters.turn(Turn(holder="w", held={"a": 80}))
    answer = await counters.turn(Turn(holder="x", asks=((many,), (many,), (many,), (many,))))
    assert [Taken((84,), (4,)), Taken((88,), (4,)), Taken((92,), (4,)), Taken((96,), (4,))] == list(answer.outcomes)


async def test_a_report_counts_once_however_often_it_is_told(counted: Place) -> None:
    counters = counted.handle()
    report = Turn(holder="w", number=1, used=(Used("a", 7, 4, KEPT_MS),))
    for _ in range(3):
        await counters.turn(report)
    assert 6 == await left(counters, 10)

    await counters.turn(Turn(holder="w", number=2, used=(Used("a", 7, 4, KEPT_MS),)))
    assert 2 == await left(counters, 10)
    await counters.turn(report)  # late
    assert 2 == await left(counters, 10)
    await counters.turn(Turn(holder="other", number=1, used=(Used("a", 7, 1, KEPT_MS),)))
    assert 1 == await left(counters, 10)


async def test_what_is_taken_back_never_leaves_less_than_nothing(counted: Place) -> None:
    counters = counted.handle()
    await counters.turn(Turn(holder="w", number=1, used=(Used("a", 7, 2, KEPT_MS),)))
    await counters.turn(Turn(holder="w", number=2, used=(Used("a", 7, -5, KEPT_MS),)))

    assert 10 == await left(counters, 10)


async def test_what_a_holder_says_it_keeps_replaces_what_it_said_before(counted: Place) -> None:
    counters = counted.handle()
    await granted(counters, "w", ask(amount=8))
    await counters.turn(Turn(holder="w", held={"a": 3}))
    assert 7 == await left(counters, 10)

    answer = await counters.turn(Turn(holder="w", held={"a": 1}, asks=((ask(amount=5),),)))
    assert Taken((6,), (5,)) == answer.outcomes[0]
    await counters.turn(Turn(holder="w", held={"a": 0}))
    assert 10 == await left(counters, 10)


async def test_what_somebody_kept_who_died_is_let_go(counted: Place) -> None:
    counters = counted.handle()
    await granted(counters, "dead", ask(amount=6))
    await granted(counters, "alive", ask(amount=3))
    assert 1 == await left(counters, 10)

    await counted.later(ABSENT_MS - 2000)
    assert (await counters.turn(Turn(holder="alive"))).known
    assert 1 == await left(counters, 10)
    await counted.later(4000)
    assert 7 == await left(counters, 10)
    assert not (await counters.turn(Turn(holder="dead"))).known, "it must say again what it keeps"


async def test_a_counter_that_lasts_is_begun_before_it_counts(counted: Place) -> None:
    counters = counted.handle()
    asks = (ask("b"), ask(amount=2, lasting=True))
    assert Unseeded((1,)) == (await counters.turn(Turn(holder="w", asks=(asks,)))).outcomes[0]

    await counters.turn(Turn(holder="w", seeds=(Seed("a", {7: 5, 8: 1}, KEPT_MS),)))
    assert Taken((1, 8), (1, 2)) == (await counters.turn(Turn(holder="w", asks=(asks,)))).outcomes[0]
    assert 9 == await left(counters, 10, "b")


async def test_a_seed_adds_nothing_to_what_is_known_already(counted: Place) -> None:
    counters = counted.handle()
    await counters.turn(Turn(holder="w", number=1, used=(Used("a", 7, 4, KEPT_MS),)))
    for amount in (3, 4, 6, 5):
        await counters.turn(Turn(holder="w", seeds=(Seed("a", {7: amount}, KEPT_MS),)))

    assert 4 == await left(counters, 10)


async def test_what_is_older_than_the_window_counts_no_more_and_what_lies_ahead_does(counted: Place) -> None:
    counters = counted.handle()
    used = tuple(Used("a", bucket, 1, KEPT_MS) for bucket in (1, 5, 6, 7, 8, 900))
    await counters.turn(Turn(holder="w", number=1, used=used))

    assert 6 == await left(counters, 10, oldest=6)
    assert 9 == await left(counters, 10, oldest=9)


async def test_large_numbers_stay_exact(counted: Place) -> None:
    """A million dollars in nano-dollars, to the last one."""
    counters, limit = counted.handle(), 1_000_000_000_000_000
    assert await granted(counters, "w", ask(limit=limit, amount=limit - 3))
    assert not await granted(counters, "w", ask(limit=limit, amount=4))
    await counters.turn(Turn(holder="w", number=1, held={"a": 0}, used=(Used("a", 7, limit - 7, KEPT_MS),)))

    assert 7 == await left(counters, limit)
    assert await granted(counters, "w", ask(limit=limit, amount=7))


async def test_many_at_once_get_no_more_than_there_is(counted: Place) -> None:
    """Each worker asks, settles and asks again, in any order; nobody ever sees more than the limit."""
    workers, calls, limit, random_ = 4, 12, 40, random.Random(7)
    sizes = [[random_.randint(1, 9) for _ in range(calls)] for _ in range(workers)]
    standing: list[int] = []

    async def work(number: int) -> int:
        counters, holder, total, reported = counted.handle(), f"w{number}", 0, 0
        for size in sizes[number]:
            answer = await counters.turn(Turn(holder=holder, asks=((ask(limit=limit, amount=size),),)))
            outcome = answer.outcomes[0]
            if isinstance(outcome, Taken):
                standing.append(outcome.standing[0])
                spent = size - size // 3
                reported, total = reported + 1, total + spent
                await counters.turn(
                    Turn(holder=holder, number=reported, held={"a": 0}, used=(Used("a", 7, spent, KEPT_MS),))
                )
        return total

    totals = await asyncio.gather(*(work(number) for number in range(workers)))
    assert max(standing) <= limit
    assert limit - sum(totals) == await left(counted.handle(), limit) >= 0
