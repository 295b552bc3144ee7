"""Has it got worse? Ratios of a short run against the recorded ones, with room for what a shared machine does to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.proxy.series import OWN

__all__ = ["RATIOS", "compare", "read_ratios"]

RATIOS: Final = Path(__file__).parents[1] / "results" / "gateways.json"
AGAINST: Final = ("nginx", "floor", OWN)
ROOM: Final = 1.4
"""A ratio may grow by this factor before it counts as worse; all of ``AGAINST`` that are there must say so."""

Ratios = Mapping[str, Mapping[str, float]]


def read_ratios() -> Ratios:
    """By scenario and gateway, what was recorded; nothing where nothing was."""
    if not RATIOS.exists():
        return {}
    return msgspec.json.decode(RATIOS.read_bytes(), type=dict[str, dict[str, float]])


def compare(now: Ratios, recorded: Ratios) -> tuple[list[str], list[str]]:
    """Lines of a Markdown table, and the names of the scenarios that got worse."""
    lines = ["| scenario | against | now | recorded | change |", "|---|---|---|---|---|"]
    worse: list[str] = []
    for scenario, ratios in now.items():
        grown: list[bool] = []
        for other in AGAINST:
            ratio, before = ratios.get(other), recorded.get(scenario, {}).get(other)
            if ratio is None:
                continue
            change = ratio / before if before else None
            said = "new" if change is None else f"{change:.2f}"
            lines.append(f"| {scenario} | {other} | {ratio:.2f} | {'–' if before is None else before} | {said} |")
            if change is not None:
                grown.append(change > ROOM)
        if grown and all(grown):
            worse.append(scenario)
    lines.append("")
    lines += [f"WORSE: {scenario}" for scenario in worse] or ["Nothing got worse."]
    return lines, worse
