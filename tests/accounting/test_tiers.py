"""Tiers that providers serve requests in: billed as the answer says, whatever the request asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.accounting.audit import examine
from runtime.accounting.price import price, price_version
from runtime.canonical import Usage
from runtime.protocols import codec
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.relay import Passing, Translating
from runtime.stores.database import Database
from runtime.stores.ledger_review import review
from tests.support.accounting import PRICES, USED, Books, answered, asked
from tests.support.vendor import SPEECH, WIRE

TIERED = msgspec.structs.replace(
    PRICES,
    priority_input=6_000_000_000,
    priority_output=30_000_000_000,
    flex_input=1_500_000_000,
    fast_input=18_000_000_000,
)
OUTGOING = Outgoing("/", (), b"", stream=True)
ANSWER = Answer(model="public", id="id", created=0, headers={})


@pytest.mark.parametrize(
    ("tier", "nano_usd"), [("", 4_500_000), ("priority", 9_000_000), ("flex", 3_000_000), ("fast", 19_500_000)]
)
async def test_the_ledger_bills_the_tier_and_the_audit_agrees(
    database: Database, tmp_path: Path, tier: str, nano_usd: int
) -> None:
    books = Books(tmp_path, database)
    record = books.begin()
    usage = msgspec.convert(msgspec.structs.asdict(USED) | {"tier": tier}, Usage)
    answered(asked(books, record, TIERED), usage)
    books.ledger.settle(record)
    await books.drain.once()

    found = await review(database, examine)
    assert (nano_usd, 0) == (found.cost_nano_usd, found.differing)
    assert nano_usd == record.cost_nano_usd


@pytest.mark.parametrize("outcome", ["cancelled", "upstream_protocol"])
async def test_a_tier_that_was_told_before_an_answer_broke_off_is_billed(
    database: Database, tmp_path: Path, outcome: str
) -> None:
    books = Books(tmp_path, database)
    record = books.begin()
    answered(asked(books, record, TIERED), msgspec.structs.replace(USED, tier="priority"), outcome)
    books.ledger.settle(record)

    assert 9_000_000 == record.cost_nano_usd


async def test_a_tier_without_a_price_of_its_own_costs_as_usual(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    record = books.begin()
    answered(asked(books, record), msgspec.structs.replace(USED, tier="priority"))
    books.ledger.settle(record)

    assert 4_500_000 == record.cost_nano_usd


def test_what_a_lost_worker_had_begun_finds_the_prices_that_it_named(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    asked(books, books.begin(), TIERED)

    assert books.journal.knows(price_version(TIERED))


def _usage(member: str) -> Callable[[dict[str, Any], str], None]:
    def told(document: dict[str, Any], word: str) -> None:
        holders: list[dict[str, Any]] = [document, document.get("message") or {}]
        counts = [holder.get("usage") or holder.get("usageMetadata") for holder in holders]
        for each in counts:
            if each:
                each[member] = word

    return told


def _answer(document: dict[str, Any], word: str) -> None:
    document.get("response", document)["service_tier"] = word


TOLD: dict[str, Callable[[dict[str, Any], str], None]] = {
    "openai_chat": _answer,
    "openai_responses": _answer,
    "anthropic_messages": _usage("service_tier"),
    "anthropic_messages, as a speed": _usage("speed"),
    "gemini": _usage("trafficType"),
    "gemini, as its API says it": _usage("serviceTier"),
}
WORDS = [
    *(("openai_chat", *each) for each in (("priority", "priority"), ("fast", "priority"), ("flex", "flex"))),
    *(("openai_chat", each, "") for each in ("default", "auto", "scale", "new")),
    *(("openai_responses", *each) for each in (("priority", "priority"), ("flex", "flex"), ("default", ""))),
    *(("anthropic_messages", *each) for each in (("priority", "priority"), ("standard", ""), ("batch", ""))),
    *(("anthropic_messages, as a speed", *each) for each in (("fast", "fast"), ("standard", ""), ("new", ""))),
    *(("gemini", *each) for each in (("ON_DEMAND_PRIORITY", "priority"), ("ON_DEMAND_FLEX", "flex"), ("ON_DEMAND", ""))),
    *(("gemini, as its API says it", *each) for each in (("PRIORITY", "priority"), ("flex", "flex"), ("standard", ""))),
]  # fmt: skip


@pytest.mark.parametrize(("told", "word", "tier"), WORDS)
def test_an_answer_says_what_tier_served_it(told: str, word: str, tier: str) -> None:
    protocol = told.partition(",")[0]
    speaks, path = codec(protocol), WIRE / protocol / "plain.json"
    document = json.loads(path.read_bytes())
    TOLD[told](document, word)
    body = json.dumps(document).encode()
    lines = path.with_suffix("." + SPEECH[protocol].ending).read_bytes().splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            TOLD[told](event, word)
            lines[at] = b"data: %b%b" % (json.dumps(event, separators=(",", ":")).encode(), line[len(line.rstrip()) :])
    passing = Passing(speaks.stream_tap(ANSWER), speaks.stream_encoder(ANSWER))
    translating = Translating(speaks.stream_decoder(OUTGOING), codec("ollama_chat").stream_encoder(ANSWER))
    for relay in (passing, translating):
        relay.feed(b"".join(lines))
        relay.close()

    found = [speaks.splice_response(body, "public")[1], speaks.decode_response(body, OUTGOING).usage]
    found += [passing.usage, translating.usage]
    assert [tier] * 4 == [each.tier if each else None for each in found]
    assert 1 == len({price(each, TIERED) for each in found if each})


def test_sums_of_answers_are_of_no_tier() -> None:
    one = Usage(input=1, tier="flex")

    assert Usage(input=2) == one + one
