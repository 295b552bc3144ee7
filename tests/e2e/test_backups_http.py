"""Backups over a real server of two workers: made, put back, exported and imported while calls go on."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.asking import ADMIN, FOREIGN, GUEST, KEYS, TWO_TENANTS, Reply, ask, call
from tests.support.gateway import Running, gateway
from tests.support.postgres import Postgres

CONFIG = (
    TWO_TENANTS
    + """backups: {keep: 6, upload_limit: 4MiB}
"""
)
BAD_OVERRIDE = """INSERT INTO overrides (section, name, document, author, changed_s, revision)
VALUES ('combos', 'bad', 'targets: [nothing/nowhere]', 'x', 1, 1)"""
CHAT = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
PAUSE_S = 0.02
"""Between the calls of one caller: what goes on beside them needs the processor, too."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("backups"), CONFIG, KEYS) as running:
        yield running


def send(served: Running, method: str, path: str, data: bytes | None, media_type: str, key: str | None) -> Reply:
    return call(served, method, path, data, key=key, content_type=media_type)


def made_key(served: Running, name: str) -> tuple[str, str]:
    status, key = ask(served, "POST", "/api/keys", {"name": name})
    assert status == 201
    return key["id"], key["key"]


def names(served: Running) -> set[str]:
    return {key["name"] for key in ask(served, "GET", "/api/keys")[1]["keys"]}


def everywhere(served: Running, key: str, status: int, **more: str) -> None:
    """Every worker answers so, before long."""
    deadline = time.monotonic() + 60
    while any(status != ask(served, "POST", "/v1/chat/completions", CHAT | more, key)[0] for _ in range(6)):
        assert time.monotonic() < deadline
        time.sleep(PAUSE_S)


def settled(served: Running) -> list[str]:
    """The calls of which the ledger knows what they cost, by the ids that their clients were told."""
    with closing(sqlite3.connect(served.root / "data" / "gatewright.db", timeout=30)) as db:
        return [id_ for (id_,) in db.execute("SELECT request_id FROM settlements")]


def test_a_backup_is_made_listed_and_put_back_in_every_worker(served: Running) -> None:
    _, kept = made_key(served, "kept")
    combo = {"name": "backed", "models": ["sim/echo"]}
    assert ask(served, "POST", "/api/combos", combo)[0] == 201
    status, backup = ask(served, "PUT", "/api/db-backups")
    assert (status, backup["created"]) == (200, True)
    file = served.root / "data" / "backups" / backup["filename"]
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert file.stat().st_size == backup["size"]
    listed = ask(served, "GET", "/api/db-backups")[1]["backups"]
    assert {"id": backup["id"], "size": backup["size"], "reason": "manual"}.items() <= listed[0].items()

    _, late = made_key(served, "late")
    assert ask(served, "DELETE", "/api/combos/backed")[0] == 200
    kept_id = next(key["id"] for key in ask(served, "GET", "/api/keys")[1]["keys"] if key["name"] == "kept")
    ask(served, "DELETE", f"/api/keys/{kept_id}")
    status, back = ask(served, "POST", "/api/db-backups", {"backupId": backup["id"]})
    assert (status, back["restored"]) == (200, True)
    everywhere(served, kept, 200)
    everywhere(served, late, 401)
    assert "late" not in names(served)
    everywhere(served, GUEST, 200, model="backed")
    assert ask(served, "POST", "/api/db-backups", {"backupId": back["previous"]})[0] == 200
    assert {"late"} <= names(served)


