"""One timer for many waits: each ends at its own time, whatever the others do."""

from __future__ import annotations

import asyncio

from runtime.errors import UpstreamTimeout
from runtime.upstream.deadlines import Deadlines
from runtime.upstream.line import Answer, Line


def waiting() -> tuple[Line, Answer]:
    line = Line(lambda _: None, lambda _: None, {})
    return line, Answer(line, [])


def limit_of(answer: Answer) -> str | None:
    return answer.failure.limit if isinstance(answer.failure, UpstreamTimeout) else None


async def test_no_wait_ends_before_its_own_time_in_whatever_order_they_began() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    waits = {"late": (0.25, "total"), "soon": (0.05, "first_byte"), "between": (0.12, "total")}
    answers: dict[str, Answer] = {}
    begun_s, ended_s = loop.time(), dict[str, float]()
    for name, (after_s, limit) in waits.items():
        line, answers[name] = waiting()
        deadlines.begin(loop, answers[name], line, loop.time() + after_s, limit)

    while len(ended_s) < len(answers):
        await asyncio.sleep(0.005)
        for name, answer in answers.items():
            if answer.failure is not None:
                ended_s.setdefault(name, loop.time() - begun_s)

    assert [name for name, (after_s, _) in waits.items() if ended_s[name] < after_s] == []
    assert {"late": "total", "soon": "first_byte", "between": "total"} == {
        name: limit_of(answer) for name, answer in answers.items()
    }


async def test_a_wait_that_is_over_is_left_alone_and_the_next_is_not_forgotten() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    (line, over), (second, next_) = waiting(), waiting()
    deadlines.begin(loop, over, line, loop.time() + 0.02, "first_byte")
    deadlines.end(over)
    deadlines.begin(loop, next_, second, loop.time() + 0.06, "first_byte")

    for _ in range(400):
        await asyncio.sleep(0.005)
        if next_.failure is not None:
            break

    assert (None, "first_byte") == (over.failure, limit_of(next_))


async def test_a_wait_that_begins_when_nobody_waited_any_more_is_kept_to() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    line, first = waiting()
    deadlines.begin(loop, first, line, loop.time() + 0.01, "first_byte")
    deadlines.end(first)
    await asyncio.sleep(0.05)
    second_line, second = waiting()
    deadlines.begin(loop, second, second_line, loop.time() + 0.01, "total")

    for _ in range(400):
        await asyncio.sleep(0.005)
        if second.failure is not None:
            break

    assert "total" == limit_of(second)
