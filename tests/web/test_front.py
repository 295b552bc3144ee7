from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from runtime.web.front import Cors, request_id
from tests.support.document import DOCUMENT, OPERATIONS
from tests.web.script import front

SPOKEN = (("/v1beta", "gemini"), ("/api/v1", "negotiated"), ("/api", "ollama_chat"), ("/v1", "negotiated"))


def test_a_page_may_read_every_header_that_the_document_tells_of() -> None:
    """But for cookies, which no page may read. What is not exposed is there and cannot be seen."""
    exposed = dict(Cors(origins=("*",)).answer(b"https://page.test"))[b"access-control-expose-headers"].decode()
    told = {
        name.lower()
        for operation in OPERATIONS
        for said in operation.said["responses"].values()
        for name in resolved(said).get("headers", ())
    }

    assert told - {"set-cookie"} <= set(exposed.split(", "))
    assert {"x-total-count", "x-request-id"} <= told


def resolved(said: dict[str, Any]) -> dict[str, Any]:
    name = said.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["responses"][name] if name else said
    return found


@pytest.mark.parametrize("given_id", ["a", "req_01-AZ.9", "x" * 64, "550e8400-e29b-41d4-a716-446655440000"])
def test_a_sound_request_id_of_the_clients_is_kept(given_id: str) -> None:
    assert given_id == request_id([(b"host", b"h"), (b"x-request-id", given_id.encode())], lambda: "new")


@pytest.mark.parametrize(
    "given_id", [b"", b"x" * 65, b"a b", b"a\nb", b"a\r\nset-cookie: b", b'"', b"\xe9", b"a,b", b"../x"]
)
def test_any_other_request_id_is_replaced(given_id: bytes) -> None:
    assert "new" == request_id([(b"x-request-id", given_id)], lambda: "new")


@given(st.binary(max_size=80))
def test_a_request_id_is_always_fit_for_a_log_and_a_header(given_id: bytes) -> None:
    found = request_id([(b"x-request-id", given_id)], lambda: "new")

    assert found.isascii()
    assert found.isprintable()
    assert 0 < len(found) <= 64


def test_a_request_without_an_id_gets_one() -> None:
    assert "new" == request_id([], lambda: "new")


class TestCors:
    def test_without_origins_nothing_is_said(self) -> None:
        assert () == Cors().answer(b"https://app.test")
        assert () == Cors().preflight("https://app.test", None, "GET")

    def test_an_allowed_origin_is_named_and_caches_are_told(self) -> None:
        headers = dict(Cors(origins=("https://app.test",)).answer(b"https://app.test"))

        assert b"https://app.test" == headers[b"access-control-allow-origin"]
        assert b"origin" == headers[b"vary"]

    @pytest.mark.parametrize("origin", [b"https://app.test.evil", b"https://app.tes", b"null", b"HTTPS://APP.TEST"])
    def test_any_other_origin_is_told_nothing(self, origin: bytes) -> None:
        assert () == Cors(origins=("https://app.test",)).answer(origin)

    def test_a_star_allows_every_origin_and_no_cookies(self) -> None:
        headers = dict(Cors(origins=("*",)).answer(b"https://any.test"))

        assert b"*" == headers[b"access-control-allow-origin"]
        assert b"access-control-allow-credentials" not in headers

    def test_a_preflight_is_told_methods_headers_and_for_how_long(self) -> None:
        headers = dict(
            Cors(origins=("*",), max_age_s=60).preflight("https://a.test", "x-api-key", "GET, HEAD, OPTIONS")
        )

        expected = {
            "access-control-allow-methods": "GET, HEAD, OPTIONS",
            "access-control-allow-headers": "x-api-key",
            "access-control-max-age": "60",
        }
        assert expected == headers


@pytest.mark.parametrize(
    ("protocol", "path", "headers", "expected"),
    [
        ("anthropic_messages", "/v1/x", {}, b"anthropic_messages: "),
        ("openai_chat", "/v1/x", {"anthropic-version": "1"}, b"openai_chat: "),
        ("negotiated", "/v1/x", {"anthropic-version": "1"}, b"anthropic_messages: "),
        ("negotiated", "/v1/x", {}, b"openai_chat: "),
        ("negotiated", "/v1/x", {"x-goog-api-key": "k"}, b"gemini: "),
        ("negotiated", "/v1beta/x", {}, b"gemini: "),
        ("negotiated", "/v1beta/x", {"anthropic-version": "1"}, b"gemini: "),
        ("negotiated", "/api/x", {}, b"ollama_chat: "),
        ("negotiated", "/api/v1/x", {}, b"openai_chat: "),
        ("unheard_of", "/v1/x", {}, b"openai_chat: "),
    ],
)
def test_an_error_is_told_in_the_operations_dialect(
    protocol: str, path: str, headers: dict[str, str], expected: bytes
) -> None:
    told = front(spoken=SPOKEN).render(protocol, path, headers)(InvalidRequest("no"), "r-1")

    assert told.body.startswith(expected)


def test_the_operators_scope_wins_over_the_schemas() -> None:
    parts = front(scopes={"getMetrics": "public"})

    assert ("public", "chat") == (parts.scope("getMetrics", "view"), parts.scope("createMessage", "chat"))