def test_calls_go_on_while_backups_are_made_and_put_back(served: Running) -> None:
    stop, failed, answered = threading.Event(), list[Reply](), list[str]()

    def call_on() -> None:
        while not stop.wait(PAUSE_S):
            reply = call(served, "POST", "/v1/chat/completions", CHAT, key=GUEST)
            if reply.status == 200:
                answered.append(reply.headers["x-request-id"])
            else:
                failed.append(reply)

    callers = [threading.Thread(target=call_on) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(3):
            status, backup = ask(served, "PUT", "/api/db-backups")
            assert status == 200
            assert ask(served, "POST", "/api/db-backups", {"backupId": backup["id"]})[0] == 200
    finally:
        stop.set()
        for caller in callers:
            caller.join()

    assert not failed
    assert len(answered) > 20
    deadline = time.monotonic() + 60
    while missing := set(answered) - set(settled(served)):  # of no call was what it cost turned back
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)
    assert len(answered) == sum(map(set(answered).__contains__, settled(served))), "and none is there twice"
    with closing(sqlite3.connect(served.root / "data" / "gatewright.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_exported_can_be_imported_both_ways(served: Running) -> None:
    made_key(served, "exported")
    status, headers, raw = send(served, "GET", "/api/db-backups/export", None, "", ADMIN)
    assert (status, headers["content-type"]) == (200, "application/vnd.sqlite3")
    assert "attachment" in headers["content-disposition"]
    assert raw.startswith(b"SQLite format 3\0")
    assert int(headers["content-length"]) == len(raw)
    made_key(served, "after the export")

    status, _, said = send(served, "POST", "/api/db-backups/import", raw, "application/octet-stream", ADMIN)
    told = json.loads(said)
    assert (status, told["imported"]) == (200, True)
    assert told["apiKeyCount"] == len([name for name in names(served) if name not in {"root", "guest", "foreign"}])
    assert "exported" in names(served)
    assert "after the export" not in names(served)

    made_key(served, "before the form")
    form = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="x.sqlite"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + raw + b"\r\n--cut--\r\n"
    )
    status, _, said = send(served, "POST", "/api/db-backups/import", form, "multipart/form-data; boundary=cut", ADMIN)
    assert status == 200, said
    assert "before the form" not in names(served)


def test_everything_in_one_archive_holds_no_secret_in_the_clear(served: Running) -> None:
    status, headers, raw = send(served, "GET", "/api/db-backups/exportAll", None, "", ADMIN)
    assert (status, headers["content-type"]) == (200, "application/gzip")
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]

    assert {"manifest.json", "gatewright.sqlite", "config/gateway.yaml"} <= set(members)
    manifest = json.loads(members["manifest.json"])
    assert manifest["rows"]["keys"] >= 0
    pepper = (served.root / "data" / "pepper").read_text().strip()
    together = b"".join(members.values())
    assert not [secret for secret in (ADMIN, GUEST, FOREIGN, pepper) if secret.encode() in together]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", "application/octet-stream", 400),
        (b"rubbish" * 1000, "application/octet-stream", 400),
        (b"SQLite format 3\0" + b"\0" * 8000, "application/octet-stream", 400),
        (b"x" * (5 << 20), "application/octet-stream", 413),
        (b"{}", "application/json", 415),
        (b"--a\r\n\r\n", "multipart/form-data; boundary=a", 400),
        (b"--a--\r\n", "multipart/form-data; boundary=a", 400),
        (b"", "multipart/form-data", 415),
    ],
)
def test_what_is_no_store_is_refused_and_changes_nothing(
    served: Running, body: bytes, media_type: str, status: int
) -> None:
    before = names(served), len(ask(served, "GET", "/api/db-backups")[1]["backups"])

    found, headers, said = send(served, "POST", "/api/db-backups/import", body, media_type, ADMIN)
    assert found == status, said
    assert headers["content-type"] == "application/problem+json"
    assert (names(served), len(ask(served, "GET", "/api/db-backups")[1]["backups"])) == before
    assert not [path for path in (served.root / "data" / "backups").glob(".*") if path.name != ".lock"]


def spoiled(served: Running, path: Path, statement: str) -> bytes:
    raw = send(served, "GET", "/api/db-backups/export", None, "", ADMIN)[2]
    path.write_bytes(raw)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(statement)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("statement", "status", "said"),
    [
        ("UPDATE schema_version SET version_num = '9999'", 400, "newer release"),
        ("DROP TABLE schema_version", 400, "something else"),
        ("CREATE TRIGGER t AFTER DELETE ON keys BEGIN DELETE FROM people; END", 400, "trigger"),
        ("PRAGMA user_version = 12345", 409, "another pepper"),
        (
            BAD_OVERRIDE,
            422,
            "nothing",
        ),
    ],
)
def test_a_store_that_does_not_fit_is_refused_with_the_reason(
    served: Running, tmp_path: Path, statement: str, status: int, said: str
) -> None:
    made_key(served, f"there {status} {said}")
    before = names(served)
    raw = spoiled(served, tmp_path / "x.sqlite", statement)

    found, _, told = send(served, "POST", "/api/db-backups/import", raw, "application/octet-stream", ADMIN)
    assert (found, said in told.decode()) == (status, True), told
    assert names(served) == before


@pytest.mark.parametrize(
    "name", ["../gatewright.db", "db_x.sqlite", "", "/etc/passwd", "db_20260101T000000Z_manual_00000000.sqlite\0"]
)
def test_no_name_leads_elsewhere(served: Running, name: str) -> None:
    assert ask(served, "POST", "/api/db-backups", {"backupId": name})[0] == 400


def test_an_unknown_backup_and_a_damaged_one_are_told_apart(served: Running) -> None:
    unknown = {"backupId": "db_20260101T000000Z_manual_00000000.sqlite"}
    assert ask(served, "POST", "/api/db-backups", unknown)[0] == 404
    _, backup = ask(served, "PUT", "/api/db-backups")
    file = served.root / "data" / "backups" / backup["filename"]
    file.write_bytes(file.read_bytes()[:-4096])
    status, told = ask(served, "POST", "/api/db-backups", {"backupId": backup["id"]})
    assert (status, told["param"]) == (400, "backupId")
    (served.root / "data" / "backups" / "db_20260101T000000Z_manual_11111111.sqlite").symlink_to("/etc/passwd")
    assert "11111111" not in json.dumps(ask(served, "GET", "/api/db-backups")[1])


