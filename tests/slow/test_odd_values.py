"""No value is too odd to be answered properly: in each place of a path, a query and a body of every operation that manages."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from tests.support.conformance import CONFIG, ENDS, THERE, WHOLE
from tests.support.document import MANAGING, Operation, json_body
from tests.support.gateway import Running, gateway
from tests.support.managing import ADMIN, managed_config
from tests.support.postgres import postgres

WORDS: Final = (
    *("0", "-1", "1.5", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 400, "1" * 5000),
    *("1e308", "1e999", "NaN", "Infinity", "²", "٣٣٣", "0001-01-01", "9999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+99:99"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "-99999999999999", "99999999999999999", "2026-13-45", "999999999d"),
    *("", " ", "%", "\x00", "a\x00b", "\ud800", "\ufffe", "\U0010ffff", "x" * 3000, "'; --", "../../etc/passwd", "null", "[]", "{}"),
)  # fmt: skip
"""In paths and queries, as UTF-8 or what would be; a lone surrogate becomes bytes that are none."""

VALUES: Final = (
    *("\x00", "a\x00b", "\ud800", "\ufffe", "x" * 3000, "", " ", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1e999", "²"),
    *(0, -1, 2**31, 2**53, 2**63, -(2**63) - 1, 2**64, 10**400, 1e308, -1e308, 1e-308, 0.1, True, None, [], {}, ["\x00"], {"\x00": "\x00"}),
)  # fmt: skip
"""In the place of each value of a body."""

JSON: Final = {"content-type": "application/json"}
QUIET: Final = {
    "testProxy": "asks the network",
    "validateConnection": "asks the network",
}
"""Operations whose bodies are left out."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, environment = managed_config(CONFIG, workers=1)
    with ExitStack() as stack:
        if request.param == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(postgres()).url()
            config += 'store: {url: "${DATABASE_URL}"}\n'
        running = stack.enter_context(gateway(tmp_path_factory.mktemp(request.param), config, environment))
        yield running
        assert "Traceback" not in running.log


@pytest.mark.parametrize("operation", [one for one in MANAGING if one.id not in ENDS], ids=lambda one: one.id)
def test_nothing_odd_is_more_than_refused(served: Running, operation: Operation) -> None:
    allowed = {int(status) for status in operation.said["responses"] if int(status) < 500}
    wrong: list[str] = []
    with httpx.Client(base_url=served.url, headers={"x-api-key": ADMIN}, timeout=60) as client:
        for what, path, body in _calls(operation):
            answer = client.request(operation.verb, path, content=body, headers=JSON)
            if answer.status_code not in allowed:
                wrong.append(f"{what}: {answer.status_code} {answer.text[:300]}")

    assert wrong == []


def _calls(operation: Operation) -> Iterator[tuple[str, str, bytes | None]]:
    """What is odd, a path with a query, and a body."""
    body = WHOLE.get(operation.id, json_body(operation.said))
    usual = None if body is None else json.dumps(body).encode()
    path = operation.path.format_map({name: _quoted(THERE.get(name, "x")) for name in operation.in_path})
    for word in WORDS:
        for name in operation.in_path:
            values = {each: _quoted(THERE.get(each, "x")) for each in operation.in_path}
            if word not in {"", "../../etc/passwd"}:
                yield f"{name} {word[:20]!r}", operation.path.format_map(values | {name: _quoted(word)}), usual
        for name in operation.in_query:
            yield f"{name}= {word[:20]!r}", f"{path}?{name}={_quoted(word)}", usual
    if body is not None and operation.id not in QUIET:
        for place in _places(body):
            for value in VALUES:
                yield f"{place} {str(value)[:20]!r}", path, json.dumps(_with(body, place, value)).encode()


def _quoted(word: str) -> str:
    return quote(word.encode("utf-8", "surrogatepass"), safe="")


def _places(body: Any) -> Iterator[tuple[str | int, ...]]:
    if not isinstance(body, dict | list):
        return
    for name in body if isinstance(body, dict) else range(len(body)):
        yield (name,)
        yield from ((name, *rest) for rest in _places(body[name]))


def _with(body: object, place: tuple[str | int, ...], value: object) -> object:
    whole: Any = copy.deepcopy(body)
    holder = whole
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return whole
