"""Where nobody is asked for a key, no page of another site calls."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import PermissionDenied
from runtime.web.open_door import demand_no_other_page

HERE = {"host": "127.0.0.1:20128"}
APP = "https://app.example"
OTHER_PAGES = [
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"origin": f"{APP},https://evil.example"},
    {"origin": f"{APP}.evil.example"},
]


@pytest.mark.parametrize("headers", OTHER_PAGES)
def test_a_page_of_another_site_is_refused_unless_all_may_call(headers: dict[str, str]) -> None:
    for origins in ((), (APP,)):
        with pytest.raises(PermissionDenied) as refused:
            demand_no_other_page(HERE | headers, origins)
        assert refused.value.code == "cross_origin"
    demand_no_other_page(HERE | headers, ("*",))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:20128", "sec-fetch-site": "same-origin"},
        {"origin": "http://127.0.0.1:20128"},
        {"origin": APP, "sec-fetch-site": "cross-site"},
    ],
)
def test_programs_own_pages_and_those_that_may_are_let_in(headers: dict[str, str]) -> None:
    demand_no_other_page(HERE | headers, (APP,))


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.:1", "gw.localhost", "127.1.2.3:4", "[::1]:5", "host.docker.internal:6", "app.example", ""],
)  # fmt: skip
def test_a_host_that_can_be_nobody_elses_is_let_in(host: str) -> None:
    demand_no_other_page({"host": host}, (APP,))


@pytest.mark.parametrize(
    "host",
    ["evil.example:8790", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "evil.example,localhost", "[", "app.example.evil"],
)  # fmt: skip
def test_a_host_that_could_be_anybodys_is_refused(host: str) -> None:
    for origin in ({}, {"origin": f"http://{host}"}, {"sec-fetch-site": "same-origin"}):
        with pytest.raises(PermissionDenied):
            demand_no_other_page({"host": host} | origin, (APP,))


@given(st.text(max_size=30))
def test_no_host_is_a_fault(host: str) -> None:
    with suppress(PermissionDenied):
        demand_no_other_page({"host": host}, ())
