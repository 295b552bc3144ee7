"""What is made of what a call says of itself: where it comes from, and from whose page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, PermissionDenied, UnsupportedMedia
from runtime.web.address import client_address, network, origin_of, within
from runtime.web.cookie import find_cookie, login_cookie
from runtime.web.password import (
    MAX_PASSWORD,
    demand_good_name,
    demand_good_password,
    hash_password,
    password_matches,
)
from runtime.web.visit import Visit

OWN = {"host": "gw.example:8443", "origin": "https://gw.example:8443", "content-type": "application/json"}
PROXIES = (network("10.0.0.0/8"), network("fd00::/8"))


def visit(method: str = "POST", peer: str = "127.0.0.1", **headers: str) -> Visit:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Visit(method=method, headers=named, query={}, peer=peer, address=peer)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({"sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"origin": "http://127.0.0.1:20128", "host": "127.0.0.1:20128"}, False),
        ({"origin": "https://Gw.Example", "host": "gw.example"}, False),
        ({"origin": "http://127.0.0.1:3000", "host": "127.0.0.1:20128"}, True),
        ({"origin": "null", "host": "gw.example"}, True),
        ({"origin": "https://gw.example.evil.test", "host": "gw.example"}, True),
        ({"origin": "https://evil.test", "sec_fetch_site": "same-origin", "host": "10.0.0.1"}, False),
        ({"origin": "", "host": ""}, False),
        ({"origin": "http://[", "host": "gw.example"}, True),
    ],
)
def test_a_page_is_ones_own_by_what_the_browser_says(headers: dict[str, str], foreign: bool) -> None:
    assert visit(**headers).foreign(unsaid=True) is foreign


def test_a_host_that_is_none_is_not_this_machine() -> None:
    assert visit(host="localhost:1").local
    assert not visit(host="[").local


def test_where_nothing_is_said_the_asker_decides() -> None:
    assert visit(host="x").foreign(unsaid=True)
    assert not visit(host="x").foreign(unsaid=False)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""]
)
def test_a_change_by_cookie_is_no_form(media_type: str) -> None:
    headers = OWN | {"content-type": media_type, "content-length": "3"}
    with pytest.raises(UnsupportedMedia):
        Visit(method="POST", headers=headers, query={}).demand_own_page()


def test_a_change_by_cookie_comes_from_an_own_page() -> None:
    Visit(method="POST", headers=OWN, query={}).demand_own_page()
    Visit(method="GET", headers={}, query={}).demand_own_page()
    for headers in ({"host": "gw.example:8443"}, OWN | {"origin": "https://evil.test"}):
        with pytest.raises(PermissionDenied):
            Visit(method="DELETE", headers=headers, query={}).demand_own_page()


@pytest.mark.parametrize(
    ("peer", "headers", "local"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:20128"}, True),
        ("::1", {"host": "[::1]:20128"}, True),
        ("127.0.0.1", {"host": "localhost"}, True),
        ("127.0.0.1", {"host": "rebound.evil.test"}, False),
        ("127.0.0.1", {"host": "localhost", "x_forwarded_for": "9.9.9.9"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=9.9.9.9"}, False),
        ("127.0.0.1", {}, False),
        ("9.9.9.9", {"host": "localhost"}, False),
    ],
)
def test_local_is_what_this_machine_asks_of_itself(peer: str, headers: dict[str, str], local: bool) -> None:
    assert visit(peer=peer, **headers).local is local


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("9.9.9.9", "1.1.1.1", "9.9.9.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.2.3.4", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.9, 10.2.3.4", "10.0.0.9"),
        ("10.0.0.1", "1.1.1.1, rubbish", "10.0.0.1"),
        ("10.0.0.1", "rubbish, 1.1.1.1:5555", "1.1.1.1"),
        ("fd00::1", '"[2001:db8::7]:443"', "2001:db8::7"),
        ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
    ],
)
def test_only_trusted_proxies_are_believed_and_from_the_end(peer: str, forwarded_for: str, client: str) -> None:
    assert client_address(peer, {"x-forwarded-for": forwarded_for}, PROXIES) == client


def test_without_trusted_proxies_the_peer_called() -> None:
    assert client_address("10.0.0.1", {"x-forwarded-for": "1.1.1.1"}, ()) == "10.0.0.1"


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_header_makes_an_address_that_is_none(forwarded_for: str, peer: str) -> None:
    found = client_address(peer, {"x-forwarded-for": forwarded_for}, PROXIES)

    assert found == peer or within(found, (network("0.0.0.0/0"), network("::/0")))


def test_one_customer_of_ipv6_is_one_origin() -> None:
    assert origin_of("2001:db8:1:2::7") == origin_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert origin_of("2001:db8:1:3::7") != origin_of("2001:db8:1:2::7")
    assert origin_of("::ffff:1.2.3.4") == origin_of("1.2.3.4") == "1.2.3.4"
    assert origin_of("unix:") == "unix:"


@pytest.mark.parametrize(
    ("cookie", "token"),
    [
        ("auth_token=abc", "abc"),
        ('a=b; auth_token="abc"; c=d', "abc"),
        ("auth_token=abc; auth_token=abc", "abc"),
        ("auth_token=abc; auth_token=abd", None),
        ("xauth_token=abc", None),
        ("auth_token=", None),
        ("", None),
        ("auth_token=" + "a" * 201, None),
    ],
)
def test_the_token_is_found_where_it_is_one(cookie: str, token: str | None) -> None:
    assert find_cookie({"cookie": cookie}) == token


def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    said = login_cookie("t", 60, secure=True).split("; ")

    assert {"auth_token=t", "Max-Age=60", "Path=/", "HttpOnly", "SameSite=Strict", "Secure"} == set(said)
    assert "Secure" not in login_cookie("t", 60, secure=False)


@pytest.mark.parametrize(
    "plain",
    ["", "short", "a" * 12, "CHANGEMECHANGEME", "adminadminadmin1", "passwordpassword", "x" * (MAX_PASSWORD + 1)],
)
def test_what_is_tried_first_is_no_password(plain: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        demand_good_password(plain)
    assert not plain or plain not in raised.value.message


def test_a_hash_is_salted_and_matches_its_password_only() -> None:
    plain = "correct horse battery"
    demand_good_password(plain)
    stored = hash_password(plain)

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert stored != hash_password(plain)
    assert password_matches(stored, plain)
    assert not password_matches(stored, plain + " ")
    assert not password_matches(None, plain)
    assert not password_matches("rubbish", plain)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 101, "a/b", "ä"])
def test_names_of_people_are_plain(name: str) -> None:
    with pytest.raises(InvalidRequest):
        demand_good_name(name)
