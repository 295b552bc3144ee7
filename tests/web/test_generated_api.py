"""The generated routers, all of them, with services that only say which method was called."""

import importlib
import json
import pkgutil
import re
from functools import cache

import msgspec
import pytest
from litestar import Litestar

import generated.api
from generated.api import SPOKEN
from generated.types.health import Health, Liveness
from runtime.errors import NotFound, ShuttingDown
from runtime.web.exchange import Exchange
from runtime.web.framework import application
from runtime.web.negotiate import territory
from tests.support.document import DOCUMENT, json_body
from tests.support.document import OPERATIONS as DOCUMENTED
from tests.support.each import each
from tests.web.script import call, front

OPERATIONS = [(one.verb, one.path, alias, one.said) for one in DOCUMENTED for alias in (one.path, *one.aliases)]
HOLDERS = {"admin": "admin", "view": "viewer", "chat": "chatter", "public": "viewer"}
"""A key for each scope that an operation asks for."""


def filled(path: str, operation: dict) -> tuple[str, dict[str, str]]:
    """``path`` with values for its parameters, and the values: with a slash where one may be."""
    slashed = {one["name"] for one in operation.get("parameters", []) if one.get("x-slashes")}
    values = {name: "a/b" if name in slashed else "a" for name in re.findall(r"\{(\w+)\}", path)}
    return path.format(**values), values


class Raw:
    """Implements every raw operation by answering with its method's name."""

    def __getattr__(self, name: str):
        async def serve(exchange: Exchange) -> None:
            told = {"method": name, "params": dict(exchange.path_params), "scope": exchange.required_scope}
            await exchange.respond(200, [("content-type", "application/json")], json.dumps(told).encode())

        return serve


class Told(Raw):
    """Implements every typed operation by saying its method's name where a problem says what is wrong."""

    def __getattr__(self, name: str):
        raw = super().__getattr__(name)

        async def serve(*exchange: Exchange, **given: object) -> None:
            if exchange:
                return await raw(*exchange)
            raise NotFound(f"{name} {sorted(given)}")

        return serve


class Healthy:
    ready = True

    async def get_health(self) -> Health:
        return Health(status="ok", version="1", build="b", uptime_s=1, checks=[])

    async def get_liveness(self) -> Liveness:
        return Liveness()

    async def get_readiness(self) -> Health:
        if not self.ready:
            raise ShuttingDown("stopping", retry_after_s=1)
        return await self.get_health()

    async def get_metrics(self) -> str:
        return "up 1\n"


class Rooted(Told):
    async def get_hello(self) -> str:
        return "hello"

    async def get_spec(self) -> msgspec.Raw:
        return await self.get_document()

    async def get_document(self) -> msgspec.Raw:
        return msgspec.Raw(b'{"openapi":"3.1.0"}')


def app(healthy: Healthy | None = None, **options: object) -> Litestar:
    parts = front(keys={"viewer": {"view"}, "chatter": {"chat"}, "admin": {"admin"}}, spoken=SPOKEN, **options)
    typed = {"health": healthy or Healthy(), "root": Rooted()}
    routes = [
        importlib.import_module(f"generated.api.{name}").build_routes(typed.get(name) or Told(), parts)
        for _, name, _ in pkgutil.iter_modules(generated.api.__path__)
    ]
    return application(routes, parts, lambda error, _: pytest.fail(repr(error)))


@cache
def plain() -> Litestar:
    """Without options. Its services keep nothing of a call, so one serves all tests."""
    return app()


@each(OPERATIONS)
async def test_every_documented_path_reaches_its_operation(verb: str, path: str, alias: str, operation: dict) -> None:
    given = {"model": "a"} if "x-raw" in operation else json_body(operation)
    body = b"" if given is None else json.dumps(given).encode()
    key = HOLDERS[operation["x-scope"]]
    answer = await call(plain(), verb, filled(alias, operation)[0], [("x-api-key", key)], body)

    assert "build-1" == answer.headers["x-gatewright-build"]
    method = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation["operationId"]).lower()
    if "x-raw" not in operation and operation["tags"] not in (["health"], ["root"]):
        told = json.loads(answer.body)
        assert (404, method) == (answer.status, told["detail"].partition(" ")[0])
        return
    assert 200 == answer.status
    if "x-raw" in operation:
        told = json.loads(answer.body)
        assert {"method": method, "params": dict(filled(path, operation)[1]), "scope": operation["x-scope"]} == told


@each(OPERATIONS)
async def test_every_path_refuses_a_method_it_lacks(verb: str, path: str, alias: str, operation: dict) -> None:
    lacking = next(each for each in ("PATCH", "TRACE", "DELETE") if each.lower() not in DOCUMENT["paths"][path])
    answer = await call(plain(), lacking, filled(alias, operation)[0], [("anthropic-version", "1")])

    assert 405 == answer.status
    assert verb in answer.headers["allow"]
    protocol = operation.get("x-raw", "negotiated" if territory(alias, SPOKEN) else None)
    if protocol == "negotiated" or (protocol and "{" in alias):
        protocol = front(spoken=SPOKEN).speaks(alias, {"anthropic-version": "1"})
    assert answer.body.startswith(f"{protocol}: method_not_allowed".encode() if protocol else b"{")


@each([one for one in OPERATIONS if one[0] == "GET"])
async def test_every_get_answers_head(verb: str, path: str, alias: str, operation: dict) -> None:
    head = filled(alias, operation)[0]
    answer = await call(plain(), "HEAD", head, [("x-api-key", HOLDERS[operation["x-scope"]])])

    told = "x-raw" not in operation and operation["tags"] not in (["health"], ["root"])
    assert (404 if told else 200) == answer.status
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/messages", "/messages/count_tokens", "/models", "/v2/messages"]
)
async def test_no_inference_operation_is_reached_without_its_prefix(path: str) -> None:
    assert 404 == (await call(plain(), "POST", path)).status


@pytest.mark.parametrize(
    ("key", "status"), [([], 401), ([("x-api-key", "chatter")], 403), ([("x-api-key", "viewer")], 200)]
)
async def test_metrics_need_the_scope_view(key: list[tuple[str, str]], status: int) -> None:
    assert status == (await call(plain(), "GET", "/metrics", key)).status


async def test_metrics_may_be_opened_by_the_operator() -> None:
    answer = await call(app(scopes={"getMetrics": "public"}), "GET", "/metrics")

    assert (200, b"up 1\n") == (answer.status, answer.body)
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_server_that_stops_is_alive_and_not_ready() -> None:
    stopping = Healthy()
    stopping.ready = False

    statuses = [(await call(app(stopping), "GET", f"/health/{what}")).status for what in ("live", "ready")]

    assert [200, 503] == statuses


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_what_typed_operations_answer_is_what_the_types_say(path: str) -> None:
    type_ = {"/health/live": Liveness}.get(path, Health)

    assert isinstance(msgspec.json.decode((await call(plain(), "GET", path)).body, type=type_), type_)


async def test_a_typed_body_that_is_too_large_is_refused() -> None:
    body = json.dumps({"model": "x" * (2 << 20)}).encode()
    answer = await call(plain(), "POST", "/api/models/availability", [("x-api-key", "viewer")], body)
    assert (413, "too_large") == (answer.status, json.loads(answer.body)["kind"])
