"""Each client before each upstream, feature by feature; and the page that says so.

One run of all clients serves every test of this file, which is why it must stay one file: workers share nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.clients.cells import EXPECTED
from tests.clients.grid import page
from tests.clients.session import Outcome, Stage
from tests.clients.table import CLIENTS, FEATURES, UPSTREAMS, impossible

PAIRS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS]
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "clients.md"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_client_before_an_upstream(
    outcomes: Mapping[tuple[str, str, str], Outcome],
    sent: Mapping[str, list[str]],
    record_property: Callable[[str, object], None],
    client: str,
    upstream: str,
) -> None:
    """Of every feature it got what it must, or the table says why no client could; and the vendor was asked for it."""
    wrong: dict[str, str] = {}
    for feature in FEATURES:
        outcome = outcomes.get((client, upstream, feature)) or outcomes.get((client, "", ""))
        record_property("cell", [client, upstream, feature, outcome.word if outcome else "missing"])
        said = _wrong(outcome, impossible(client, upstream, feature))
        wrong[feature] = said or _unasked(sent.get(f"[{client}>{upstream}>{feature}]"), outcome, feature)

    assert {} == {feature: said for feature, said in wrong.items() if said}


def _wrong(outcome: Outcome | None, reason: str | None) -> str:
    if outcome is None:
        return "its script said nothing"
    if reason is not None:
        return "" if outcome.word == "impossible" else f"it works; take it out of impossible.yaml ({reason})"
    return "" if outcome.word == "ok" else outcome.detail or f"{outcome.word}, without a line in impossible.yaml"


def _unasked(bodies: list[str] | None, outcome: Outcome | None, feature: str) -> str:
    """What of a feature that works never reached the vendor."""
    if outcome is None or outcome.word != "ok":
        return ""
    if not bodies:
        return "no request for it reached a vendor"
    plain = [_plain(body) for body in bodies]
    missing = [each for each in EVIDENCE.get(feature, ()) if not any(each in body for body in plain)]
    return f"never reached the vendor: {missing}" if missing else ""


EVIDENCE: Mapping[str, tuple[str, ...]] = {
    "text": (EXPECTED["system"],),
    "stream": (EXPECTED["system"],),
    "tool": tuple(tool["name"] for tool in EXPECTED["tools"]),
    "tool-results": tuple(text.split(" ")[0] for text in EXPECTED["results"].values()),
    "image": (EXPECTED["image"].rstrip("=")[:40],),
    "json-schema": ("capital", "country"),
    "max-tokens": ("16",),
    "unicode": (EXPECTED["world"],),
}
"""What must be found in a request to the vendor, told as a client said it."""


def _plain(body: str) -> str:
    """All texts of a JSON body, unescaped, one after the other."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                found.append(name)
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            found.append(str(value))

    walk(json.loads(body))
    return "\n".join(found)


def test_no_vendor_had_to_complain_of_what_no_cell_asked_for(
    outcomes: Mapping[tuple[str, str, str], Outcome], on_stage: Stage
) -> None:
    """A client that hides a 400, by trying again another way, hides it from its cell; not from the vendor."""
    assert [] == sorted({f"{fake.protocol}: {text}" for fake in on_stage.vendors.values() for text in fake.complaints})


def test_page_is_what_came_out(outcomes: Mapping[tuple[str, str, str], Outcome], golden: bool) -> None:
    """docs/reference/clients.md is the grid of this run."""
    written = page(outcomes)
    if golden:
        PAGE.write_text(written, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written
