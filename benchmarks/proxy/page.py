"""The page of a run: what was asked of us, what was found, and of all gateways CPU, latency, memory and start."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.proxy.scenarios import MOST_START_S, Scenario
from benchmarks.proxy.series import Measured, Series, median_of, ratios, spread
from benchmarks.proxy.serving import Missing

__all__ = ["Fresh", "Machine", "page"]

SAID_BYTES = 160


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """Gateways of ours that were started for one crowd each: seconds to their first answer, and MB of the worker, by scenario."""

    start_s: Sequence[float] = ()
    worker_mb: Mapping[str, Sequence[float]] = {}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how it was measured. ``failures``: by scenario and gateway, what went wrong."""

    environment: str
    command: str
    rounds: int
    missing: Sequence[Missing]
    failures: Mapping[tuple[str, str], str]
    versions: Mapping[str, str]
    start_s: Mapping[str, float]
    fresh: Fresh = Fresh()


def page(series: Series, scenarios: Sequence[Scenario], machine: Machine, ours: str) -> str:
    gateways = [each for each in machine.start_s if any(gateway == each for _, gateway in series)]
    named = ", ".join(f"{name} {version}" for name, version in machine.versions.items() if version)
    parts = [
        "# Gateways side by side",
        "",
        f"{machine.environment}; {named}; {machine.rounds} interleaved rounds, one worker each; `{machine.command}`",
        "",
        (
            "CPU is that of the gateway's whole process tree, user and system, per request (a stream is one request). Numbers are "
            "medians of the rounds with [least–most]; a ratio is taken within a round, and the median of the rounds' is shown. On a "
            "machine that others use, the least is nearest to what it takes. The load generator and the provider are C programs of "
            "`benchmarks/proxy`. Read ratios: the machine is shared. *floor* is Granian with a bare ASGI application that forwards "
            "with aiohttp's session, and does nothing else."
        ),
        "",
        *(f"Not measured: {each.name}, {each.why}." for each in machine.missing),
        *_targets(series, scenarios, ours),
        *_held(series, scenarios, machine.fresh, ours),
        "",
        "*At best*: the best round meets the target, the median does not.",
        *_cpu(series, scenarios, gateways),
        *_latency(series, scenarios, gateways),
        *_delays(series, scenarios, gateways),
        *_start(series, gateways, machine),
    ]
    if machine.failures:
        parts += ["", "## Not served", ""]
        parts += [f"* {gateway}: {scenario}. {_short(why)}" for (scenario, gateway), why in machine.failures.items()]
    return "\n".join(parts) + "\n"


