"""Rounds of measurements, gateways in turn within each, and what they come to: medians, spreads, ratios.

A ratio is taken within a round, where both had the same machine around them; the median of the rounds' ratios says more
on a shared machine than any time does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.proxy.machine import CpuClock, forget_peaks, resident_bytes, worker_bytes
from benchmarks.proxy.scenarios import Scenario
from benchmarks.proxy.serving import Serving, whole_request
from benchmarks.proxy.tools import Shot, fire

__all__ = [
    "CROWD_ROUNDS",
    "OWN",
    "Measured",
    "Series",
    "Spread",
    "measure",
    "median_of",
    "ratios",
    "rounds",
    "spread",
    "summary",
]

OWN: Final = "own"
"""Beside the names of gateways: what the scenario's yardstick took with our own."""

WARM_UP = 0.1
SETTLED_S = 0.7
"""What a gateway does behind its answers, in batches, is part of their cost: ours drains its journal every half second."""
CROWD_ROUNDS = 3


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one scenario with one gateway.

    Attributes:
        cpu_ms: per request.
        resident_mb: of the whole tree after it, what its processes share counted once (PSS).
        worker_mb: the most that the largest worker held meanwhile (RSS).
    """

    cpu_ms: float
    resident_mb: float
    worker_mb: float
    shot: Shot


class Spread(msgspec.Struct, frozen=True):
    median: float
    least: float
    most: float

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} [{self.least:.{digits}f}–{self.most:.{digits}f}]"


Series = dict[tuple[str, str], list[Measured]]
"""By scenario and gateway, in the order of rounds."""


def spread(values: Iterable[float]) -> Spread:
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1])


def measure(load: Path, serving: Serving, scenario: Scenario, scale: float, *, warm: bool = False) -> Measured:
    """One round. Raises when not every answer was good: a gateway that fails is not fast. ``warm``: it was done before."""
    request = whole_request(serving, scenario)
    wanted = max(scenario.least, int(scenario.requests * serving.contender.share * scale))
    if not (warm or scenario.crowd):
        fire(load, serving.port, scenario.connections, max(4, int(wanted * WARM_UP)), request)
        time.sleep(SETTLED_S)
    forget_peaks(serving.pid)
    clock = CpuClock(serving.pid)
    shot = fire(load, serving.port, scenario.connections, wanted, request, scenario.expected)
    time.sleep(SETTLED_S)
    spent_s = clock.read_s()
    status = serving.contender.refusal if scenario.key == "refused" else scenario.status
    good = shot.statuses.get(str(status), 0)
    if good != wanted or shot.complete != wanted:
        raise RuntimeError(f"{serving.contender.name}, {scenario.name}: {good} of {wanted} were answered well: {shot}")
    return Measured(
        cpu_ms=spent_s * 1000 / wanted, resident_mb=resident_bytes(serving.pid) / 1e6,
        worker_mb=worker_bytes(serving.pid, "VmHWM") / 1e6, shot=shot,
    )  # fmt: skip


def rounds(
    load: Path,
    served: Sequence[Serving],
    scenarios: Sequence[Scenario],
    count: int,
    scale: float,
    say: Callable[[str], None],
) -> tuple[Series, dict[tuple[str, str], str]]:
    """Every scenario with every gateway in turn, ``count`` times, crowds less often; and who failed at what."""
    series: Series = {}
    failures: dict[tuple[str, str], str] = {}
    for number in range(count):
        for scenario in (each for each in scenarios if number < CROWD_ROUNDS or not each.crowd):
            for serving in served if number % 2 == 0 else reversed(served):
                place = (scenario.name, serving.contender.name)
                if not serving.contender.takes(scenario) or place in failures:
                    continue
                try:
                    found = measure(load, serving, scenario, scale, warm=place in series)
                except RuntimeError as failure:
                    failures[place] = str(failure)
                    series.pop(place, None)
                    say(str(failure)[:1000])
                    continue
                series.setdefault(place, []).append(found)
                say(f"round {number + 1}: {place[1]:12} {place[0]}: {found.cpu_ms:.3f} ms")
    return series, failures


def ratios(series: Series, one: tuple[str, str], other: tuple[str, str]) -> list[float]:
    """How much CPU ``one`` takes for each of ``other``, round by round; each is a scenario and a gateway."""
    pairs = zip(series.get(one, ()), series.get(other, ()), strict=False)
    return [mine.cpu_ms / theirs.cpu_ms for mine, theirs in pairs if theirs.cpu_ms]


def median_of(measured: Sequence[Measured], what: Callable[[Measured], float]) -> float:
    return statistics.median(what(each) for each in measured)


def summary(series: Series, scenarios: Sequence[Scenario], ours: str) -> Mapping[str, Mapping[str, float]]:
    """By scenario, the median ratio of ``ours`` to each of the others, and under `OWN` to our own yardstick's."""
    others = sorted({gateway for _, gateway in series} - {ours})
    found: dict[str, dict[str, float]] = {}
    for scenario in scenarios:
        places = {other: (scenario.name, other) for other in others}
        if scenario.name != scenario.yardstick:
            places[OWN] = (scenario.yardstick, ours)
        by_other = {other: ratios(series, (scenario.name, ours), place) for other, place in places.items()}
        found[scenario.name] = {other: round(statistics.median(each), 3) for other, each in by_other.items() if each}
    return found
