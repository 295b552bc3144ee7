"""Half an hour of mixed load with faults: every answer is right or says that it is none, and the process does not grow.

`GATEWRIGHT_SOAK_MINUTES` sets another time, `GATEWRIGHT_SEED` another course of events; what came of it is shown, and with
`GATEWRIGHT_SOAK_WRITE` also kept, as `benchmarks/results/soak.md`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from typing import Final, NamedTuple

import pytest

from benchmarks.measure import environment, publish
from benchmarks.proxy.machine import descendants
from tests.slow.mixed_load import Mix, Vendor, mixed_config
from tests.slow.test_faulty_streams import size_of
from tests.support.gateway import gateway, run_cli
from tests.support.raw_server import each_request, raw_server

MINUTES: Final = float(os.environ.get("GATEWRIGHT_SOAK_MINUTES", "30"))
SEED: Final = int(os.environ.get("GATEWRIGHT_SEED", "20261129"))
WORKERS: Final = 2
SAMPLES: Final = 180
KIB_RISE: Final = 8 * 1024 * WORKERS
"""By which all processes together may seem to have grown from a third of the time to its end; half an hour has 100,000 calls."""
DESCRIPTORS_RISE: Final = 8.0


class Sample(NamedTuple):
    """Of the whole tree of processes."""

    at_s: float
    kib: int
    descriptors: int


def rise(samples: Sequence[tuple[float, float]]) -> float:
    """By how much the straight line through the samples rises from the first to the last."""
    times, values = [at for at, _ in samples], [value for _, value in samples]
    return statistics.linear_regression(times, values).slope * (times[-1] - times[0])


def test_a_rise_is_that_of_the_line_through_all() -> None:
    assert 20 == pytest.approx(rise([(0, 10), (1, 20), (2, 30)]))
    assert rise([(0, 10), (1, 40), (2, 10)]) == pytest.approx(0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="memory and descriptors are looked up in /proc")
async def test_mixed_load_with_faults_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vendor = Vendor(SEED)
    async with raw_server(each_request(vendor.respond)) as server:
        config, env = mixed_config(server.url, WORKERS)
        with gateway(tmp_path, config, env) as running:
            tree = descendants(running.process.pid)
            mix = Mix(running.url, vendor, SEED)
            calls = asyncio.create_task(mix.run())
            samples: list[Sample] = []
            began_s = time.monotonic()
            while (at_s := time.monotonic() - began_s) < MINUTES * 60 and not calls.done():
                samples.append(_sample(at_s, tree))
                server.requests.clear()  # what was asked is known to the clients
                await asyncio.sleep(MINUTES * 60 / SAMPLES)
            mix.over.set()
            await calls
            assert descendants(running.process.pid) == tree, "a worker was replaced"
            log = running.log
        audited = await asyncio.to_thread(run_cli, "audit", root=tmp_path, env=env)
    late = [each for each in samples if each.at_s >= MINUTES * 60 / 3]
    kib = rise([(each.at_s, each.kib) for each in late])
    descriptors = rise([(each.at_s, each.descriptors) for each in late])
    with capsys.disabled():
        publish(
            _page(samples, mix, kib, descriptors, audited.stdout.strip()),
            "soak",
            write=bool(os.environ.get("GATEWRIGHT_SOAK_WRITE")),
        )
    assert not mix.wrong, "\n".join(mix.wrong[:20])
    assert "Traceback" not in log
    assert kib <= KIB_RISE
    assert descriptors <= DESCRIPTORS_RISE
    assert audited.returncode == 0, audited.stdout


def _sample(at_s: float, tree: Sequence[int]) -> Sample:
    sizes: list[tuple[int, int]] = []
    for pid in tree:
        with suppress(FileNotFoundError, ProcessLookupError):
            sizes.append(size_of(pid))
    return Sample(at_s, sum(kib for kib, _ in sizes), sum(descriptors for _, descriptors in sizes))


def _page(samples: Sequence[Sample], mix: Mix, kib: float, descriptors: float, audited: str) -> str:
    """Ten of the samples, what was asked and how it ended."""
    arenas = os.environ.get("MALLOC_ARENA_MAX", "not set")
    shown = samples[:: max(1, len(samples) // 10)]
    return f"""# {MINUTES:g} minutes of mixed load with faults

{environment()}; {WORKERS} workers, `MALLOC_ARENA_MAX` {arenas}; `GATEWRIGHT_SOAK_MINUTES={MINUTES:g} pytest tests/slow/test_soak.py`

{mix.done.total():,} calls, {len(mix.wrong)} answered wrongly. Of the streams {_counts(mix.verdicts.count)}; of all calls {_counts(mix.done)}.

`gatewright audit` afterwards:

{indent(audited, "    ")}

The workers and the process that starts them, together. The straight line through the samples of the last two thirds rises by {kib / 1024:.1f} MiB and
{descriptors:.1f} descriptors from its beginning to its end.

| minute | resident MiB | descriptors |
|---|---|---|
""" + "".join(f"| {each.at_s / 60:.0f} | {each.kib / 1024:.0f} | {each.descriptors} |\n" for each in shown)


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counted.items())