def _targets(series: Series, scenarios: Sequence[Scenario], ours: str) -> list[str]:
    lines = ["", "## Targets", "", "| scenario | ms CPU | target | × nginx | target | LiteLLM takes × ours | target | met |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for scenario in scenarios:
        target, found = scenario.target, series.get((scenario.name, ours))
        if target is None or not found:
            continue
        cpu = spread(each.cpu_ms for each in found)
        nginx = ratios(series, (scenario.name, ours), (scenario.name, "nginx"))
        litellm = ratios(series, (scenario.name, "LiteLLM"), (scenario.name, ours))
        met = [_met(cpu.median, cpu.least, target.ms)]
        if nginx and target.nginx:
            met.append(_met(statistics.median(nginx), min(nginx), target.nginx))
        if litellm and target.litellm:
            met.append(_met(-statistics.median(litellm), -max(litellm), -target.litellm))
        lines.append(
            f"| {scenario.name} | {cpu.text(3)} | ≤ {target.ms} | {_ratio(nginx)} | {_bound('≤', target.nginx)} "
            f"| {_ratio(litellm)} | {_bound('≥', target.litellm)} | {' · '.join(met)} |"
        )
    return lines


def _held(series: Series, scenarios: Sequence[Scenario], fresh: Fresh, ours: str) -> list[str]:
    lines = ["", "| | found | target | met |", "|---|---|---|---|"]
    for scenario in scenarios:
        held, found = scenario.held, series.get((scenario.name, ours))
        if held is None or not found:
            continue
        if sizes := fresh.worker_mb.get(scenario.name):
            lines.append(_row(f"{scenario.name}: MB of a worker that was just started (RSS)", sizes, held.worker_mb))
        what = f"{scenario.name}: longest delay of a piece"
        stalls = [each.shot.delay_us.max / 1000 for each in found]
        nginx = [each.shot.delay_us.max / 1000 for each in series.get((scenario.name, "nginx"), ())]
        if nginx:
            what += " beyond nginx's"
            stalls = [max(0.0, mine - theirs) for mine, theirs in zip(stalls, nginx, strict=False)]
        lines.append(_row(f"{what}, ms", stalls, held.stall_ms))
    if fresh.start_s:
        lines.append(_row("start to first answer, s", fresh.start_s, MOST_START_S, digits=2))
    return lines


def _row(what: str, values: Sequence[float], most: float, *, digits: int = 0) -> str:
    found = spread(values)
    return f"| {what} | {found.text(digits)} | ≤ {most:g} | {_met(found.median, found.least, most)} |"


def _cpu(series: Series, scenarios: Sequence[Scenario], gateways: Sequence[str]) -> list[str]:
    lines = ["", "## ms of CPU per request", "", *_head("scenario (in flight)", gateways)]
    for scenario in scenarios:
        cells = [
            spread(each.cpu_ms for each in found).text(3) if (found := series.get((scenario.name, name))) else "–"
            for name in gateways
        ]
        lines.append(f"| {scenario.name} ({scenario.connections}) | {' | '.join(cells)} |")
    lines += ["", "Requests per second and core are a thousand divided by that:", "", *_head("scenario", gateways)]
    for scenario in scenarios:
        cells = [
            f"{1000 / median_of(found, lambda each: each.cpu_ms):,.0f}"
            if (found := series.get((scenario.name, name)))
            else "–"
            for name in gateways
        ]
        lines.append(f"| {scenario.name} | {' | '.join(cells)} |")
    return lines


def _latency(series: Series, scenarios: Sequence[Scenario], gateways: Sequence[str]) -> list[str]:
    lines = ["", "## Latency, ms: half · 99 % of the answers complete; first byte half · 99 %", ""]
    lines += _head("scenario (in flight)", gateways)

    def cell(found: Sequence[Measured] | None) -> str:
        if not found:
            return "–"
        took = [_ms(found, "latency_us", at) for at in ("p50", "p99")]
        first = [_ms(found, "first_us", at) for at in ("p50", "p99")]
        return f"{took[0]:.1f} · {took[1]:.1f}; {first[0]:.1f} · {first[1]:.1f}"

    for scenario in scenarios:
        cells = [cell(series.get((scenario.name, name))) for name in gateways]
        lines.append(f"| {scenario.name} ({scenario.connections}) | {' | '.join(cells)} |")
    return lines


def _delays(series: Series, scenarios: Sequence[Scenario], gateways: Sequence[str]) -> list[str]:
    lines = ["", "## Delay of a stream's pieces behind the provider, ms: half · 99.9 % · longest", ""]
    lines += _head("scenario (streams)", gateways)

    def cell(found: Sequence[Measured] | None) -> str:
        if not found:
            return "–"
        delays = [_ms(found, "delay_us", at) for at in ("p50", "p999", "max")]
        return " · ".join(f"{each:.1f}" for each in delays)

    for scenario in scenarios:
        if scenario.stream:
            cells = [cell(series.get((scenario.name, name))) for name in gateways]
            lines.append(f"| {scenario.name} ({scenario.connections}) | {' | '.join(cells)} |")
    return lines


def _start(series: Series, gateways: Sequence[str], machine: Machine) -> list[str]:
    lines = [
        "",
        "## Memory and start",
        "",
        "| gateway | start to first answer, s | MB after the first scenario | most MB |",
        "|---|---|---|---|",
    ]
    for name in gateways:
        sizes = [each.resident_mb for (_, gateway), found in series.items() if gateway == name for each in found]
        first = next(found[0].resident_mb for (_, gateway), found in series.items() if gateway == name)
        lines.append(f"| {name} | {machine.start_s[name]:.2f} | {first:.0f} | {max(sizes):.0f} |")
    return lines


def _short(why: str) -> str:
    """What it answered, without the name that stands before, in one line."""
    said = " ".join(why.partition(": ")[2].split())
    return said if len(said) <= SAID_BYTES else f"{said[:SAID_BYTES]}…"


def _ms(found: Sequence[Measured], what: str, at: str) -> float:
    """The rounds' median of a percentile, in milliseconds."""
    return float(statistics.median(getattr(getattr(each.shot, what), at) / 1000 for each in found))


def _head(first: str, gateways: Sequence[str]) -> list[str]:
    return [f"| {first} | {' | '.join(gateways)} |", f"|---|{'---|' * len(gateways)}"]


def _ratio(found: Sequence[float]) -> str:
    return spread(found).text(1) if found else "–"


def _met(median: float, best: float, most: float) -> str:
    return "yes" if median <= most else "at best" if best <= most else "no"


def _bound(sign: str, value: float | None) -> str:
    return "–" if value is None else f"{sign} {value:g}"
