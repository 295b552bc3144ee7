import asyncio
import json

import msgspec
import pytest
from litestar import Litestar
from litestar.params import FromPath, FromQuery, JSONBody

from runtime.errors import InternalError, NotFound
from runtime.resilience import Door
from runtime.web.failure import exception_handler
from runtime.web.front import Front
from runtime.web.typed import typed
from tests.web.script import Script, call, front, run


class Thing(msgspec.Struct, kw_only=True):
    name: str
    size: int = 1


def app(parts: Front) -> Litestar:
    @typed(parts, "GET", ["/things/{thing_id:str}"], operation_id="getThing", scope="view")
    async def get_thing(thing_id: FromPath[str], deep: FromQuery[bool] = False) -> Thing:
        if thing_id == "none":
            raise NotFound("no such thing")
        return Thing(name=thing_id, size=2 if deep else 1)

    @typed(parts, "POST", ["/things"], operation_id="createThing", scope="public", status=201)
    async def create_thing(data: JSONBody[Thing]) -> Thing:
        return data

    @typed(parts, "GET", ["/text"], operation_id="getText", scope="public", media_type="text/plain")
    async def get_text() -> str:
        return "lines\n"

    handler = exception_handler(parts, lambda *_: None)
    routes = [get_thing, create_thing, get_text]
    return Litestar(routes, openapi_config=None, logging_config=None, exception_handlers={Exception: handler})


KEYS = {"viewer": {"view"}, "chatter": {"chat"}}
AS_VIEWER = [("authorization", "Bearer viewer")]


async def test_a_typed_operation_takes_parameters_and_answers_json() -> None:
    answer = await call(app(front(keys=KEYS)), "GET", "/things/a", AS_VIEWER, query="deep=true")

    assert (200, {"name": "a", "size": 2}) == (answer.status, json.loads(answer.body))
    assert ("application/json", "build-1", "new-1") == (
        answer.headers["content-type"], answer.headers["x-gatewright-build"], answer.headers["x-request-id"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ([], "", 401),
        ([("x-api-key", "other")], "", 401),
        ([("x-api-key", "chatter")], "", 403),
        (AS_VIEWER, "", 200),
        ([], "key=viewer", 200),
        ([("x-api-key", "chatter")], "key=viewer", 401),
    ],
)
async def test_a_key_without_the_scope_is_refused(headers: list[tuple[str, str]], query: str, status: int) -> None:
    answer = await call(app(front(keys=KEYS)), "GET", "/things/a", headers, query=query)

    assert status == answer.status


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("/things/a", "deeep=true", "deeep"),
        ("/things/a", "deep=true&other", "other"),
        ("/things/a", "deep=true&deep=false", "deep"),
        ("/things/a\0b", "", "thing_id"),
    ],
)
async def test_what_is_asked_for_in_vain_is_refused(path: str, query: str, param: str) -> None:
    answer = await call(app(front(keys=KEYS)), "GET", path, AS_VIEWER, query=query)

    assert (400, param) == (answer.status, json.loads(answer.body)["param"])
    assert query != "deeep=true" or "did you mean 'deep'?" in json.loads(answer.body)["detail"]


async def test_an_answer_that_takes_a_key_is_kept_by_nobody_on_the_way() -> None:
    """Shared caches leave what a header `Authorization` was sent for alone, and know neither `?key=` nor a login's cookie."""
    parts = front(keys=KEYS)
    answers = [
        await call(app(parts), "GET", "/things/a", query="key=viewer"),
        await call(app(parts), "GET", "/things/none", AS_VIEWER),
        await call(app(parts), "GET", "/things/a"),
        await call(app(parts), "GET", "/text"),
    ]

    assert [200, 404, 401, 200] == [each.status for each in answers]
    assert ["no-store", "no-store", "no-store", None] == [each.headers.get("cache-control") for each in answers]


async def test_what_everybody_may_ask_takes_any_query() -> None:
    assert 200 == (await call(app(front()), "GET", "/text", query="cache-buster=1")).status


async def test_the_operator_may_open_or_close_an_operation() -> None:
    opened = app(front(keys=KEYS, scopes={"getThing": "public", "getText": "view"}))

    statuses = [(await call(opened, "GET", path)).status for path in ("/things/a", "/text")]

    assert [200, 401] == statuses


async def test_a_body_is_decoded_and_checked() -> None:
    sound = await call(app(front()), "POST", "/things", body=b'{"name":"n","size":3}')
    wrong = await call(app(front()), "POST", "/things", body=b'{"size":"big"}')

    assert (201, {"name": "n", "size": 3}) == (sound.status, json.loads(sound.body))
    assert (400, "invalid_request") == (wrong.status, json.loads(wrong.body)["kind"])


async def test_what_answers_get_answers_head_with_the_same_headers() -> None:
    got, head = [await call(app(front()), method, "/text") for method in ("GET", "HEAD")]

    assert (200, b"lines\n", "text/plain; charset=utf-8") == (got.status, got.body, got.headers["content-type"])
    assert (200, got.headers) == (head.status, head.headers)


