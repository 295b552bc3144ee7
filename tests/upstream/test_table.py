"""The table asks whom the scheme names, and nobody else."""

import subprocess
import sys

import pytest

from runtime.errors import UpstreamUnavailable
from runtime.upstream import Upstream, UpstreamRequest, UpstreamResponse, UpstreamTable
from tests.upstream.conftest import post


class Asked(Exception):  # noqa: N818 — not an error, a way out
    """Raised by the fake, in place of an answer."""


class Fake:
    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.closed = 0
        self._failure = failure

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        self.asked.append(request.to.url)
        raise Asked

    async def aclose(self) -> None:
        self.closed += 1
        if self._failure is not None:
            raise self._failure


async def test_the_scheme_decides_whatever_its_case() -> None:
    sim, http = Fake(), Fake()
    table: Upstream = UpstreamTable({"sim": sim, "http": http, "https": http})

    for url in ("sim://local", "HTTPS://a.test", "http://a.test"):
        with pytest.raises(Asked):
            await table.send(post(url))

    assert (len(sim.asked), len(http.asked)) == (1, 2)


@pytest.mark.parametrize("url", ["ftp://a.test", "a.test", ""])
async def test_an_unknown_scheme_is_unavailable(url: str) -> None:
    with pytest.raises(UpstreamUnavailable):
        await UpstreamTable({"sim": Fake()}).send(post(url))


async def test_closing_closes_each_once_even_if_one_fails() -> None:
    broken, http = Fake(RuntimeError("no")), Fake()

    with pytest.raises(ExceptionGroup):
        await UpstreamTable({"sim": broken, "http": http, "https": http}).aclose()

    assert (broken.closed, http.closed) == (1, 1)


def test_the_simulated_provider_does_not_import_the_http_client() -> None:
    """Its import is a good part of a cold start."""
    code = "import sys, runtime.upstream, runtime.upstream.simulated; print(*sorted({'aiohttp', 'ssl'} & set(sys.modules)))"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert shown.stdout.strip() == ""


async def test_whoever_answers_for_a_scheme_can_be_found_when_it_is_asked_for() -> None:
    asked: list[str] = []
    http = Fake()

    def learn(table: UpstreamTable, scheme: str) -> None:
        asked.append(scheme)
        if scheme == "https":
            table.add("https", http)

    table = UpstreamTable({"sim": Fake()}, learn)
    for url in ("sim://a/b", "HTTPS://a/b", "https://a/b"):
        with pytest.raises(Asked):
            await table.send(post(url))
    with pytest.raises(UpstreamUnavailable):
        await table.send(post("ftp://a/b"))

    assert ["https", "ftp"] == asked