def test_no_more_are_kept_than_the_operator_wants(served: Running) -> None:
    for _ in range(8):
        assert ask(served, "PUT", "/api/db-backups")[0] == 200
    assert len(ask(served, "GET", "/api/db-backups")[1]["backups"]) == 6

    status, cleaned = ask(served, "DELETE", "/api/db-backups", {"keepLatest": 2})
    assert (status, len(cleaned["deleted"])) == (200, 4)
    assert len(ask(served, "GET", "/api/db-backups")[1]["backups"]) == 2
    for wrong in ({"keepLatest": 0}, {"retentionDays": -1}, {"keepLatest": "all"}, {"keepLatest": 1001}, {},
                  {"keepLatst": 15}, {"keepLatest": 1, "x": 1}):  # fmt: skip
        assert ask(served, "DELETE", "/api/db-backups", wrong)[0] == 400
    assert len(ask(served, "GET", "/api/db-backups")[1]["backups"]) == 2


@pytest.mark.parametrize(("key", "status"), [(None, 401), (GUEST, 403), (FOREIGN, 403)])
def test_only_the_operators_admins_are_let_in(served: Running, key: str | None, status: int) -> None:
    calls = [
        ("GET", "/api/db-backups", None),
        ("PUT", "/api/db-backups", None),
        ("POST", "/api/db-backups", {"backupId": "x"}),
        ("DELETE", "/api/db-backups", {"keepLatest": 1}),
        ("GET", "/api/db-backups/export", None),
        ("GET", "/api/db-backups/exportAll", None),
        ("POST", "/api/db-backups/import", None),
    ]
    before = ask(served, "GET", "/api/db-backups")[1]

    assert {status} == {ask(served, method, path, body, key)[0] for method, path, body in calls}
    assert ask(served, "GET", "/api/db-backups")[1] == before


def test_a_machine_that_was_lost_comes_back_with_the_pepper_and_the_export(served: Running, tmp_path: Path) -> None:
    _, key = made_key(served, "survivor")
    raw = send(served, "GET", "/api/db-backups/export", None, "", ADMIN)[2]
    (tmp_path / "data").mkdir(mode=0o700)
    shutil.copy(served.root / "data" / "pepper", tmp_path / "data" / "pepper")
    with gateway(tmp_path, CONFIG.replace("workers: 2", "workers: 1"), KEYS) as fresh:
        assert send(fresh, "POST", "/api/db-backups/import", raw, "application/octet-stream", ADMIN)[0] == 200
        everywhere(fresh, key, 200)


def test_a_directory_that_cannot_be_used_is_said_and_breaks_nothing(served: Running) -> None:
    directory = served.root / "data" / "backups"
    aside = directory.with_name("aside")
    directory.rename(aside)
    directory.write_text("in the way")
    try:
        assert ask(served, "PUT", "/api/db-backups")[0] == 503
        assert ask(served, "GET", "/api/db-backups")[1] == {"backups": []}
        assert ask(served, "POST", "/v1/chat/completions", CHAT, GUEST)[0] == 200
    finally:
        directory.unlink()
        aside.rename(directory)
    assert ask(served, "PUT", "/api/db-backups")[0] == 200


def test_a_store_on_postgresql_is_backed_up_and_put_back_while_calls_go_on(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    config = CONFIG + 'store: {url: "${DATABASE_URL}"}\n'
    with gateway(tmp_path, config, {**KEYS, "DATABASE_URL": postgres_server.url()}) as pg:
        _, kept = made_key(pg, "kept")
        stop, statuses = threading.Event(), []

        def call() -> None:
            while not stop.wait(PAUSE_S):
                statuses.append(ask(pg, "POST", "/v1/chat/completions", CHAT, GUEST)[0])

        caller = threading.Thread(target=call)
        caller.start()
        try:
            status, backup = ask(pg, "PUT", "/api/db-backups")
            assert status == 200, backup
            made_key(pg, "late")
            status, back = ask(pg, "POST", "/api/db-backups", {"backupId": backup["id"]})
            assert status == 200, back
        finally:
            stop.set()
            caller.join()
        assert set(statuses) == {200}
        assert "late" not in names(pg)
        everywhere(pg, kept, 200)
        raw = send(pg, "GET", "/api/db-backups/export", None, "", ADMIN)[2]
        assert send(pg, "POST", "/api/db-backups/import", raw, "application/octet-stream", ADMIN)[0] == 200
        made_key(pg, "afterwards")
        assert {"kept", "afterwards"} <= names(pg)
