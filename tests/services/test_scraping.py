"""What all workers of a gateway have counted is told by whichever is asked, and what another gateway has counted is not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import count

from prometheus_client.parser import text_string_to_metric_families

from runtime.lifespan import beside
from runtime.services.scraping import COUNTED, Scraping, told_counted
from runtime.shared.colleagues import Colleagues
from runtime.shared.memory import MemoryState
from runtime.telemetry import Metrics


class Worker:
    """One of two workers of the gateway ``start``, with the others of ``shared`` beside it. ``calls`` are being answered."""

    def __init__(self, shared: MemoryState, name: str, calls: int, start: str = "ours") -> None:
        metrics = Metrics("build-1", "0.1.0")
        for _ in range(calls):
            metrics.begin()
        questions = (f"{name}{number}" for number in count())
        tell = told_counted(metrics, name, start)
        self.asked = 0

        def told(question: bytes) -> bytes | None:
            self.asked += 1
            return tell(question)

        self.colleagues = Colleagues(shared, name, lambda: next(questions), {COUNTED: told})
        self.scraping = Scraping(metrics, self.colleagues, start, workers=2)


async def test_whichever_worker_is_asked_tells_of_all() -> None:
    shared = MemoryState(time.monotonic)
    one, two = Worker(shared, "one", 3), Worker(shared, "two", 4)
    elsewhere = Worker(shared, "three", 5, start="another machine's")
    async with beside(*(each.colleagues.listen for each in (one, two, elsewhere)))():
        await asyncio.gather(*(each.colleagues.listening() for each in (one, two, elsewhere)))
        texts = [await each.scraping.text() for each in (one, two)]

    for text in texts:
        families = {each.name: each for each in text_string_to_metric_families(text)}
        running = {each.labels["worker"]: each.value for each in families["gatewright_requests_in_flight"].samples}
        assert {"one": 3.0, "two": 4.0} == running
        heads = Counter(line for line in text.splitlines() if line.startswith("#"))
        assert {1} == set(heads.values()), "all of a family stands together"


async def test_however_many_ask_at_once_the_others_are_asked_once() -> None:
    shared = MemoryState(time.monotonic)
    one, two = Worker(shared, "one", 3), Worker(shared, "two", 4)
    async with beside(one.colleagues.listen, two.colleagues.listen)():
        await asyncio.gather(one.colleagues.listening(), two.colleagues.listening())
        texts = await asyncio.gather(*(one.scraping.text() for _ in range(20)))
        later = await one.scraping.text()

    assert {texts[0]} == set(texts)
    assert texts[0] == later
    assert 2 == two.asked
