"""What every client must get through the gateway, said once: a client is an `Adapter`, a feature a check on it.

Runs in the client's own environment, so it needs nothing but the standard library. `main` runs every feature of every
adapter it is given against every upstream, and prints one JSON line per cell: client, upstream, feature, outcome (`ok`,
`impossible` where the adapter has no word for it, `failed`) and detail. ``node/cells.mjs`` is the same for Node.js; the facts
are in ``expected.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["EXPECTED", "FEATURES", "LIMIT_S", "SCRIPT_LIMIT_S", "Adapter", "Ask", "Call", "Failure", "Said", "main"]

EXPECTED: Mapping[str, Any] = json.loads((Path(__file__).parent / "expected.json").read_text(encoding="utf-8"))
AT_ONCE = 6
LIMIT_S = 60.0
SCRIPT_LIMIT_S = 400


class Call(NamedTuple):
    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Ask:
    """One question. ``text`` ends in the cell's mark, by which the vendor's side is found again."""

    model: str
    text: str
    system: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    image: str = ""
    schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    think: bool = False
    stream: bool = False


@dataclass
class Said:
    """An answer as the client shows it. ``finish`` in its own words; ``usage`` holds what it can tell of the counts;
    ``history`` is whatever `Adapter.again` needs."""

    text: str = ""
    thought: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, int | None] = field(default_factory=dict)
    model: str | None = None
    history: Any = None


class Failure(NamedTuple):
    """An error as the client shows it: its class, and the HTTP status where the class carries one."""

    kind: str
    status: int | None


class Adapter:
    """One client. ``finishes`` are its words for stop, tool and length; ``failures`` what a 429 and a 500 become;
    ``lacks`` the features it cannot express."""

    name: str
    lacks: frozenset[str] = frozenset()
    finishes: Mapping[str, str]
    failures: Mapping[str, Failure]

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    async def say(self, ask: Ask) -> Said:
        raise NotImplementedError

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        """Hand ``said`` back with the ``results`` of its calls, by name."""
        raise NotImplementedError

    async def round_trip(self, ask: Ask, results: Mapping[str, str]) -> tuple[Said, Said]:
        """Ask, answer the calls, and get the last word."""
        first = await self.say(ask)
        return first, await self.again(ask, first, results)

    def failure(self, error: BaseException) -> Failure:
        return Failure(type(error).__name__, getattr(error, "status_code", None))

    async def close(self) -> None:
        """Let go of connections."""


class Cell:
    """An adapter before one upstream, for one feature."""

    def __init__(self, adapter: Adapter, upstream: str, feature: str) -> None:
        self.adapter = adapter
        self.upstream = upstream
        self.feature = feature
        self.mark = f"[{adapter.name}>{upstream}>{feature}]"

    def ask(self, transcript: str, **more: Any) -> Ask:
        model = f"{self.upstream}/{EXPECTED['prefix'].get(self.upstream, '')}{transcript}"
        return Ask(model=model, text=f"{EXPECTED['question']} {self.mark}", **more)

    def counts(self, said: Said, *, thought: bool = False) -> None:
        """The usage, to the token, as far as the client and the upstream have words for it."""
        expected = dict(EXPECTED["usage"])
        if not thought:
            expected["reasoning"] = 0
        for unsaid in EXPECTED["uncounted"].get(self.upstream, ()):
            expected[unsaid] = 0
        told = {name: count or 0 for name, count in said.usage.items()}
        assert {"input", "output"} <= set(told), f"no usage: {said.usage}"
        same({name: expected[name] for name in told}, told, "usage")

    def finished(self, said: Said, how: str) -> None:
        same(self.adapter.finishes[how], said.finish, "finish")


def same(expected: Any, actual: Any, what: str) -> None:
    assert expected == actual, f"{what}: expected {expected!r}, got {actual!r}"


# -- the features


async def _text(cell: Cell) -> None:
    ask = cell.ask("plain", system=EXPECTED["system"])
    said = await cell.adapter.say(ask)
    same(EXPECTED["answer"], said.text, "text")
    cell.finished(said, "stop")
    cell.counts(said)
    if said.model is not None:
        same(ask.model, said.model, "model")


async def _stream(cell: Cell) -> None:
    ask = cell.ask("plain", system=EXPECTED["system"], stream=True)
    said = await cell.adapter.say(ask)
    same(EXPECTED["answer"], said.text, "text")
    cell.finished(said, "stop")
    cell.counts(said)
    if said.model is not None:
        same(ask.model, said.model, "model")


def _called(said: Said, count: int) -> None:
    same(
        [(call["name"], call["arguments"]) for call in EXPECTED["calls"][:count]],
        [(call.name, call.arguments) for call in said.calls],
        "calls",
    )
    ids = [call.id for call in said.calls if call.id]
    assert len(set(ids)) == len(ids), f"ids are not distinct: {ids}"


async def _tool(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.adapter.say(cell.ask("one-tool", tools=EXPECTED["tools"], stream=stream))
        _called(said, 1)
        same("", said.text, "text")
        cell.finished(said, "tool")
        cell.counts(said)


async def _parallel_tools(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.adapter.say(cell.ask("two-tools", tools=EXPECTED["tools"], stream=stream))
        _called(said, 2)
        same("Let me look.", said.text, "text")
        cell.finished(said, "tool")
        cell.counts(said)


async def _tool_results(cell: Cell) -> None:
    """Also with thinking before the calls, whose seal has to find its way back."""
    for transcript, stream in (
        ("two-tools", False),
        ("two-tools", True),
        ("thinking-tool", False),
        ("thinking-tool", True),
    ):
        ask = cell.ask(transcript, tools=EXPECTED["tools"], stream=stream, think=transcript == "thinking-tool")
        first, last = await cell.adapter.round_trip(ask, EXPECTED["results"])
        _called(first, 2)
        same(EXPECTED["answer"], last.text, f"text after the results ({transcript}, stream {stream})")
        same([], last.calls, "calls after the results")
        cell.finished(last, "stop")


async def _thinking(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.adapter.say(cell.ask("thinking-text", think=True, stream=stream))
        same(EXPECTED["thought"], said.thought, f"thought (stream {stream})")
        same(EXPECTED["answer"], said.text, "text")
        cell.finished(said, "stop")
        cell.counts(said, thought=True)


async def _image(cell: Cell) -> None:
    said = await cell.adapter.say(cell.ask("plain", image=EXPECTED["image"]))
    same(EXPECTED["answer"], said.text, "text")


async def _json_schema(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.adapter.say(cell.ask("json", schema=EXPECTED["schema"], stream=stream))
        same(EXPECTED["json"], json.loads(said.text), "JSON")
        cell.finished(said, "stop")


async def _max_tokens(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.adapter.say(cell.ask("max-tokens", max_tokens=16, stream=stream))
        same(EXPECTED["beginning"], said.text, "text")
        cell.finished(said, "length")
        cell.counts(said)


def _error(status: str) -> Callable[[Cell], Awaitable[None]]:
    async def check(cell: Cell) -> None:
        for stream in (False, True):
            try:
                said = await cell.adapter.say(cell.ask(f"fault-{status}", stream=stream))
            except Exception as error:  # noqa: BLE001 — any class but the expected one fails below
                same(cell.adapter.failures[status], cell.adapter.failure(error), f"error (stream {stream}), {error}")
            else:
                raise AssertionError(f"no error, but {said.text!r} and {said.finish!r}")

    return check


async def _mid_stream_error(cell: Cell) -> None:
    for transcript in ("mid-error", "cut"):
        try:
            said = await cell.adapter.say(cell.ask(transcript, stream=True))
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001 — which class, is the client's affair; that it is none of ours, is checked above
            continue
        raise AssertionError(f"{transcript}: no error, but {said.text!r} and finish {said.finish!r}")


async def _unicode(cell: Cell) -> None:
    for stream in (False, True):
        said = await cell.adapter.say(cell.ask("world", system=EXPECTED["world"], stream=stream))
        same(EXPECTED["world"], said.text, f"text (stream {stream})")


FEATURES: Mapping[str, Callable[[Cell], Awaitable[None]]] = {
    "text": _text,
    "stream": _stream,
    "tool": _tool,
    "parallel-tools": _parallel_tools,
    "tool-results": _tool_results,
    "thinking": _thinking,
    "image": _image,
    "json-schema": _json_schema,
    "max-tokens": _max_tokens,
    "error-429": _error("429"),
    "error-500": _error("500"),
    "mid-stream-error": _mid_stream_error,
    "unicode": _unicode,
}


# -- the run


async def _one(cell: Cell, gate: asyncio.Semaphore) -> None:
    outcome, detail = "ok", ""
    if cell.feature in cell.adapter.lacks:
        outcome = "impossible"
    else:
        async with gate:
            try:
                await asyncio.wait_for(FEATURES[cell.feature](cell), LIMIT_S)
            except Exception as error:  # noqa: BLE001 — a cell that fails is a line, not an end
                outcome, detail = "failed", _tell(error)
    line = {"client": cell.adapter.name, "upstream": cell.upstream, "feature": cell.feature}
    print(json.dumps({**line, "outcome": outcome, "detail": detail}), flush=True)


def _tell(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return f"{type(error).__name__}: {error}"[:1500] + ("" if isinstance(error, AssertionError) else f" ({place})")


async def _all(adapters: Sequence[type[Adapter]], wanted: Sequence[str]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    made = [adapter(os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]) for adapter in adapters]
    cells = [
        Cell(adapter, upstream, feature)
        for adapter in made
        for upstream in EXPECTED["upstreams"]
        for feature in FEATURES
    ]
    chosen = [cell for cell in cells if not wanted or any(part in cell.mark for part in wanted)]
    await asyncio.gather(*(_one(cell, gate) for cell in chosen))
    for adapter in made:
        await adapter.close()


def main(*adapters: type[Adapter]) -> None:
    """Arguments on the command line pick cells: those whose mark holds one of them."""
    asyncio.run(_all(adapters, sys.argv[1:]))
