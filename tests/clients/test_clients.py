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

CELLS = [(client, upstream, feature) for client in CLIENTS for upstream in UPSTREAMS for feature in FEATURES]
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "clients.md"


@pytest.mark.parametrize(("client", "upstream", "feature"), CELLS)
def test_cell(
    outcomes: Mapping[tuple[str, str, str], Outcome],
    sent: Mapping[str, list[str]],
    record_property: Callable[[str, object], None],
    client: str,
    upstream: str,
    feature: str,
) -> None:
    """The client got what it must, or the table says why no client could; and the vendor was asked for it."""
    outcome = outcomes.get((client, upstream, feature)) or outcomes.get((client, "", ""))
    record_property("cell", [client, upstream, feature, outcome.word if outcome else "missing"])
    assert outcome is not None, f"the script of {client} said nothing"
    reason = impossible(client, upstream, feature)
    if reason is not None:
        assert outcome.word == "impossible", f"it works; take it out of impossible.yaml ({reason})"
        return
    assert outcome.word == "ok", outcome.detail or f"{outcome.word}, without a line in impossible.yaml"
    bodies = sent.get(f"[{client}>{upstream}>{feature}]")
    assert bodies, "no request for it reached a vendor"
    for evidence in EVIDENCE.get(feature, ()):
        assert any(evidence in body for body in map(_plain, bodies)), f"{evidence!r} never reached the vendor"


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
