import json
from typing import Annotated

import pytest
from litestar import Litestar, get
from litestar.exceptions import HTTPException
from litestar.params import QueryParameter

from generated.types.gateway import Problem as DocumentedProblem
from runtime.errors import Conflict, InvalidRequest, RateLimited, ShuttingDown
from runtime.web.failure import exception_handler
from runtime.web.problem import Problem, render_problem
from tests.web.script import Script, call, front, run


def app(*routes, faults: list[tuple[Exception, str]] | None = None) -> Litestar:
    def on_fault(error: Exception, request_id: str) -> None:
        if faults is not None:
            faults.append((error, request_id))

    handler = exception_handler(
        front(
            spoken=(("/v1beta", "gemini"), ("/api/v1", "negotiated"), ("/api", "ollama_chat"), ("/v1", "negotiated"))
        ),
        on_fault,
    )
    return Litestar(list(routes), openapi_config=None, logging_config=None, exception_handlers={Exception: handler})


def failing(error: Exception):
    @get("/x")
    async def fail() -> None:
        raise error

    return fail


def test_a_problem_has_exactly_the_documented_fields() -> None:
    assert list(DocumentedProblem.__struct_fields__) == list(Problem.__struct_fields__)


def test_a_problem_says_what_when_and_under_which_id() -> None:
    told = render_problem(RateLimited("slow down", retry_after_s=1.2, param="model"), "r-1")

    expected = {
        "type": "urn:gatewright:error:rate_limit",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "slow down",
        "kind": "rate_limit",
        "request_id": "r-1",
        "param": "model",
    }
    assert expected == json.loads(told.body)
    assert (429, "2") == (told.status, dict(told.headers)["retry-after"])


async def test_an_error_of_a_typed_route_is_a_problem() -> None:
    answer = await call(
        app(failing(ShuttingDown("stopping", retry_after_s=1))), "GET", "/x", [("x-request-id", "mine")]
    )

    told = json.loads(answer.body)
    assert (503, "application/problem+json", "1") == (
        answer.status, answer.headers["content-type"], answer.headers["retry-after"],
    )  # fmt: skip
    assert ("unavailable", "mine", "mine") == (told["kind"], told["request_id"], answer.headers["x-request-id"])
    assert "build-1" == answer.headers["x-gatewright-build"]


async def test_a_fault_is_reported_under_the_id_the_client_was_told() -> None:
    faults: list[tuple[Exception, str]] = []
    answer = await call(app(failing(ZeroDivisionError("inside")), faults=faults), "GET", "/x")

    told = json.loads(answer.body)
    assert (500, "internal") == (answer.status, told["kind"])
    assert b"inside" not in answer.body
    assert [(ZeroDivisionError, told["request_id"])] == [(type(error), request_id) for error, request_id in faults]


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (400, "invalid_request", 400),
        (404, "not_found", 404),
        (409, "conflict", 409),
        (413, "too_large", 413),
        (415, "unsupported_media", 415),
        (418, "invalid_request", 400),
        (500, "internal", 500),
        (503, "internal", 500),
    ],
)
async def test_what_litestar_raises_is_told_in_our_words(status: int, kind: str, told: int) -> None:
    answer = await call(app(failing(HTTPException(detail="why", status_code=status))), "GET", "/x")

    assert (told, kind) == (answer.status, json.loads(answer.body)["kind"])


@pytest.mark.parametrize("error", [Conflict("twice"), InvalidRequest("no")])
async def test_our_own_errors_keep_their_message_and_are_not_reported(error: Exception) -> None:
    faults: list[tuple[Exception, str]] = []
    answer = await call(app(failing(error), faults=faults), "GET", "/x")

    assert (str(error), []) == (json.loads(answer.body)["detail"], faults)


async def test_a_parameter_that_does_not_parse_is_named_and_the_query_is_not_repeated() -> None:
    @get("/n")
    async def number(n: Annotated[int, QueryParameter(ge=1)]) -> int:
        return n

    answers = [
        await call(app(number), "GET", "/n", query=query)
        for query in ("n=zero&key=secret", "n=0&key=secret", "key=secret")
    ]

    told = [json.loads(answer.body) for answer in answers]
    assert [(400, "invalid_request")] * 3 == [(each["status"], each["kind"]) for each in told]
    assert ["n", "n"] == [each["param"] for each in told[:2]]
    assert not any(b"secret" in answer.body for answer in answers)


async def test_a_method_that_a_typed_route_lacks_is_a_problem_that_lists_the_others() -> None:
    answer = await call(app(failing(ValueError())), "DELETE", "/x")

    assert (405, "GET, OPTIONS") == (answer.status, answer.headers["allow"])
    assert "method_not_allowed" == json.loads(answer.body)["kind"]


@pytest.mark.parametrize(
    ("path", "headers", "begin"),
    [
        ("/v1/nope", [], b"openai_chat: not_found"),
        ("/v1/nope", [("anthropic-version", "1")], b"anthropic_messages: not_found"),
        ("/api/v1/a/b/c", [("anthropic-version", "1")], b"anthropic_messages: not_found"),
        ("/v1", [], b"openai_chat: not_found"),
        ("/v1beta/nope", [], b"gemini: not_found"),
        ("/v1beta", [("anthropic-version", "1")], b"gemini: not_found"),
        ("/api/nope", [("anthropic-version", "1")], b"ollama_chat: not_found"),
        ("/v1x/nope", [], b"{"),
        ("/nope", [("anthropic-version", "1")], b"{"),
    ],
)
async def test_an_unknown_path_is_told_to_sdks_in_their_dialect(
    path: str, headers: list[tuple[str, str]], begin: bytes
) -> None:
    answer = await call(app(failing(ValueError())), "POST", path, headers)

    assert 404 == answer.status
    assert answer.body.startswith(begin)
    assert f"POST {path}".encode() in answer.body


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v1/nothing", 404), ("PUT", "/x", 405)])
async def test_a_body_that_comes_where_nobody_reads_is_let_come_before_the_answer(
    method: str, path: str, status: int
) -> None:
    """Else the connection would be reset, and the client never see what is wrong."""
    script = Script([b"x"] * 9)
    await run(app(failing(Conflict("no"))), script, method, path)

    assert (status, 9, True) == (script.answer.status, script.read, script.answer.complete)
    assert script.answer.headers["content-length"] == str(len(script.answer.body))
