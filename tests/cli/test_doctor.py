"""`gatewright doctor` finds what would stop a server, changes nothing and shows no secret."""

import asyncio
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime.cli import examination
from runtime.cli.examination import Finding
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import Source
from runtime.config.plan import Plan
from runtime.config.secrets import environment, resolve_secrets
from runtime.stores.migrate import SCHEMA
from tests.cli.conftest import SOUND, Run
from tests.support.database import prepared
from tests.support.ports import kept_port


@pytest.fixture
def built(run: Run, root: Path) -> Iterator[Path]:
    with kept_port() as port:
        (root / "gateway.yaml").write_text(SOUND + f"server:\n  port: {port}\n")
        assert 0 == run("build", "--root", root).code
        yield root


def statuses(out: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in json.loads(out):
        found.setdefault(finding["subject"], set()).add(finding["status"])
    return found


def test_a_built_project_can_be_served(run: Run, built: Path) -> None:
    before = sorted(path for path in built.rglob("*"))
    ran = run("doctor", "--root", built, "--json")

    assert 0 == ran.code, ran.out
    subjects = {"python", "clock", "open files", "disk", "plan", "port", "data", "providers"}
    assert subjects <= set(statuses(ran.out))
    assert before == sorted(path for path in built.rglob("*"))


def test_a_stale_plan_is_a_fault(run: Run, built: Path) -> None:
    (built / "gateway.yaml").write_text(SOUND)
    ran = run("doctor", "--root", built)

    assert 1 == ran.code
    assert "gateway.yaml was changed since the last build" in ran.out


def test_a_taken_port_is_a_fault(run: Run, built: Path) -> None:
    port = int((built / "gateway.yaml").read_text().rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        ran = run("doctor", "--root", built)

    assert 1 == ran.code
    assert "another process listens there" in ran.out


def test_a_secret_file_that_others_can_read_is_a_fault(run: Run, built: Path) -> None:
    (built / "data").mkdir()
    (built / "data/pepper").write_text("not-to-be-shown\n")
    (built / "data/pepper").chmod(0o644)
    ran = run("doctor", "--root", built)

    assert 1 == ran.code
    assert "chmod 600" in ran.out
    assert "not-to-be-shown" not in ran.out


def test_missing_secrets_are_named_and_present_ones_are_not_shown(
    run: Run, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESENT_KEY", "value-of-the-present-key")
    text = (built / "gateway.yaml").read_text().replace(
        "  sim: {}\n",
        '  sim: {}\n  openai:\n    connections: [{id: a, key: "${PRESENT_KEY}"}, {id: b, key: "${ABSENT_KEY}"}]\n',
    )  # fmt: skip
    (built / "gateway.yaml").write_text(text)
    run("build", "--root", built)
    ran = run("doctor", "--root", built)

    assert 1 == ran.code
    assert "${ABSENT_KEY}" in ran.out
    assert "openai/a" in ran.out
    assert "value-of-the-present-key" not in ran.out


def test_a_clock_years_behind_is_a_fault() -> None:
    assert ["fault"] == [finding.status for finding in examination.clock(86_400.0)]
    assert ["ok"] == [finding.status for finding in examination.clock(2_000_000_000.0)]


def test_a_data_directory_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    assert ["fault"] == [finding.status for finding in examination.data_directory(tmp_path / "data")]


async def test_probing_reports_any_answer_as_reached_and_a_refusal_as_a_warning() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        plan = two_servers(port, closed.getsockname()[1])
        found = await examination.reach(plan, resolve_secrets(plan, environment(Path(), {})))
    server.close()
    await server.wait_closed()

    assert [
        Finding(subject="reach", status="ok", message="up/main answers with status 404"),
        Finding(subject="reach", status="warning", message="down/main does not answer: ConnectError"),
    ] == sorted(found, key=lambda finding: finding.status)


def two_servers(up: int, down: int) -> Plan:
    entry = (
        "  {0}:\n    name: {0}\n    base_url: http://127.0.0.1:{1}/v1\n    local: true\n    auth: {{scheme: none}}\n"
        "    surfaces: {{openai_chat: {{}}}}\n    connections: [{{id: main}}]\n    models: {{m: {{}}}}\n"
    )
    text = (
        "version: 1\ndiscovery: {providers: none}\nproviders:\n" + entry.format("up", up) + entry.format("down", down)
    )
    plan = compile_plan((Source("gateway.yaml", text.encode()),), Catalog.of([])).plan
    assert plan is not None
    return plan


def test_a_shared_file_is_looked_at_and_never_made(run: Run, built: Path) -> None:
    with (built / "gateway.yaml").open("a") as config:
        config.write("  workers: 2\n")
    assert 0 == run("build", "--root", built).code
    assert "shared.db will be made" in run("doctor", "--root", built).out
    assert not (built / "data" / "shared.db").exists()
    (built / "data").mkdir(exist_ok=True)
    (built / "data" / "shared.db").write_bytes(b"something else" * 100)

    ran = run("doctor", "--root", built)
    assert 1 == ran.code
    assert "shared.db cannot be used" in ran.out


def test_the_store_is_looked_at_and_never_made(run: Run, built: Path) -> None:
    assert "gatewright.db will be made" in run("doctor", "--root", built).out
    assert not (built / "data" / "gatewright.db").exists()

    prepared(built / "data")
    assert f"gatewright.db has the shape {SCHEMA}" in run("doctor", "--root", built).out
    with closing(sqlite3.connect(built / "data" / "gatewright.db")) as database, database:
        database.execute("UPDATE schema_version SET version_num = '9999'")
    newer = run("doctor", "--root", built)
    assert "has the shape 9999 of a newer release" in newer.out
    assert 0 == newer.code
    (built / "data" / "gatewright.db").write_bytes(b"something else" * 100)
    broken = run("doctor", "--root", built)
    assert "file is not a database" in broken.out
    assert 1 == broken.code


def test_a_store_that_cannot_be_reached_is_a_fault_without_its_password(
    run: Run, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (built / "gateway.yaml").open("a") as file:
        file.write("store: {url: '${DATABASE_URL}'}\n")
    assert 0 == run("build", "--root", built).code
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna:s3cret-pass@127.0.0.1:1/gateway")
    ran = run("doctor", "--root", built)

    assert "anna:***@127.0.0.1:1/gateway" in ran.out
    assert "s3cret-pass" not in ran.out
    assert 1 == ran.code


def test_what_waits_for_the_ledger_is_told(run: Run, built: Path) -> None:
    assert "no journal waits" in run("doctor", "--root", built).out
    journal = built / "data" / "journal" / "0123456789ab"
    journal.mkdir(parents=True)
    (journal / "00000001.log").write_bytes(bytes(5000))

    assert "1 with 4 KiB" in run("doctor", "--root", built).out
