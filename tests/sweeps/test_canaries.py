"""No secret is told: one is planted wherever there may be one, everything is made to succeed and to fail, and all is searched.

Searched are the log at its most talkative, metrics, every answer of every operation, exports, backups and the database, the
journal, the built plan, what the commands print. Kept encrypted or as a hash, a secret is not found.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from tests.support.document import MANAGING, OPERATIONS, json_body
from tests.support.gateway import Running, gateway, run_cli
from tests.support.postgres import PACKAGES, Postgres

SECRETS: Final = {
    name: f"canary-{name.replace(' ', '-')}-7Qm2+/x9"
    for name in (
        "provider key in the environment", "provider key in a file", "provider key through the API", "provider key tried",
        "provider key refused", "admin key", "client key", "wrong key", "wrong key in the query", "cookie",
        "password", "wrong password", "new password", "proxy password", "proxy password through the API", "database password",
        "redis password", "pepper", "store key", "client header", "prompt", "prompt refused", "tool result",
    )
}  # fmt: skip
MARKS: Final = (b"canary-", b"Y2FuYXJ5", b"63616e617279")
"""What every form of every secret holds one of: where none is, no secret is."""

ENVIRONMENT: Final = {
    "FIRST_KEY": SECRETS["provider key in the environment"],
    "ADMIN_KEY": SECRETS["admin key"],
    "CLIENT_KEY": SECRETS["client key"],
    "PROXY_PASSWORD": SECRETS["proxy password"],
    "REDIS_URL": f"redis://user:{quote(SECRETS['redis password'], safe='')}@127.0.0.1:9/0",
    "GATEWRIGHT_PEPPER": SECRETS["pepper"],
    "GATEWRIGHT_STORE_KEY": SECRETS["store key"],
}
CONFIG: Final = """version: 1
discovery: {{providers: none}}
logging: {{level: debug}}
{store}
shared: {{where: redis, url: "${{REDIS_URL}}"}}
providers:
  sim: {{}}
  talkative:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    open_models: true
    connections: [{{id: environment, key: "${{FIRST_KEY}}"}}]
  filed:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    open_models: true
    connections: [{{id: main, key: "file:secrets/key"}}]
  proxied:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    open_models: true
    connections: [{{id: main, key: "${{FIRST_KEY}}"}}]
    proxy: {{url: "http://127.0.0.1:9", username: us, password: "${{PROXY_PASSWORD}}"}}
combos: {{pair: {{targets: [talkative/refuses, filed/answers]}}}}
retries: {{per_target: 1}}
cooldowns: {{max: 0s}}
breakers: {{mode: ignore}}
keys:
  root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}
  client: {{key: "${{CLIENT_KEY}}", scopes: [chat]}}
"""

WHERE_THEY_ARE: Final = {"secrets/key": "provider key in a file"}
"""Files that the operator made to hold a secret."""

CLIENTS: Final = "answer to a client: "
TOLD_BACK: Final = {"prompt", "prompt refused", "tool result"}
"""What a client said itself, and may be told what is wrong with."""

GONE: Final = {"restart", "shutdown", "restoreBackup", "importDatabase"}
"""Operations that end what is asked here; they take no secret."""


class _Talkative(BaseHTTPRequestHandler):
    """A provider that repeats the credential it was shown in its complaints, as some do."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        name = asked["model"]
        status = {"refuses": 401, "limits": 429, "breaks": 500, "complains": 400}.get(name, 200)
        told: dict[str, object] = {"error": {"message": f"Incorrect API key provided: {key}", "type": "x", "code": key}}
        if status == 200:
            message = {"role": "assistant", "content": "fine"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            told = {"id": "c", "object": "chat.completion", "created": 1, "model": name, "choices": [choice]}
        self._send(status, json.dumps(told).encode())

    def do_GET(self) -> None:
        self._send(200, b'{"object":"list","data":[{"id":"answers","object":"model"}]}')

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def _provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Talkative)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forms(secret: str) -> set[bytes]:
    """How a secret may be written."""
    raw = secret.encode()
    basic = base64.b64encode(b"us:" + raw)
    return {
        raw,
        quote(secret, safe="").encode(),
        quote(secret).encode(),
        base64.b64encode(raw),
        basic,
        raw.hex().encode(),
    }


def _unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """``data``, and what is in it if it is an archive."""
    yield name, data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from ((f"{name}/{each}", archive.read(each)) for each in archive.namelist())
    elif data[:2] == b"\x1f\x8b":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive.getmembers():
                if (inside := archive.extractfile(member)) is not None:
                    yield f"{name}/{member.name}", inside.read()


