"""The grid of clients, upstreams and features: as the page in docs/reference, and at the end of a test run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.clients.session import Outcome
from tests.clients.table import CLIENTS, FEATURES, UPSTREAMS, impossible, versions

__all__ = ["page", "pytest_terminal_summary"]

SIGNS = {"ok": "✓", "impossible": "–", "failed": "✗"}

PREFACE = """\
<!-- Written by `make golden-clients` from a run of every client; do not edit. -->

# Clients

Every client below was run, as its makers publish it, through a real gateway against a strict imitation of each provider's
API, and got exactly what it must: text, arguments, ids, counts, finish reasons, error classes. A request that the provider's
own types or rules would refuse fails the test. `make test` repeats all of it.

✓ works with every provider protocol; – the client's own format has no words for it, see [below](#what-cannot-be).
Otherwise the protocols it does not work with are named.

"""

MEANINGS = {
    "text": "an answer in one piece, with a system prompt, usage to the token",
    "stream": "the same as a stream",
    "tool": "one tool call, in one piece and streamed",
    "parallel-tools": "two calls in one answer, with text before them",
    "tool-results": "calls and results handed back, with and without thinking before the calls",
    "thinking": "thinking shown apart from the text",
    "image": "an image in the question",
    "json-schema": "an answer bound to a JSON Schema",
    "max-tokens": "an answer cut at the limit, and said to be",
    "error-429": "a provider's rate limit, as the client's own exception",
    "error-500": "a provider's failure, as the client's own exception",
    "mid-stream-error": "a stream that fails or breaks off half-way never looks complete",
    "unicode": "emoji, combining marks, right-to-left text and line separators, both ways",
}


def page(outcomes: Mapping[tuple[str, str, str], Outcome]) -> str:
    """docs/reference/clients.md."""
    lines = [PREFACE]
    for title, features in (("Content", FEATURES[:8]), ("Limits and faults", FEATURES[8:])):
        lines.append(f"## {title}\n\n| client | {' | '.join(features)} |\n|---|{':-:|' * len(features)}\n")
        lines += [
            f"| {name} | {' | '.join(_sum(outcomes, key, each) for each in features)} |\n"
            for key, name in CLIENTS.items()
        ]
        lines.append("\n")
    lines.append("## What each column means\n\n")
    lines += [f"* **{feature}**: {MEANINGS[feature]}\n" for feature in FEATURES]
    lines.append("\n## What cannot be\n\n")
    lines += list(dict.fromkeys(_reasons()))
    lines.append("\n## Versions\n\n| package | version |\n|---|---|\n")
    lines += [f"| {package} | {version} |\n" for package, version in versions()]
    return "".join(lines)


def _sum(outcomes: Mapping[tuple[str, str, str], Outcome], client: str, feature: str) -> str:
    found = {upstream: outcomes.get((client, upstream, feature), Outcome("failed", "")).word for upstream in UPSTREAMS}
    if len(set(found.values())) == 1:
        return SIGNS[found[UPSTREAMS[0]]]
    return ", ".join(f"{SIGNS[word]} {upstream}" for upstream, word in found.items() if word != "ok")


def _reasons() -> Iterator[str]:
    for client, title in CLIENTS.items():
        reasons: dict[str, list[str]] = {}
        for feature in FEATURES:
            for upstream in UPSTREAMS:
                reason = impossible(client, upstream, feature)
                if reason is not None and feature not in reasons.setdefault(reason, []):
                    reasons[reason].append(feature)
        for reason, features in reasons.items():
            yield f"* {title}: {', '.join(features)}. Because {reason}.\n"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The grid in rows of five signs, one per upstream."""
    cells: dict[tuple[str, str, str], str] = {}
    for report in (*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())):
        for name, value in getattr(report, "user_properties", ()):
            if name == "cell":
                client, upstream, feature, word = value
                cells[client, upstream, feature] = word
    if not cells:
        return
    terminalreporter.section("clients")
    terminalreporter.write_line(f"each cell: {', '.join(UPSTREAMS)}")
    width = max(map(len, CLIENTS)) + 1
    terminalreporter.write_line(" " * width + " ".join(f"{feature[:9]:9}" for feature in FEATURES))
    for client in CLIENTS:
        row = ["".join(SIGNS.get(cells.get((client, u, f), ""), "·") for u in UPSTREAMS) for f in FEATURES]
        terminalreporter.write_line(f"{client:{width}}" + " ".join(f"{signs:9}" for signs in row))
