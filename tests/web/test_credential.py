import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import AuthenticationFailed
from runtime.web.credential import find_key, presented_key
from tests.web.script import Script, exchange_of

PLACES = [
    ({"authorization": "Bearer k-1"}, {}),
    ({"authorization": "bearer   k-1 "}, {}),
    ({"x-api-key": "k-1"}, {}),
    ({"api-key": "k-1"}, {}),
    ({"x-goog-api-key": "k-1"}, {}),
    ({}, {"key": "k-1"}),
]


@pytest.mark.parametrize(("headers", "query"), PLACES)
def test_a_key_is_found_wherever_an_sdk_puts_it(headers: dict[str, str], query: dict[str, str]) -> None:
    assert "k-1" == find_key(headers, query)


def test_a_key_in_every_place_is_one_key() -> None:
    headers = {name: value for place, _ in PLACES for name, value in place.items()}

    assert "k-1" == find_key(headers, {"key": "k-1"})


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": "Basic azE6"}, {"x-api-key": "  "}],
)
def test_no_key_is_none(headers: dict[str, str]) -> None:
    assert find_key(headers, {"key": ""}) is None


@given(st.permutations(["authorization", "x-api-key", "api-key", "x-goog-api-key"]))
def test_keys_that_differ_are_refused_and_not_shown(places: list[str]) -> None:
    values = {places[0]: "secret-one", places[1]: "secret-two"}
    headers = {name: f"Bearer {value}" if name == "authorization" else value for name, value in values.items()}

    with pytest.raises(AuthenticationFailed) as found:
        find_key(headers, {})
    assert "secret" not in str(found.value)


def test_the_key_of_a_call_is_read_from_headers_and_query() -> None:
    exchange = exchange_of(Script(), query="key=k%2B1", headers=[("X-Goog-Api-Key", "k+1")])

    assert "k+1" == presented_key(exchange)