class Run:
    """A gateway under test and everything that it said, by where."""

    def __init__(self, served: Running) -> None:
        self.said: dict[str, bytes] = {}
        self._client = httpx.Client(base_url=served.url, timeout=60, trust_env=False)

    def ask(self, verb: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        sent = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        answer = self._client.request(verb, path, content=content, headers=sent)
        self._client.cookies.clear()
        head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items() if name != "set-cookie").encode()
        whose = CLIENTS if headers.get("authorization", "").endswith(SECRETS["client key"]) else ""
        where = f"{whose}{verb} {path.partition('?')[0]} {answer.status_code} #{len(self.said)}"
        self.said[where] = head + answer.content
        return answer

    def manage(self, verb: str, path: str, body: object = None) -> httpx.Response:
        return self.ask(verb, path, body, authorization=f"Bearer {SECRETS['admin key']}")

    def close(self) -> None:
        self._client.close()


NAMES: Final = ("answers", "refuses", "limits", "breaks", "complains")
MODELS: Final = (*(f"talkative/{name}" for name in NAMES), "filed/answers", "filed/refuses", "proxied/answers", "pair")


def _call_models(
    run: Run, models: Iterable[str] = ("talkative/complains", "talkative/breaks", "filed/refuses")
) -> None:
    """Success and failure in every dialect, streamed and not."""
    key = {"authorization": f"Bearer {SECRETS['client key']}", "x_secret": SECRETS["client header"]}
    text = SECRETS["prompt"]
    turn = [{"role": "user", "content": text}]
    for model in models:
        for stream in (False, True):
            run.ask("POST", "/v1/chat/completions", {"model": model, "messages": turn, "stream": stream}, **key)
        run.ask("POST", "/v1/messages", {"model": model, "max_tokens": 9, "messages": turn}, **key)
        run.ask("POST", "/v1/responses", {"model": model, "input": text, "store": False}, **key)
        gemini = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        run.ask("POST", f"/v1beta/models/{model}:generateContent", gemini, **key)
        run.ask("POST", "/api/chat", {"model": model, "messages": turn, "stream": False}, **key)
    refused = SECRETS["prompt refused"]
    run.ask("POST", "/v1/chat/completions", {"model": f"sim/{refused}"[:20], "messages": refused}, **key)
    run.ask("POST", "/v1/chat/completions", {"model": "sim/echo", "messages": [{"role": refused, "content": 1}]}, **key)
    tool = {"role": "tool", "content": SECRETS["tool result"]}
    run.ask("POST", "/v1/chat/completions", {"model": "talkative/answers", "messages": [*turn, tool]}, **key)


def _come_wrongly(run: Run) -> None:
    """Credentials that are not good."""
    wrong, query = SECRETS["wrong key"], quote(SECRETS["wrong key in the query"], safe="")
    for operation in OPERATIONS[
        ::6
    ]:  # each kind of route is among them, and a key that nobody knows is looked up slowly
        path = operation.path.replace("{", "").replace("}", "")
        run.ask(operation.verb, path, json_body(operation.said), authorization=f"Bearer {wrong}")
        if operation.verb == "GET":
            run.ask("GET", f"{path}?key={query}", cookie=f"auth_token={quote(SECRETS['cookie'], safe='')}")
    run.ask("POST", "/v1/chat/completions", b"{" + wrong.encode(), authorization=f"Bearer {wrong}")
    login = {"username": "ada", "password": SECRETS["wrong password"]}
    run.ask("POST", "/api/auth/login", login)
    run.ask("POST", "/api/auth/login", {**login, "surplus": SECRETS["wrong password"]})


def _manage_with_secrets(run: Run) -> None:
    """Secrets that are given through the API: well, and in ways that are refused."""
    given, tried, refused = (SECRETS[f"provider key {how}"] for how in ("through the API", "tried", "refused"))
    assert 200 == run.manage("PUT", "/api/providers/talkative:environment", {"apiKey": given}).status_code
    run.ask("POST", "/v1/chat/completions", {"model": "talkative/refuses", "messages": []})
    _call_models(run)
    run.manage("POST", "/api/providers/talkative:environment/test", {})
    run.manage("POST", "/api/providers/validate", {"provider": "talkative", "apiKey": tried})
    run.manage("POST", "/api/providers", {"provider": "talkative", "name": "b", "apiKey": refused, "surplus": refused})
    run.manage("POST", "/api/providers", {"provider": "nobody", "name": "b", "apiKey": refused})
    run.manage("PUT", "/api/providers/talkative:environment", {"apiKey": [refused]})
    run.manage("PATCH", "/api/settings", {"proxy": {"password": refused, "surplus": refused}})
    run.manage("PATCH", "/api/settings", {"store": {"url": f"postgresql://a:{refused}@h/d"}})
    password = SECRETS["proxy password through the API"]
    proxy = {"type": "http", "host": "127.0.0.1", "port": 9, "username": "us", "password": password}
    changed = run.manage("PUT", "/api/settings/proxy", {"level": "provider", "id": "talkative", "proxy": proxy})
    assert 200 == changed.status_code, changed.text
    run.manage("POST", "/api/settings/proxy/test", {"proxy": proxy})
    run.manage("PUT", "/api/settings/proxy", {"level": "nobody", "proxy": {**proxy, "port": refused}})
    _call_models(run)
    login = {"username": "ada", "password": SECRETS["password"]}
    assert 200 == run.ask("POST", "/api/auth/login", login).status_code
    run.manage("PUT", "/api/settings/require-login", {"username": "ada", "password": SECRETS["new password"]})
    run.manage("PUT", "/api/settings/require-login", {"username": "nobody", "password": SECRETS["new password"]})


