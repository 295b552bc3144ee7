"""What the gateway tells its operator is written down, and nothing is written down that it does not tell."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.telemetry.metrics import METRICS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guide/observability.md").read_text(encoding="utf-8")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "runtime").rglob("*.py")))


def rows(heading: str) -> dict[str, str]:
    """First and second cells of the table below ``heading``."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|$", section, re.MULTILINE))


def test_every_metric_is_documented_with_its_help() -> None:
    assert dict(METRICS) == rows("Metrics")


def test_every_log_event_is_documented() -> None:
    events = set(re.findall(r"\b(?:log\.(?:info|warning|error|debug)\(|level,)\s*\"([a-z]+_[a-z_]+)\"", CODE))

    assert events == set(rows("Log records"))


def test_every_header_of_ours_is_documented() -> None:
    headers = set(re.findall(r"\"(x-gatewright-[a-z-]+)\"", CODE))

    assert headers == {name for name in re.findall(r"`(x-[a-z-]+)`", PAGE.lower()) if name.startswith("x-gatewright")}
