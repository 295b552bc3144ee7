"""Credentials that were given through the management API: encrypted in the store, used upstream, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Running, gateway, run_cli
from tests.support.postgres import PACKAGES
from tests.support.vendor import KEY, Vendor, vendor

ADMIN = "gw-an-admin-of-the-tests-0123456789"
CONFIG = """version: 1
discovery: {{providers: none}}
logging: {{level: debug}}
providers:
  sim: {{}}
  chatty:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    open_models: true
    connections: [{{id: main, key: "${{FIRST_KEY}}"}}]
retries: {{per_target: 0}}
cooldowns: {{max: 0s}}
keys:
  root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}
{more}
"""
ENV = {"ADMIN_KEY": ADMIN, "FIRST_KEY": "first-0123456789"}


@pytest.fixture(scope="module")
def chatty() -> Iterator[Vendor]:
    with vendor("openai_chat") as fake:
        yield fake


def ask(served: Running, method: str, path: str, body: object = None) -> tuple[int, Any]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {ADMIN}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{served.url}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        text = error.read()
        assert KEY.encode() not in text
        return error.code, json.loads(text or b"null")
    assert KEY.encode() not in text
    return response.status, json.loads(text) if text.startswith((b"{", b"[")) else text


def given(served: Running) -> None:
    """The key that the vendor takes is given in the place of the configured one."""
    status, told = ask(served, "PUT", "/api/providers/chatty:main", {"apiKey": KEY})
    assert 200 == status, told


def chat(served: Running) -> int:
    body = {"model": "chatty/plain", "messages": [{"role": "user", "content": "hi"}]}
    return ask(served, "POST", "/v1/chat/completions", body)[0]


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_a_credential_is_used_and_is_nowhere_in_the_clear(
    chatty: Vendor, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """Looked for in the database, the files, the log, metrics, and every answer."""
    more, env, url = "", dict(ENV), ""
    if where == "postgresql":
        url = request.getfixturevalue("postgres_server").url()
        more, env["DATABASE_URL"] = "store: {url: '${DATABASE_URL}'}", url
    with gateway(tmp_path, CONFIG.format(url=chatty.url, more=more), env) as served:
        assert 200 != chat(served)
        given(served)
        assert 200 == chat(served)
        broken = {"base_url": "nonsense", "apiKey": KEY, "surplus": KEY}
        assert ask(served, "PUT", "/api/providers/chatty:main", broken)[0] in {400, 422}
        for path in (
            "/api/providers",
            "/api/compliance/audit-log",
            "/metrics",
            "/health",
            "/v1/models",
            "/api/resilience",
        ):
            assert 200 == ask(served, "GET", path)[0]
        log = served.log
    shown = run_cli("export", root=tmp_path, env=env), run_cli("overrides", root=tmp_path, env=env)
    assert KEY not in log + "".join(each.stdout + each.stderr for each in shown)
    assert "stored:" in shown[0].stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [] == [path for path in files if KEY.encode() in path.read_bytes()]
    if url:
        dump = max(PACKAGES.glob("*/bin")) / "pg_dump"
        assert KEY not in subprocess.run([dump, url], capture_output=True, text=True, check=True).stdout
    else:
        assert 0o600 == (tmp_path / "data" / "store-key").stat().st_mode & 0o777


def test_without_the_right_key_nothing_starts(chatty: Vendor, tmp_path: Path) -> None:
    config = CONFIG.format(url=chatty.url, more="")
    with gateway(tmp_path, config, ENV | {"GATEWRIGHT_STORE_KEY": "the first key"}) as served:
        given(served)
        assert 200 == chat(served)

    refused = run_cli("serve", "--port", "0", root=tmp_path, env=ENV | {"GATEWRIGHT_STORE_KEY": "another key"})
    assert 1 == refused.returncode
    assert "GATEWRIGHT_STORE_KEY" in refused.stderr
    assert "the first key" not in refused.stderr
    doctor = run_cli("doctor", root=tmp_path, env=ENV | {"GATEWRIGHT_STORE_KEY": "another key"})
    assert "GATEWRIGHT_STORE_KEY_BEFORE" in doctor.stdout


def test_a_new_key_takes_over_and_the_old_one_is_needed_no_more(chatty: Vendor, tmp_path: Path) -> None:
    config = CONFIG.format(url=chatty.url, more="")
    with gateway(tmp_path, config, ENV | {"GATEWRIGHT_STORE_KEY": "first-key"}) as served:
        given(served)
    both = {"GATEWRIGHT_STORE_KEY": "second-key", "GATEWRIGHT_STORE_KEY_BEFORE": "zeroth-key first-key"}
    with gateway(tmp_path, config, ENV | both) as served:
        assert 200 == chat(served)
        assert "1 stored secrets were encrypted anew" in served.log
    with gateway(tmp_path, config, ENV | {"GATEWRIGHT_STORE_KEY": "second-key"}) as served:
        assert 200 == chat(served)
