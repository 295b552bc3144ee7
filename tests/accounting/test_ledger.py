"""What a call is settled at: what its providers said, else what was seen of it; once, and never without a trace."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import msgspec
import pytest

from runtime.accounting.frames import Frame, Opened, PriceTable, scan
from runtime.accounting.journal import journal_files
from runtime.accounting.ledger import Priced
from runtime.accounting.price import price, price_version
from runtime.accounting.received import Received
from runtime.canonical import Usage
from runtime.errors import LedgerUnavailable
from runtime.stores.database import Database, database_url
from runtime.stores.entries import NO_COUNTS, Settlement, counts_of, usage_of
from tests.support.accounting import NOW_S, PRICES, USED, Books, answered, asked, attempt


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path, Database(database_url(None, tmp_path)))


def frames(books: Books) -> list[Frame]:
    return [frame for path in journal_files(books.journal.directory) for frame in scan(path.read_bytes()).frames]


def settled(books: Books) -> Settlement:
    (only,) = (each for each in frames(books) if isinstance(each, Settlement))
    return only


def test_an_attempt_is_noted_before_it_is_sent_with_its_prices(books: Books) -> None:
    record = books.begin()
    row = asked(books, record)

    table, opened = frames(books)
    assert PriceTable(price_version(PRICES), PRICES) == table
    assert isinstance(opened, Opened)
    assert (record.settlement, row.number, 1000) == (opened.id, opened.number, opened.input_tokens)
    assert (NOW_S - 1.0, NOW_S) == (opened.at_s, opened.sent_s)


def test_of_the_prices_of_plans_that_are_no_more_few_are_kept(books: Books) -> None:
    for _ in range(1025):
        record = books.begin()
        answered(asked(books, record, prices=msgspec.structs.replace(PRICES)))
        books.ledger.settle(record)

    assert sum(isinstance(each, Priced) for each in gc.get_objects()) <= 1024
    assert len([each for each in frames(books) if isinstance(each, PriceTable)]) == 1


def test_a_call_is_settled_once_at_what_its_provider_said(books: Books) -> None:
    record = books.begin()
    answered(asked(books, record))
    books.ledger.settle(record)
    books.ledger.settle(record)

    found = settled(books)
    assert (counts_of(USED), 4_500_000, False, False) == (
        found.counts,
        found.cost_nano_usd,
        found.estimated,
        found.unpriced,
    )
    assert (200, "ok", 1000, -1) == (found.status, found.outcome, found.duration_ms, found.first_token_ms)
    assert (4_500_000, 1100) == (record.cost_nano_usd, found.tokens)
    (entry,) = found.attempts
    assert (price_version(PRICES), "p", "p/main", 400) == (
        entry.price_version,
        entry.provider,
        entry.connection,
        entry.duration_ms,
    )


def test_a_call_with_several_attempts_is_their_sum(books: Books) -> None:
    record = books.begin()
    answered(asked(books, record), None, "rate_limit", 429)
    answered(asked(books, record, target="q/m"), Usage(input=10, output=1), "cancelled")
    answered(asked(books, record, target="r/m"))
    books.ledger.settle(record)

    found = settled(books)
    assert [("p/m", 0), ("q/m", 45_000), ("r/m", 4_500_000)] == [
        (each.target, each.cost_nano_usd) for each in found.attempts
    ]
    assert (4_545_000, counts_of(Usage(input=1010, output=101))) == (found.cost_nano_usd, found.counts)
    assert ["p/m", "q/m"] == [each.target for each in [f for f in frames(books) if isinstance(f, Opened)][2].ended]


def test_what_was_not_sent_is_no_attempt(books: Books) -> None:
    record = books.begin()
    answered(attempt(record), None, "invalid_request", None)
    books.ledger.settle(record)

    assert () == settled(books).attempts


def test_a_count_of_tokens_costs_nothing(books: Books) -> None:
    record = books.begin()
    row = attempt(record)
    row.free = True
    books.ledger.open(record, row, 1000)
    answered(row)
    books.ledger.settle(record)

    (found,) = frames(books)
    assert isinstance(found, Settlement)
    assert [(0, NO_COUNTS)] == [(each.cost_nano_usd, each.counts) for each in found.attempts]


def test_an_answer_that_no_model_made_costs_nothing_and_says_so(books: Books) -> None:
    record = books.begin()
    record.replay = "exact"
    books.ledger.settle(record)
    found = settled(books)
    assert ("exact", 0, ()) == (found.replay, found.cost_nano_usd, found.attempts)


def test_a_call_that_missed_the_cache_is_no_replay(books: Books) -> None:
    record = books.begin()
    record.replay = "miss"
    books.ledger.settle(record)
    assert "" == settled(books).replay


def test_a_call_of_nobody_and_a_part_of_a_call_are_not_settled(books: Books) -> None:
    stranger, part = books.begin(key=""), books.begin()
    part.part = True
    books.ledger.settle(stranger)
    books.ledger.settle(part)

    assert not books.journal.directory.exists()


def test_what_has_no_price_is_never_free(books: Books) -> None:
    record = books.begin()
    answered(asked(books, record, prices=None))
    books.ledger.settle(record)

    found = settled(books)
    assert (0, True, True, "") == (
        found.cost_nano_usd,
        found.unpriced,
        record.unpriced,
        found.attempts[0].price_version,
    )


STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'


@pytest.mark.parametrize(
    ("usage", "outcome", "status", "expected"),
    [
        (None, "ok", 200, Usage(input=40, output=20, estimated=True)),
        (None, "cancelled", 200, Usage(input=40, output=20, estimated=True)),
        (None, "upstream_protocol", 200, Usage(input=40, output=20, estimated=True)),
        (None, "timeout", None, Usage(input=40, output=20, estimated=True)),
        (None, "cancelled", None, Usage(input=40, output=20, estimated=True)),
        (Usage(input=7, output=1), "cancelled", 200, Usage(input=7, output=20, estimated=True)),
        (Usage(), "cancelled", 200, Usage(input=40, output=20, estimated=True)),
        (Usage(output=30), "cancelled", 200, Usage(input=40, output=30, estimated=True)),
        (Usage(), "ok", 200, Usage(input=40, output=20, estimated=True)),
        (Usage(cache_read=9), "ok", 200, Usage(cache_read=9, output=20, estimated=True)),
        (Usage(output=9, reasoning=8), "ok", 200, Usage(input=40, output=9, reasoning=8, estimated=True)),
        (Usage(input=7, output=90), "cancelled", 200, Usage(input=7, output=90)),
        (Usage(input=7, output=9), "ok", 200, Usage(input=7, output=9)),
        (None, "unavailable", None, Usage()),
        (None, "rate_limit", 429, Usage()),
        (None, "server_error", 500, Usage()),
    ],
)
def test_what_broke_off_is_settled_by_what_was_received(
    books: Books, usage: Usage | None, outcome: str, status: int | None, expected: Usage
) -> None:
    record = books.begin()
    row = asked(books, record)
    received = Received("openai_chat")
    for _ in range(10):
        received.note(STREAM % b"word word ")
    row.measure, row.received = lambda: 40, received
    answered(row, usage, outcome, status)
    books.ledger.settle(record)

    (entry,) = settled(books).attempts
    assert expected == usage_of(entry.counts, estimated=entry.estimated)
    assert price(expected, PRICES, requests=entry.requests).nano_usd == entry.cost_nano_usd
    assert (None, None) == (row.measure, row.received)


def test_fault_29_without_a_journal_nothing_is_sent_and_afterwards_it_is(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = books.begin(), books.begin()
    answered(asked(books, first))
    monkeypatch.setattr(os, "write", _full)
    with pytest.raises(LedgerUnavailable):
        asked(books, second)
    books.ledger.settle(second)
    books.ledger.settle(first)
    assert [None, None] != books.told
    monkeypatch.undo()
    assert books.ledger.trouble

    third = books.begin()
    answered(asked(books, third))
    books.ledger.settle(third)
    assert books.ledger.trouble is None
    assert ["the journal cannot be written to: full", None] == books.told
    by_id = {each.id: each.cost_nano_usd for each in frames(books) if isinstance(each, Settlement)}
    assert {second.settlement: 0, first.settlement: 4_500_000, third.settlement: 4_500_000} == by_id


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "full")


def test_where_calls_go_on_without_a_journal_they_are_settled_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = Books(tmp_path, Database(database_url(None, tmp_path)), refuse=False)
    record = books.begin()
    monkeypatch.setattr(os, "write", _full)
    answered(asked(books, record))
    books.ledger.settle(record)
    monkeypatch.undo()
    books.ledger.retry()

    assert 4_500_000 == settled(books).cost_nano_usd
    assert [None] == books.told[1:]


def test_a_journal_holds_no_more_than_it_may(tmp_path: Path) -> None:
    books = Books(tmp_path, Database(database_url(None, tmp_path)), limit_bytes=1000)
    records = []
    with pytest.raises(LedgerUnavailable):
        for _ in range(20):
            records.append(books.begin())
            answered(asked(books, records[-1]))
    for each in records:
        books.ledger.settle(each)

    assert books.ledger.trouble
    books.journal.drained(books.journal.waiting_bytes)
    books.ledger.retry()
    assert books.ledger.trouble is None


def test_beyond_twice_that_nothing_is_written_and_the_loss_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.accounting.ledger.MAX_BACKLOG", 2)
    books = Books(tmp_path, Database(database_url(None, tmp_path)), limit_bytes=1000, refuse=False)
    for _ in range(20):
        record = books.begin()
        answered(asked(books, record))
        books.ledger.settle(record)

    assert 2000 <= books.journal.waiting_bytes <= 3000
    assert books.ledger.lost > 5


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_fault_34_a_clock_that_jumps_makes_no_call_longer_or_shorter(tmp_path: Path, jump_s: float) -> None:
    now_s = [NOW_S]
    books = Books(tmp_path, Database(database_url(None, tmp_path)))
    books.ledger._now = lambda: now_s[0]
    record = books.begin()
    row = asked(books, record)
    now_s[0] += jump_s
    answered(row)
    books.ledger.settle(record)

    found = settled(books)
    assert (1000, 400, 4_500_000) == (found.duration_ms, found.attempts[0].duration_ms, found.cost_nano_usd)
    assert NOW_S + jump_s - 1.0 == found.at_s
