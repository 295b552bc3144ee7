"""Responses that get lost: the worker dies, nothing is kept, the store is broken."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openai
import pytest
from openai.types.responses import Response

from tests.e2e.test_responses_http import CONFIG, ENV, client, until
from tests.support.gateway import gateway, run_cli
from tests.support.vendor import Vendor, vendor


@pytest.fixture
def native() -> Iterator[Vendor]:
    with vendor("openai_responses") as fake:
        yield fake


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in /proc")
def test_a_background_response_whose_worker_died_is_failed(native: Vendor, tmp_path: Path) -> None:
    config = CONFIG.format(workers=1, native=native.url, more="")
    with gateway(tmp_path, config, ENV) as running, client(running) as made:
        asked = made.responses.create(model="sim/slow", input="first after 60s", background=True)
        kept = made.responses.create(model="sim/echo", input="Remember this.")
        until(lambda: made.responses.retrieve(asked.id).status == "in_progress")
        for worker in Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        with sqlite3.connect(tmp_path / "data" / "gatewright.db") as db:
            db.execute("UPDATE responses SET lease_until_s = 0 WHERE background")
        db.close()

        def again() -> Response | None:
            try:
                return made.responses.retrieve(asked.id)
            except openai.APIConnectionError:
                return None

        found = until(again)
        assert (found.status, found.error.code) == ("failed", "server_error")
        assert made.responses.retrieve(kept.id).to_dict() == kept.to_dict()


def test_where_nothing_is_kept_the_answer_says_so(native: Vendor, tmp_path: Path) -> None:
    native.clear()
    config = CONFIG.format(workers=1, native=native.url, more=", storage: none")
    with gateway(tmp_path, config, ENV) as running, client(running) as made:
        answer = made.responses.create(model="sim/echo", input="x")
        made.responses.create(model="native/plain", input="x")
        with pytest.raises(openai.NotFoundError):
            made.responses.retrieve(answer.id)

    assert native.requests[0].body["store"] is False
    with closing(sqlite3.connect(tmp_path / "data" / "gatewright.db")) as db:
        assert db.execute("SELECT count(*) FROM responses").fetchone() == (0,)


def test_a_store_that_is_broken_keeps_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\n")
    assert run_cli("build", root=tmp_path).returncode == 0
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "gatewright.db").write_bytes(b"no database" * 1000)
    started = run_cli("serve", "--port", "0", root=tmp_path)

    assert started.returncode == 1
    assert "the store cannot be used: " in started.stdout + started.stderr