def _look_everywhere(run: Run) -> None:
    """Every answer that an operation gives to the admin."""
    known = {"connection_id": "talkative:environment", "key_id": "client", "node_id": "talkative", "combo_id": "pair"}
    assert run.manage("PUT", "/api/db-backups").status_code == 200
    decision = run.ask(
        "POST",
        "/v1/chat/completions",
        {"model": "pair", "messages": [{"role": "user", "content": SECRETS["prompt"]}]},
        authorization=f"Bearer {SECRETS['client key']}",
    ).headers["x-gatewright-decision"]
    for operation in MANAGING:
        if operation.verb == "GET":
            values = {name: known.get(name, decision) for name in operation.in_path}
            run.manage("GET", operation.path.format(**values))
        elif operation.id not in GONE and operation.verb != "DELETE" and not operation.in_path:
            run.manage(operation.verb, operation.path, json_body(operation.said))


def _printed(root: Path, environment: Mapping[str, str]) -> dict[str, bytes]:
    """What commands say of it."""
    commands = (
        ["export"],
        ["overrides"],
        ["doctor"],
        ["diff", "--overrides"],
        ["check"],
        ["explain", "pair"],
        ["build"],
    )
    done = {" ".join(each): run_cli(*each, root=root, env=environment) for each in commands}
    return {f"gatewright {name}": (each.stdout + each.stderr).encode() for name, each in done.items()}


def _found(said: Mapping[str, bytes]) -> list[str]:
    """Which secrets are where."""
    forms = {name: _forms(secret) for name, secret in SECRETS.items()}
    return sorted(
        f"{name}: {where}"
        for place, data in said.items()
        for where, inside in _unpacked(place, data)
        if any(mark in inside for mark in MARKS)
        for name in SECRETS
        if any(form in inside for form in forms[name])
        and WHERE_THEY_ARE.get(where) != name
        and not (name in TOLD_BACK and where.startswith(CLIENTS))
    )


def test_every_form_of_a_secret_is_looked_for() -> None:
    for name, secret in SECRETS.items():
        for form in _forms(secret):
            assert [f"{name}: here"] == _found({"here": b"x" + form + b"x"})


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_no_secret_is_told(request: pytest.FixtureRequest, tmp_path: Path, store: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text(SECRETS["provider key in a file"])
    if store == "sqlite":
        _searched(tmp_path, "", ENVIRONMENT)
        return
    database: Postgres = request.getfixturevalue("postgres_server")
    url = database.url().replace("@", f":{quote(SECRETS['database password'], safe='')}@")
    dump = _searched(tmp_path, 'store: {url: "${DATABASE_URL}"}', ENVIRONMENT | {"DATABASE_URL": url}, url)
    assert b"settlements" in dump, "the dump shows what is in the database"


def _searched(root: Path, store: str, environment: Mapping[str, str], url: str = "") -> bytes:
    """Make everything happen below ``root``, search all that came of it, and give what a dump of ``url`` says."""
    with _provider() as provider, gateway(root, CONFIG.format(url=provider, store=store), environment) as served:
        people = ("people", "add", "ada", "--password-stdin")
        added = run_cli(*people, root=root, env=environment, typed=SECRETS["password"])
        assert added.returncode == 0, added.stderr
        run = Run(served)
        _call_models(run, MODELS)
        _come_wrongly(run)
        _manage_with_secrets(run)
        _look_everywhere(run)
        run.close()
        said = {**run.said, **_printed(root, environment), "people add": (added.stdout + added.stderr).encode()}
        assert 0 == served.stop()
    said |= {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    dump = b""
    if url:
        program = max(PACKAGES.glob("*/bin")) / "pg_dump"
        said["dump"] = dump = subprocess.run([program, url], capture_output=True, check=True).stdout
    found = _found(said)
    assert not found, "\n".join(found)
    assert b"call_ended" in said["server.log"]
    return dump
