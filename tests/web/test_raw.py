import asyncio

import msgspec
import pytest
from litestar import Litestar

from runtime.errors import ClientClosed, InternalError, RateLimited
from runtime.resilience import Door
from runtime.web.exchange import Exchange
from runtime.web.failure import exception_handler
from runtime.web.framework import raw_handler
from runtime.web.front import Front
from runtime.web.raw import RawOperation, raw_route
from tests.web.script import Script, call, front, run, scope

PREFIXES = ("/v1", "/api/v1", "/v1/v1")
SPOKEN = tuple((prefix, "negotiated") for prefix in ("/v1/v1", "/api/v1", "/v1"))


async def echo(exchange: Exchange) -> None:
    told = (exchange.method, exchange.path, dict(exchange.path_params), exchange.required_scope, exchange.request_id)
    await exchange.respond(200, [("content-type", "text/plain")], repr(told).encode())


def operation(method: str = "POST", serve=echo, protocol: str = "openai_chat") -> RawOperation:
    return RawOperation(method=method, operation_id=f"op{method}", protocol=protocol, scope="chat", serve=serve)


def app(*routes, parts: Front | None = None, faults: list[Exception] | None = None) -> Litestar:
    parts = parts or front(spoken=SPOKEN)
    handlers = {
        Exception: exception_handler(parts, lambda error, _: (faults if faults is not None else []).append(error))
    }
    return Litestar(
        [raw_handler(each) for each in routes],
        openapi_config=None,
        logging_config=None,
        exception_handlers=handlers,
    )


def chat(serve=echo, method: str = "POST", parts: Front | None = None, protocol: str = "openai_chat"):
    return raw_route(parts or front(), [f"{prefix}/chat" for prefix in PREFIXES], [operation(method, serve, protocol)])


def models(parts: Front | None = None):
    paths = [f"{prefix}/models/{{model_id:path}}" for prefix in PREFIXES]
    return raw_route(parts or front(), paths, [operation("GET", protocol="negotiated")])


def _cancel() -> None:
    raise asyncio.CancelledError


