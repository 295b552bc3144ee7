"""Commands that ask a running gateway say what is wrong with the address, the key, or whoever answers there."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ODD_URLS = ["nonsense", "localhost:8080", "http://[::1", "http:///x", "http://host:0", "http://host:port", "ftp://host"]


@pytest.fixture
def babbler() -> Iterator[int]:
    """A port where somebody answers who speaks no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def babble() -> None:
            taken, _ = listening.accept()
            with taken:
                taken.recv(4096)
                taken.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        worker = threading.Thread(target=babble, daemon=True)
        worker.start()
        yield int(listening.getsockname()[1])
        worker.join()


@pytest.mark.parametrize("url", ODD_URLS)
def test_what_is_no_address_is_said_to_be_none(run: Run, root: Path, url: str) -> None:
    ran = run("explain", "--request", "x", "--url", url, "--root", root)

    assert (1, f"gatewright: {url} is no address of a gateway; write it as http://host:port\n") == (ran.code, ran.err)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel€"])
def test_a_key_that_no_header_can_carry_is_said_to_be_one(
    run: Run, root: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWRIGHT_KEY", key)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ran = run("explain", "--request", "x", "--url", url, "--root", root)

    assert 1 == ran.code
    assert "the key cannot be sent: it holds what no header can carry; look at GATEWRIGHT_KEY" in ran.err
    assert key not in ran.err


def test_who_speaks_no_http_is_said_to_speak_none(run: Run, root: Path, babbler: int) -> None:
    ran = run("explain", "--request", "x", "--url", f"http://127.0.0.1:{babbler}", "--root", root)

    assert 1 == ran.code
    assert "does not speak HTTP" in ran.err


def test_a_kept_key_that_is_none_is_to_be_deleted(run: Run, root: Path) -> None:
    (root / "data").mkdir()
    (root / "data/dev-key").write_bytes(b"\xff\xfe")
    ran = run("explain", "--request", "x", "--url", "http://127.0.0.1:1", "--root", root)

    assert 1 == ran.code
    assert "data/dev-key holds no key; delete it" in ran.err


def test_a_plan_nested_beyond_all_bounds_is_none(run: Run, root: Path) -> None:
    assert 0 == run("build", "--root", root).code
    (root / "deep.json").write_text('{"else": ' + "[" * 100_000)
    ran = run("diff", root / "deep.json", "--root", root)

    assert 1 == ran.code
    assert "deep.json is not a plan of this version" in ran.err


@pytest.mark.parametrize("piped", ["", "correct horse battery staple\n" * 2])
def test_a_password_is_asked_for_at_a_terminal_only(run: Run, root: Path, piped: str) -> None:
    """What is piped in without `--password-stdin` is no answer, and Python's own warnings are nobody's."""
    assert 0 == run("build", "--root", root).code
    command = [sys.executable, "-m", "runtime.cli", "people", "add", "anna", "--root", str(root)]
    done = subprocess.run(command, input=piped, capture_output=True, text=True, start_new_session=True, check=False)

    told = "gatewright: there is nobody to ask for the password here; pipe it in with `--password-stdin`\n"
    assert (1, "", told) == (done.returncode, done.stdout, done.stderr)


def test_a_password_that_is_no_text_is_refused(run: Run, root: Path) -> None:
    assert 0 == run("build", "--root", root).code
    ran = run("people", "add", "anna", "--password-stdin", "--root", root, stdin=b"\xff\xfe correct horse battery\n")

    assert (1, "gatewright: the password is no text in UTF-8\n") == (ran.code, ran.err)
    assert [] == json.loads(run("people", "list", "--json", "--root", root).out)
