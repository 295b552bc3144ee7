"""People who log in, over a real server of two workers: who is let in, what a cookie is good for, and when it is over."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.stores.attempts import SqlAttempts
from runtime.stores.database import Database, database_url
from runtime.stores.people import Person, SqlPeople
from tests.support.asking import ADMIN, FOREIGN, GUEST, KEYS, TWO_TENANTS, Reply, call
from tests.support.gateway import Running, gateway, run_cli
from tests.support.passwords import quick_hash

PASSWORD = "a passphrase of the tests"
OTHER = "another passphrase of the tests"
CONFIG = (
    TWO_TENANTS
    + """login: {attempts: 5, attempts_within: 15m}
"""
)


def ask(
    served: Running,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    cookie: str | None = None,
    **more: str,
) -> Reply:
    if cookie is not None:
        more = {"cookie": f"auth_token={cookie}", "origin": served.url} | more
    return call(served, method, path, body, key=key, **more)


def log_in(served: Running, password: str = PASSWORD, username: str = "admin", **more: str) -> Reply:
    return ask(served, "POST", "/api/auth/login", {"password": password, "username": username}, **more)


def people(root: Path, *arguments: str, given: str = "") -> None:
    """What the operator types."""
    done = run_cli("people", *arguments, root=root, typed=given)
    assert done.returncode == 0, done.stderr


def prepared(root: Path) -> None:
    """Everybody is there, with their passwords, and nobody is locked out."""

    async def prepare() -> None:
        database = Database(database_url(None, root / "data"))
        store = SqlPeople(database)
        hashed = quick_hash(PASSWORD)
        for person in (
            Person(name="admin", password=hashed),
            Person(name="eve", password=hashed, tenant="acme"),
            Person(name="vic", password=hashed, scopes=("view",)),
        ):
            if not await store.add(person):
                await store.set_password(person.name, hashed, 0.0)
        await SqlAttempts(database, 1, 1.0).forget_all()
        await database.aclose()

    asyncio.run(prepare())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("login"), CONFIG, KEYS) as served:
        yield served


@pytest.fixture
def served(running: Running) -> Running:
    """With the people `admin` and `eve`, of another tenant, nobody locked out."""
    prepared(running.root)
    return running


def everywhere(served: Running, status: int) -> None:
    """Both workers answer ``status`` to whoever shows nothing, as soon as they serve the new plan."""
    deadline = time.monotonic() + 60
    while any(status != ask(served, "GET", "/api/keys").status for _ in range(8)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_nobody_can_log_in_before_the_operator_says_so(tmp_path: Path) -> None:
    config = CONFIG.replace("workers: 2", "workers: 1")
    with gateway(tmp_path, config, KEYS) as served:
        assert ask(served, "GET", "/api/init").body == {"initialized": False}
        for guess in ("CHANGEME", "admin", "password", ""):
            assert log_in(served, guess).status == (400 if guess == "" else 403)
        change = {"password": PASSWORD}
        assert ask(served, "PUT", "/api/settings/require-login", change).status == 401
        assert ask(served, "PUT", "/api/settings/require-login", change, key=GUEST).status == 403
        assert ask(served, "PUT", "/api/settings/require-login", change, key=FOREIGN).status == 403
        proxied = ask(served, "PUT", "/api/settings/require-login", change, key=ADMIN, x_forwarded_for="9.9.9.9")
        rebound = ask(served, "PUT", "/api/settings/require-login", change, key=ADMIN, host="evil.test")
        assert (proxied.status, rebound.status) == (403, 403)
        weak = ask(served, "PUT", "/api/settings/require-login", {"password": "shorter"}, key=ADMIN)
        assert (weak.status, weak.body["param"]) == (400, "password")
        assert ask(served, "GET", "/api/init").body == {"initialized": False}

        assert ask(served, "PUT", "/api/settings/require-login", change, key=ADMIN).body == {
            "requireLogin": True,
            "hasPassword": True,
            "setupComplete": True,
        }
        people(served.root, "unlock")
        assert log_in(served).status == 200


def test_the_machines_own_key_sets_the_first_password_and_no_other(tmp_path: Path) -> None:
    config = "version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\n"
    with gateway(tmp_path, config, {}) as served:
        first = ask(served, "POST", "/api/settings/require-login", {"password": PASSWORD}, key=served.key)
        second = ask(served, "POST", "/api/settings/require-login", {"password": OTHER}, key=served.key)

        assert (first.status, second.status) == (200, 403)
        assert log_in(served).status == 200


def test_the_operator_may_give_the_first_password_in_the_environment_and_later_it_changes_nothing(
    tmp_path: Path,
) -> None:
    config = CONFIG.replace("workers: 2", "workers: 1")
    with gateway(tmp_path, config, {**KEYS, "INITIAL_PASSWORD": PASSWORD}) as served:
        assert log_in(served).status == 200
    with gateway(tmp_path, config, {**KEYS, "INITIAL_PASSWORD": OTHER}) as served:
        assert log_in(served, OTHER).status == 401
        assert log_in(served).status == 200
    (tmp_path / "fresh").mkdir()
    refused = tmp_path / "fresh"
    (refused / "gateway.yaml").write_text(config)
    assert run_cli("build", root=refused, env=KEYS).returncode == 0
    started = run_cli("serve", root=refused, env={**KEYS, "INITIAL_PASSWORD": "CHANGEME"})
    assert started.returncode == 1
    assert "INITIAL_PASSWORD" in started.stderr
    assert "CHANGEME" not in started.stderr


def test_a_login_manages_in_every_worker_until_it_is_logged_out(served: Running) -> None:
    reply = log_in(served)
    cookie = reply.cookie
    said = reply.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(said.split("; "))
    assert "Secure" not in said
    assert reply.headers["cache-control"] == "no-store"
    assert (reply.body["username"], reply.body["company_id"]) == ("admin", "default")

    assert {200} == {ask(served, "GET", "/api/keys", cookie=cookie).status for _ in range(8)}
    status = ask(served, "GET", "/api/auth/status", cookie=cookie)
    assert status.body["authenticated"] is True
    assert "set-cookie" not in status.headers
    made = ask(served, "POST", "/api/keys", {"name": "by cookie"}, cookie=cookie)
    assert made.status == 201

    out = ask(served, "POST", "/api/auth/logout", cookie=cookie)
    assert (out.status, out.cookie) == (200, "")
    assert {401} == {ask(served, "GET", "/api/keys", cookie=cookie).status for _ in range(8)}
    assert ask(served, "GET", "/api/auth/status", cookie=cookie).body == {"authenticated": False}
    assert ask(served, "POST", "/api/auth/logout", cookie=cookie).status == 200


def test_the_cookie_is_secure_where_the_browser_speaks_https(served: Running) -> None:
    host = served.url.removeprefix("http://")

    assert "Secure" in log_in(served, origin=f"https://{host}").headers["set-cookie"]
    assert "Secure" in log_in(served, x_forwarded_proto="https").headers["set-cookie"]


def test_a_cookie_calls_no_model_and_no_stranger_comes_with_one(served: Running) -> None:
    cookie = log_in(served).cookie
    chat = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}

    assert ask(served, "POST", "/v1/chat/completions", chat, cookie=cookie).status == 401
    assert ask(served, "GET", "/api/keys", cookie="rubbish").status == 401
    assert ask(served, "GET", "/api/keys", cookie=cookie + "A").status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
)
def test_no_other_site_changes_anything_with_a_cookie(served: Running, headers: dict[str, str]) -> None:
    cookie = log_in(served).cookie
    before = ask(served, "GET", "/api/keys", key=ADMIN).body["total"]

    assert ask(served, "POST", "/api/keys", {"name": "csrf"}, cookie=cookie, **headers).status == 403
    assert (
        ask(served, "PUT", "/api/settings/require-login", {"requireLogin": True}, cookie=cookie, **headers).status
        == 403
    )
    assert ask(served, "POST", "/api/auth/logout", cookie=cookie, **headers).status == 403
    assert log_in(served, **headers).status == 403
    assert ask(served, "GET", "/api/keys", key=ADMIN).body["total"] == before
    assert ask(served, "GET", "/api/keys", cookie=cookie).status == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_no_form_changes_anything_with_a_cookie(served: Running, media_type: str) -> None:
    cookie = log_in(served).cookie
    body = json.dumps({"name": "form"}).encode()

    assert ask(served, "POST", "/api/keys", body, cookie=cookie, content_type=media_type).status == 415
    assert ask(served, "POST", "/api/auth/login", {"password": PASSWORD}, content_type=media_type).status == 415


def test_after_five_failures_even_the_right_password_waits_in_every_worker(served: Running) -> None:
    statuses = [log_in(served, "a wrong passphrase").status for _ in range(5)]
    assert statuses == [401] * 5

    locked = [log_in(served) for _ in range(6)]
    assert {429} == {reply.status for reply in locked}
    assert all(0 < int(reply.headers["retry-after"]) <= 900 for reply in locked)
    assert ask(served, "GET", "/api/keys", key=ADMIN).status == 200
    people(served.root, "unlock")
    assert log_in(served).status == 200


def test_many_guesses_at_once_are_no_more_than_five(served: Running) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: log_in(served, "a wrong passphrase").status, range(32)))

    assert statuses.count(401) <= 5
    assert set(statuses) <= {401, 429, 503}


def test_one_address_is_locked_out_for_every_account_and_other_logins_stay(served: Running) -> None:
    cookie = log_in(served, username="vic").cookie
    for number in range(5):
        assert log_in(served, username=f"nobody{number}").status == 401

    assert log_in(served).status == 429
    assert ask(served, "GET", "/api/auth/status", cookie=cookie).body["username"] == "vic"


def test_an_unknown_name_and_a_wrong_password_are_told_alike(served: Running) -> None:
    unknown, wrong = log_in(served, username="nobody"), log_in(served, "a wrong passphrase")

    assert unknown.status == wrong.status == 401
    assert unknown.body["detail"] == wrong.body["detail"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "password"),
        (b'{"password": "a", "password": "b"}', "password"),
        ({"password": 5}, "password"),
        ({"password": "x" * 201}, "password"),
        ({"password": PASSWORD, "username": ""}, "username"),
        ({"password": PASSWORD, "remember": True}, "remember"),
        ([], None),
        (b"{", None),
        (b"\xff", None),
    ],
)
def test_what_is_no_login_is_refused_with_the_field_and_counts_for_nothing(
    served: Running, body: object, param: str | None
) -> None:
    refused = [ask(served, "POST", "/api/auth/login", body) for _ in range(6)]

    assert {400} == {reply.status for reply in refused}
    assert refused[0].body.get("param") == param
    assert PASSWORD not in refused[0].raw.decode()
    assert log_in(served).status == 200


def test_a_new_password_needs_the_old_one_and_ends_the_other_logins(served: Running) -> None:
    mine, other = log_in(served).cookie, log_in(served).cookie
    change = {"password": OTHER}
    path = "/api/settings/require-login"

    assert ask(served, "PUT", path, change, cookie=mine).status == 400
    assert ask(served, "PUT", path, {**change, "currentPassword": "no"}, cookie=mine).status == 401
    assert (
        ask(served, "PUT", path, {**change, "currentPassword": PASSWORD, "username": "eve"}, cookie=mine).status == 403
    )
    assert log_in(served).status == 200
    assert ask(served, "PUT", path, {**change, "currentPassword": PASSWORD}, cookie=mine).status == 200
    assert ask(served, "GET", "/api/keys", cookie=mine).status == 200
    assert ask(served, "GET", "/api/keys", cookie=other).status == 401
    assert log_in(served).status == 401
    assert log_in(served, OTHER).status == 200
    people(served.root, "password", "admin", "--password-stdin", given=f"{PASSWORD}\n")
    assert ask(served, "GET", "/api/keys", cookie=mine).status == 401
    assert log_in(served).status == 200


def test_a_person_of_another_tenant_manages_nothing_of_all(served: Running) -> None:
    cookie = log_in(served, username="eve").cookie

    assert ask(served, "PUT", "/api/settings/require-login", {"requireLogin": False}, cookie=cookie).status == 403
    assert ask(served, "PUT", "/api/settings/require-login", {"password": OTHER}, key=FOREIGN).status == 403
    made = ask(served, "POST", "/api/keys", {"name": "of acme"}, cookie=cookie).body["id"]
    theirs = {key["id"] for key in ask(served, "GET", "/api/keys", cookie=cookie).body["keys"]}
    assert made in theirs
    assert not {"root", "guest"} & theirs
    assert ask(served, "GET", "/api/keys/root", cookie=cookie).status == 404
    for path in ("/api/db-backups", "/api/system-info", "/api/settings/ip-filter"):
        assert ask(served, "GET", path, cookie=cookie).status == 403
    assert log_in(served, username="eve").status == 200


def test_a_person_who_only_views_changes_nothing(served: Running) -> None:
    cookie = log_in(served, username="vic").cookie

    assert ask(served, "GET", "/api/cache", cookie=cookie).status == 200
    assert ask(served, "POST", "/api/keys", {"name": "x"}, cookie=cookie).status == 403
    assert ask(served, "GET", "/api/keys", cookie=cookie).status == 403
    assert ask(served, "PUT", "/api/settings/require-login", {"requireLogin": False}, cookie=cookie).status == 403
    change = {"password": OTHER, "currentPassword": PASSWORD}
    assert ask(served, "PUT", "/api/settings/require-login", change, cookie=cookie).status == 200


def test_whoever_is_removed_is_out_at_once(served: Running) -> None:
    cookie = log_in(served, username="vic").cookie
    people(served.root, "remove", "vic")

    assert {401} == {ask(served, "GET", "/api/cache", cookie=cookie).status for _ in range(6)}


def test_logins_do_not_hold_up_calls(served: Running) -> None:
    chat = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
    with ThreadPoolExecutor(12) as pool:
        logins = [pool.submit(log_in, served) for _ in range(12)]
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert ask(served, "POST", "/v1/chat/completions", chat, key=GUEST).status == 200
            took.append(time.monotonic() - began)
        statuses = {login.result().status for login in logins}

    assert statuses <= {200, 429, 503}
    assert sorted(took)[len(took) // 2] < 10.0


def test_no_password_and_no_token_is_written_anywhere(served: Running) -> None:
    cookie = log_in(served).cookie
    log_in(served, "a wrong passphrase", username=OTHER)

    kept = served.log.encode() + b"".join(path.read_bytes() for path in (served.root / "data").glob("gatewright.db*"))
    assert not [word for word in (PASSWORD, cookie, "a wrong passphrase", OTHER) if word.encode() in kept]


def test_who_lets_all_of_this_machine_manage_lets_in_nobody_else(served: Running) -> None:
    admin = log_in(served).cookie
    path = "/api/settings/require-login"
    assert ask(served, "GET", "/api/keys").status == 401
    assert ask(served, "PUT", path, {"requireLogin": False}, key=GUEST).status == 403
    number = ask(served, "PUT", path, {"requireLogin": 0}, cookie=admin)
    assert (400, "requireLogin") == (number.status, number.body["param"])
    assert ask(served, "PUT", path, {"requireLogin": False}, cookie=admin).body["requireLogin"] is False
    try:
        everywhere(served, 200)
        assert ask(served, "GET", "/api/keys", x_forwarded_for="9.9.9.9").status == 401
        assert ask(served, "GET", "/api/keys", host="rebound.evil.test").status == 401
        assert ask(served, "GET", "/api/keys", origin="https://evil.test").status == 401
        assert ask(served, "GET", "/api/keys", sec_fetch_site="cross-site").status == 401
        assert ask(served, "GET", "/api/keys", key="gw-not-a-key").status == 401
        chat = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
        assert ask(served, "POST", "/v1/chat/completions", chat).status == 401
        assert ask(served, "GET", path).body["requireLogin"] is False
    finally:
        assert ask(served, "PUT", path, {"requireLogin": True}, key=ADMIN).status == 200
    everywhere(served, 401)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_what_other_machines_reach_is_never_open(tmp_path: Path, host: str) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG.replace("login: {", "login: {required: false, "))
    assert run_cli("build", root=tmp_path, env=KEYS).returncode == 0
    (tmp_path / "gateway.yaml").write_text(
        CONFIG.replace("workers: 2", f'host: "{host}"').replace("login: {", "login: {required: false, ")
    )
    refused = run_cli("build", root=tmp_path, env=KEYS)
    assert refused.returncode == 1
    assert "open-server" in refused.stdout + refused.stderr