class TestDispatch:
    @pytest.mark.parametrize("path", ["/v1/chat", "/api/v1/chat", "/v1/v1/chat", "/v1/chat/", "//v1//chat"])
    async def test_every_spelling_of_a_path_reaches_the_operation(self, path: str) -> None:
        answer = await call(app(chat()), "POST", path, body=b"{}")

        assert (200, True) == (answer.status, answer.complete)
        assert "'chat', 'new-1'" in answer.body.decode()

    @pytest.mark.parametrize("path", ["/chat", "/v2/chat", "/v1/v1/v1/chat", "/v1/chat/more", "/v1/chats", "/api/chat"])
    async def test_no_other_path_does(self, path: str) -> None:
        assert 404 == (await call(app(chat()), "POST", path)).status

    @pytest.mark.parametrize(
        ("path", "model_id"),
        [
            ("/v1/models/fast", "fast"),
            ("/v1/models/openai/gpt-5.5", "openai/gpt-5.5"),
            ("/api/v1/models/a/b:c/D e", "a/b:c/D e"),
            ("/v1/v1/models/x/", "x"),
        ],
    )
    async def test_a_path_parameter_may_hold_slashes(self, path: str, model_id: str) -> None:
        answer = await call(app(models()), "GET", path)

        assert f"{{'model_id': {model_id!r}}}" in answer.body.decode()

    @pytest.mark.parametrize("route", [chat(method="GET"), models()], ids=["plain", "with a parameter"])
    async def test_head_is_answered_where_get_is(self, route) -> None:
        path = "/v1/chat" if "/v1/chat" in route.paths else "/v1/models/m"
        got, head = [await call(app(route), method, path) for method in ("GET", "HEAD")]

        assert (200, b"") == (head.status, head.body)
        assert got.headers.keys() == head.headers.keys()

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
    async def test_a_method_the_path_lacks_is_refused_in_its_dialect(self, method: str) -> None:
        answer = await call(app(chat(protocol="anthropic_messages")), method, "/v1/chat")

        assert (405, "POST, OPTIONS") == (answer.status, answer.headers["allow"])
        assert answer.body.startswith(b"" if method == "HEAD" else b"anthropic_messages: method_not_allowed: ")

    @pytest.mark.parametrize("method", ["POST", "DELETE", "TRACE", "BREW"])
    async def test_a_method_is_refused_below_a_parameter_too(self, method: str) -> None:
        answer = await call(app(models()), method, "/v1/models/m", [("anthropic-version", "1")])

        assert (405, "GET, HEAD, OPTIONS") == (answer.status, answer.headers["allow"])
        assert answer.body.startswith(b"anthropic_messages: method_not_allowed: ")
        assert f"{method} is not for /v1/models/m; allowed: GET, HEAD, OPTIONS" in answer.body.decode()

    async def test_a_websocket_handshake_is_refused_with_the_status_that_clients_go_on_from(self) -> None:
        answer = await call(app(chat()), "GET", "/v1/chat", [("upgrade", "WebSocket")])

        assert (426, "POST, OPTIONS", "HTTP/1.1") == (answer.status, answer.headers["allow"], answer.headers["upgrade"])
        assert answer.body.startswith(b"openai_chat: method_not_allowed: WebSocket is not spoken on /v1/chat")

    async def test_two_methods_of_one_path_are_told_apart(self) -> None:
        route = raw_route(front(), ["/v1/x"], [operation("GET"), operation("POST")])

        answers = [await call(app(route), method, "/v1/x") for method in ("GET", "POST", "PUT")]

        assert [True, True, False] == [
            f"('{method}'".encode() in one.body for method, one in zip(("GET", "POST", "PUT"), answers, strict=True)
        ]
        assert [200, 200, 405] == [answer.status for answer in answers]
        assert "GET, POST, HEAD, OPTIONS" == answers[2].headers["allow"]

    @pytest.mark.parametrize("path", ["/v1/x", "/v1/models/a/b:c"])
    async def test_methods_of_one_path_may_speak_different_protocols(self, path: str) -> None:
        async def refuse(_: Exchange) -> None:
            raise RateLimited("slow down")

        spelled = "/v1/models/{name:path}" if "models" in path else path
        both = [operation("GET", refuse, "anthropic_messages"), operation("POST", refuse, "gemini")]
        routed = app(raw_route(front(), [spelled], both))

        bodies = [(await call(routed, method, path)).body for method in ("GET", "POST", "PUT")]

        assert [b"anthropic_messages", b"gemini", b"openai_chat"] == [body.partition(b":")[0] for body in bodies]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_a_fault_is_told_in_the_protocol_of_its_method(self, method: str) -> None:
        async def fail(_: Exchange) -> None:
            raise KeyError("inside")

        both = [operation("GET", fail, "anthropic_messages"), operation("POST", fail, "gemini")]
        answer = await call(app(raw_route(front(), ["/v1/models/{name:path}"], both)), method, "/v1/models/m")

        assert answer.body.startswith({"GET": b"anthropic_messages: internal", "POST": b"gemini: internal"}[method])

    async def test_a_route_of_one_method_below_a_parameter_answers_with_a_body_whatever_the_method(self) -> None:
        answer = await call(app(raw_route(front(), ["/v1/x/{name:path}"], [operation("DELETE")])), "DELETE", "/v1/x/a")

        assert (200, True) == (answer.status, b"'DELETE'" in answer.body)

    async def test_a_websocket_is_turned_away(self) -> None:
        script = Script()
        head = {**scope("GET", "/v1/chat"), "type": "websocket", "subprotocols": [], "root_path": "", "state": {}}

        await app(chat())(head, script.receive, script.send)

        assert ["websocket.close"] == [message["type"] for message in script.sent]