async def test_an_error_of_the_service_is_a_problem() -> None:
    answer = await call(app(front(keys=KEYS)), "GET", "/things/none", AS_VIEWER)

    assert (404, "not_found") == (answer.status, json.loads(answer.body)["kind"])


@pytest.mark.parametrize("path", ["/things/none", "/things/a", "/nowhere"])
@pytest.mark.parametrize("sent", [[], [("x-request-id", "mine")]])
async def test_an_error_has_one_request_id_wherever_it_is_told(path: str, sent: list[tuple[str, str]]) -> None:
    parts = front(keys=KEYS)
    headers = sent if path == "/things/a" else [*AS_VIEWER, *sent]  # that one has no good key
    answer = await call(app(parts), "GET", path, headers)

    told = [value.decode() for name, value in answer.raw_headers if name == b"x-request-id"]
    names = [name for name, _ in answer.raw_headers]
    assert [json.loads(answer.body)["request_id"]] == told == ["mine" if sent else "new-1"]
    assert sorted(set(names)) == sorted(names)
    if path != "/nowhere":
        assert told == [parts.askings.now().request_id]


async def test_a_method_the_path_lacks_is_refused_with_those_it_has() -> None:
    answer = await call(app(front()), "PUT", "/text")

    assert (405, "GET, HEAD, OPTIONS") == (answer.status, answer.headers["allow"])


async def test_the_body_of_who_is_refused_is_let_come_before_the_answer() -> None:
    @typed(front(keys=KEYS), "POST", ["/guarded"], operation_id="guard", scope="admin", status=201)
    async def guard(data: JSONBody[Thing]) -> Thing:
        return data

    handler = exception_handler(front(keys=KEYS), lambda *_: None)
    guarded = Litestar([guard], openapi_config=None, logging_config=None, exception_handlers={Exception: handler})
    script = Script([b'{"name": ', b'"x"}'])
    await run(guarded, script, "POST", "/guarded", AS_VIEWER)

    assert (2, 403) == (script.read, script.answer.status)


async def test_a_body_that_breaks_off_is_no_fault_of_ours() -> None:
    script = Script([b'{"name":'], cut=True)
    await run(app(front()), script, "POST", "/things", [("content-type", "application/json")])

    told = json.loads(script.answer.body)
    assert (400, "invalid_request") == (script.answer.status, told["kind"])
    assert told["detail"].startswith("the request's body ended before it was complete")


async def test_a_body_that_does_not_end_is_waited_for_no_longer_than_that() -> None:
    script = Script([b'{"name":'], endless=True)
    parts = msgspec.structs.replace(front(), body_limit_s=0.01)
    await run(app(parts), script, "POST", "/things", [("content-type", "application/json")])

    assert 400 == script.answer.status
    assert "did not arrive within 0.01 s" in json.loads(script.answer.body)["detail"]


async def test_what_is_left_of_a_body_that_is_too_large_is_let_come_first() -> None:
    script = Script([bytes(1 << 20)] * 5)
    await run(app(front()), script, "POST", "/things", [("content-type", "application/json")])

    assert (413, 5) == (script.answer.status, script.read)


async def test_what_a_call_waited_for_may_be_cancelled_without_it() -> None:
    parts = front()

    @typed(parts, "POST", ["/lost"], operation_id="lost", scope="public")
    async def lost() -> Thing:
        raise asyncio.CancelledError

    faults: list[Exception] = []
    handler = exception_handler(parts, lambda fault, _: faults.append(fault))
    lone = Litestar([lost], openapi_config=None, logging_config=None, exception_handlers={Exception: handler})

    answer = await call(lone, "POST", "/lost")
    assert (500, "internal") == (answer.status, json.loads(answer.body)["kind"])
    assert [InternalError] == [type(fault) for fault in faults]


def with_door() -> tuple[Door, Litestar]:
    door = Door()
    return door, app(msgspec.structs.replace(front(), door=door))


@pytest.mark.parametrize("pieces", [[b'{"name": '], []], ids=["half of it", "nothing of it"])
async def test_a_body_that_stalls_is_told_of_a_stop(pieces: list[bytes]) -> None:
    door, application = with_door()
    script = Script(pieces, endless=True)
    asking = asyncio.create_task(run(application, script, "POST", "/things"))
    await script.waiting.wait()

    assert 1 == await door.close(0, farewell_s=60)
    await asking

    assert (503, "unavailable") == (script.answer.status, json.loads(script.answer.body)["kind"])
    assert not door.calls


async def test_a_body_that_has_come_holds_no_door_and_none_is_taken_once_it_is_closed() -> None:
    door, application = with_door()

    assert 201 == (await call(application, "POST", "/things", body=b'{"name": "a"}')).status
    assert 400 == (await call(application, "POST", "/things", body=b'{"name": 1}')).status
    assert (0, 0) == (door.calls, await door.close(60))
    assert 503 == (await call(application, "POST", "/things", body=b'{"name": "a"}')).status
    assert 200 == (await call(application, "GET", "/text")).status
