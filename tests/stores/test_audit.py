"""What the audit log keeps and finds, over each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.stores.audit import AuditEntry, AuditQuestion, SqlAudit
from runtime.stores.database import Database, database_url
from tests.support.database import prepared


@pytest.fixture(params=["sqlite", "postgresql"])
async def audit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlAudit]:
    url = None if request.param == "sqlite" else request.getfixturevalue("prepared_postgres_url")
    database = Database(prepared(tmp_path) if url is None else database_url(url, tmp_path))
    yield SqlAudit(database)
    await database.aclose()


def entry(number: int, **fields: object) -> AuditEntry:
    return AuditEntry(
        **{"id": f"e{number}", "at_s": float(number), "action": "combo.created", "actor": "root", **fields}  # type: ignore[arg-type]
    )


async def test_what_was_added_is_found_newest_first(audit: SqlAudit) -> None:
    first = entry(
        1, target="combos.a", resource_type="combos", request_id="r", ip="::1", details={"n": [1, None, "é"], "o": {}}
    )
    second = entry(2, status="refused", tenant="other")
    await audit.add(first)
    await audit.add(second)

    page = await audit.find(AuditQuestion())
    assert (2, (second, first)) == (page.total, page.entries)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (AuditQuestion(action="auth"), ["e3", "e2"]),
        (AuditQuestion(action="auth.login"), ["e3", "e2"]),
        (AuditQuestion(action="auth.login.failed"), ["e3"]),
        (AuditQuestion(action="aut"), []),
        (AuditQuestion(action="%"), []),
        (AuditQuestion(actor="ann"), ["e2"]),
        (AuditQuestion(target="combos.a"), ["e1"]),
        (AuditQuestion(resource_type="combos"), ["e1"]),
        (AuditQuestion(status="failed"), ["e3"]),
        (AuditQuestion(request_id="r3"), ["e3"]),
        (AuditQuestion(tenant="other"), ["e3"]),
        (AuditQuestion(from_s=2.0), ["e3", "e2"]),
        (AuditQuestion(to_s=2.0), ["e2", "e1"]),
        (AuditQuestion(limit=1, offset=1), ["e2"]),
        (AuditQuestion(offset=9), []),
    ],
)
async def test_each_filter_narrows(audit: SqlAudit, question: AuditQuestion, found: list[str]) -> None:
    await audit.add(entry(1, target="combos.a", resource_type="combos"))
    await audit.add(entry(2, action="auth.login", actor="ann"))
    await audit.add(entry(3, action="auth.login.failed", status="failed", request_id="r3", tenant="other"))

    page = await audit.find(question)
    assert found == [each.id for each in page.entries]
    assert page.total == (3 if question.limit == 1 or question.offset else len(found))


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_hold_each_entry_once_whatever_is_added_meanwhile(audit: SqlAudit, limit: int) -> None:
    for number in range(6):
        await audit.add(entry(number, actor="ann" if number == 3 else "root"))

    seen: list[str] = []
    before: int | None = None
    while True:
        page = await audit.find(AuditQuestion(actor="root", limit=limit, before=before))
        assert len(page.entries) <= limit
        seen += [each.id for each in page.entries]
        before = page.before
        if before is None:
            break
        await audit.add(entry(10 + len(seen)))
    assert ["e5", "e4", "e2", "e1", "e0"] == seen
    assert page.total > 5, "those that came meanwhile are counted"


async def test_what_is_old_goes(audit: SqlAudit) -> None:
    for number in range(4):
        await audit.add(entry(number))

    assert 2 == await audit.sweep(2.0)
    assert 0 == await audit.sweep(2.0)
    assert ["e3", "e2"] == [each.id for each in (await audit.find(AuditQuestion())).entries]