class TestAnswers:
    async def test_every_answer_carries_the_base_headers(self) -> None:
        answers = [await call(app(chat()), method, "/v1/chat") for method in ("POST", "GET", "OPTIONS")]

        assert ["build-1"] * 3 == [answer.headers["x-gatewright-build"] for answer in answers]

    async def test_a_sound_request_id_of_the_client_is_used(self) -> None:
        kept, replaced = [
            (await call(app(chat()), "POST", "/v1/chat", [("x-request-id", value)])).body
            for value in ("mine-1", "not sound")
        ]

        assert b"'mine-1'" in kept
        assert b"'new-1'" in replaced

    async def test_an_error_before_the_start_is_told_in_the_dialect(self) -> None:
        async def serve(_: Exchange) -> None:
            raise RateLimited("slow down")

        answer = await call(app(chat(serve)), "POST", "/v1/chat")

        assert (429, b"openai_chat: rate_limit: slow down") == (answer.status, answer.body)

    async def test_an_error_after_the_start_cuts_the_answer(self) -> None:
        async def serve(exchange: Exchange) -> None:
            await exchange.start(200, [])
            raise InternalError("too late")

        script = Script()
        head = {
            **scope("POST", "/v1/chat", headers=[("host", "h")]),
            "root_path": "",
            "state": {},
            "raw_path": b"/v1/chat",
        }

        with pytest.raises(Exception, match="after response started"):
            await app(chat(serve))(head, script.receive, script.send)
        assert (200, False) == (script.answer.status, script.answer.complete)

    async def test_a_client_that_left_is_no_error(self) -> None:
        script, faults = Script([b"{}"]), list[Exception]()
        script.leave()

        async def serve(exchange: Exchange) -> None:
            await exchange.read_body(10, 10)
            await exchange.watch_disconnect()
            raise ClientClosed

        await run(app(chat(serve), faults=faults), script, "POST", "/v1/chat")

        assert [] == script.answer.raw_headers
        assert [] == faults

    @pytest.mark.parametrize("path", ["/v1/chat", "/v1/models/m"])
    @pytest.mark.parametrize("silent", [True, False])
    async def test_a_body_that_breaks_off_is_answered_to_whoever_may_be_there(self, path: str, silent: bool) -> None:
        """The server says of it what it says of a client that left."""
        script, faults = Script([b"{"], cut=True), list[Exception]()

        async def serve(exchange: Exchange) -> None:
            try:
                await exchange.read_body(10, 10)
            except ClientClosed:
                if not silent:
                    raise

        spelled = "/v1/models/{name:path}" if "models" in path else path
        route = raw_route(front(), [spelled], [operation(serve=serve, protocol="gemini")])
        await run(app(route, faults=faults), script, "POST", path)

        assert (400, True) == (script.answer.status, script.answer.complete)
        assert script.answer.body.startswith(b"gemini: invalid_request: the request's body ended before")
        assert [] == faults

    @pytest.mark.parametrize("way", ["nothing", "cancelled"])
    async def test_what_ends_without_an_answer_is_a_fault_of_ours(self, way: str) -> None:
        async def serve(exchange: Exchange) -> None:
            await exchange.read_body(10, 10)
            if way == "cancelled":
                await asyncio.get_running_loop().run_in_executor(None, _cancel)  # not the call was: what it waits for

        faults: list[Exception] = []
        parts = msgspec.structs.replace(front(), on_fault=lambda fault, _: faults.append(fault))
        answer = await call(app(chat(serve, parts=parts)), "POST", "/v1/chat")

        assert (500, True) == (answer.status, answer.complete)
        assert answer.body.startswith(b"openai_chat: internal: ")
        assert [RuntimeError] == [type(fault) for fault in faults]

    async def test_a_call_that_is_told_to_end_is_answered_before(self) -> None:
        waiting = asyncio.Event()

        async def serve(_: Exchange) -> None:
            waiting.set()
            await asyncio.Event().wait()

        script = Script([b""])
        parts = msgspec.structs.replace(front(), on_fault=lambda *_: None)
        running = asyncio.create_task(run(app(chat(serve, parts=parts)), script, "POST", "/v1/chat"))
        await waiting.wait()
        running.cancel()

        with pytest.raises(asyncio.CancelledError):
            await running
        assert (500, True) == (script.answer.status, script.answer.complete)

    async def test_a_fault_behind_the_head_is_reported_and_cuts_the_answer(self) -> None:
        async def serve(exchange: Exchange) -> None:
            await exchange.start(200, [])
            await exchange.send(b"half")
            raise KeyError("inside")

        faults: list[Exception] = []
        parts = msgspec.structs.replace(front(), on_fault=lambda fault, _: faults.append(fault))
        answer = await call(app(chat(serve, parts=parts)), "POST", "/v1/chat")

        assert (200, b"half", False) == (answer.status, answer.body, answer.complete)
        assert [KeyError] == [type(fault) for fault in faults]

    async def test_a_fault_of_ours_is_told_without_its_inside_and_reported(self) -> None:
        async def serve(_: Exchange) -> None:
            raise KeyError("inside")

        faults: list[Exception] = []
        answer = await call(app(chat(serve, protocol="anthropic_messages"), faults=faults), "POST", "/v1/chat")

        assert 500 == answer.status
        assert answer.body.startswith(b"anthropic_messages: internal: ")
        assert b"inside" not in answer.body
        assert [KeyError] == [type(fault) for fault in faults]


class TestCors:
    async def test_a_preflight_is_answered_for_an_allowed_origin(self) -> None:
        parts = front(origins=("https://app.test",))
        headers = [
            ("origin", "https://app.test"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, content-type"),
        ]

        answer = await call(app(chat(parts=parts), parts=parts), "OPTIONS", "/v1/chat", headers)

        assert (204, b"") == (answer.status, answer.body)
        assert "https://app.test" == answer.headers["access-control-allow-origin"]
        assert "authorization, content-type" == answer.headers["access-control-allow-headers"]
        assert "POST, OPTIONS" == answer.headers["access-control-allow-methods"]

    @pytest.mark.parametrize("wanted", ["x-goog-api-key, x-goog-api-client, content-type", "anthropic-dangerous-direct-browser-access, x-api-key"])  # fmt: skip
    async def test_a_page_may_send_whatever_its_sdk_sends(self, wanted: str) -> None:
        parts = front(origins=("*",))
        headers = [("origin", "https://a.test"), ("access-control-request-headers", wanted)]

        answer = await call(app(models(parts=parts), parts=parts), "OPTIONS", "/v1/models/m", headers)

        assert (204, wanted) == (answer.status, answer.headers["access-control-allow-headers"])

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nope", 404), ("PATCH", "/v1/models/m", 405)])
    async def test_a_page_can_read_that_there_is_nothing(self, method: str, path: str, status: int) -> None:
        parts = front(origins=("https://a.test",))
        answer = await call(app(models(parts=parts), parts=parts), method, path, [("origin", "https://a.test")])

        assert (status, "https://a.test") == (answer.status, answer.headers["access-control-allow-origin"])

    async def test_an_answer_and_an_error_can_be_read_by_an_allowed_page(self) -> None:
        parts = front(origins=("*",))

        answers = [
            await call(app(chat(parts=parts), parts=parts), method, "/v1/chat", [("origin", "https://x.test")])
            for method in ("POST", "GET")
        ]

        assert [(200, "*"), (405, "*")] == [
            (answer.status, answer.headers["access-control-allow-origin"]) for answer in answers
        ]

    @pytest.mark.parametrize("origins", [(), ("https://other.test",)])
    async def test_a_page_of_another_origin_is_told_nothing(self, origins: tuple[str, ...]) -> None:
        parts = front(origins=origins)

        answers = [
            await call(app(chat(parts=parts), parts=parts), method, "/v1/chat", [("origin", "https://app.test")])
            for method in ("OPTIONS", "POST")
        ]

        assert [204, 200] == [answer.status for answer in answers]
        assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)


async def _reading(exchange: Exchange) -> None:
    body = await exchange.read_body(1000, 60)
    await exchange.respond(200, (), body)


@pytest.mark.parametrize("pieces", [[b"half"], []], ids=["half of it", "nothing of it"])
async def test_a_managing_call_whose_body_stalls_is_told_of_a_stop(pieces: list[bytes]) -> None:
    door = Door()
    parts = msgspec.structs.replace(front(), door=door)
    script = Script(pieces, endless=True)
    application = app(chat(_reading, parts=parts, protocol="problem"), parts=parts)
    asking = asyncio.create_task(run(application, script, "POST", "/v1/chat"))
    await script.waiting.wait()

    assert 1 == await door.close(0, farewell_s=60)
    await asking

    assert (503, "problem: unavailable") == (script.answer.status, script.answer.body.decode()[:20])
    assert not door.calls


async def test_a_managing_call_whose_body_has_come_holds_no_door() -> None:
    door, seen = Door(), []

    async def serve(exchange: Exchange) -> None:
        await exchange.read_body(1000, 60)
        seen.append(door.calls)
        await exchange.respond(200, (), b"")

    parts = msgspec.structs.replace(front(), door=door)
    application = app(chat(serve, parts=parts, protocol="problem"), parts=parts)

    assert 200 == (await call(application, "POST", "/v1/chat", body=b"{}")).status
    assert ([0], 0) == (seen, door.calls)
    await door.close(60)
    assert 503 == (await call(application, "POST", "/v1/chat", body=b"{}")).status
