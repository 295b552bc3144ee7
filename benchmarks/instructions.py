"""How many instructions a request takes as a whole, and codecs and the router alone: a busy machine does not move that, so
that commits compare.

Repeat with: python -m benchmarks.instructions [--write]. Needs valgrind and `cc`. Says what takes a twentieth more than was
recorded. A whole request is the worker's application called in process, its provider behind a real socket.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.codecs import FRAME_END, OUTGOING, decode, encode, pass_through, reads, stream
from benchmarks.measure import environment, publish
from benchmarks.proxy.inside import COUNTED
from runtime.catalog import Endpoint
from runtime.config.lock import load_artefact
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Codec
from runtime.routing import RouteTable

__all__ = ["compared", "main", "totals"]

RECORDED: Final = Path(__file__).with_name("results") / "instructions.json"
EVENTS: Final = 200
LOOKS: Final = 1000
REQUESTS: Final = 30
ROOM: Final = 1.05
CONFIG: Final = "version: 1\ndiscovery: {providers: none}\nproviders:\n  sim:\n    connections: [{id: sim}]\n"


def work(folder: Path) -> dict[str, tuple[int, Callable[[], object]]]:
    """By name: how many pieces it does, and the doing."""
    found: dict[str, tuple[int, Callable[[], object]]] = {}
    for name in CODECS:
        each, end = codec(name), FRAME_END.get(name, b"\n\n")
        arriving = reads(stream(name), 1, end)[: EVENTS + 2]
        whole = reads(stream(name), 1, end)
        batches = decode(each, whole)[:EVENTS]
        found[f"{name}, decode an event"] = (EVENTS, partial(_decoded, each, arriving))
        found[f"{name}, encode an event"] = (EVENTS, partial(encode, each, batches))
        found[f"{name}, pass an event"] = (len(whole), partial(pass_through, each, whole))
    folder.joinpath("gateway.yaml").write_text(CONFIG, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "runtime.cli", "build", "--root", str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    table = RouteTable(load_artefact(folder).plan, {"sim/sim": None})
    found["look up a model"] = (
        LOOKS,
        lambda: [table.prepared("sim/echo", "openai_chat", Endpoint.CHAT) for _ in range(LOOKS)],
    )
    return found


def _decoded(each: Codec, arriving: list[bytes]) -> None:
    decoder = each.stream_decoder(OUTGOING)
    for data in arriving:
        decoder.feed(data)


def count(library: str, folder: Path) -> None:
    """Run under callgrind: do each work once to warm up, and once counted."""
    counting = ctypes.CDLL(library)
    for name, (_, do) in work(folder).items():
        do()
        counting.counting_on()
        do()
        counting.counting_off(name.encode())


def totals(outputs: Mapping[str, str]) -> dict[str, int]:
    """Instructions by the name of each dump, from callgrind's files."""
    found: dict[str, int] = {}
    for text in outputs.values():
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if name is not None and total is not None:
            found[name[1]] = int(total[1])
    return found


def compared(now: Mapping[str, int], recorded: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Lines of a table, and what got worse."""
    lines = ["| what | instructions | recorded | change |", "|---|---|---|---|"]
    worse: list[str] = []
    for name, found in now.items():
        before = recorded.get(name)
        lines.append(
            f"| {name} | {found:,} | {f'{before:,}' if before else '–'} | {f'{found / before:.2f}' if before else 'new'} |"
        )
        if before and found > before * ROOM:
            worse.append(name)
    return lines, worse


def _counted(out: Path, program: list[str]) -> subprocess.Popen[bytes]:
    """A module of ours that has begun to run under callgrind, which counts only where it is told to."""
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--quiet"]
    return subprocess.Popen(
        [*command, sys.executable, "-m", *program],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--count", nargs=2, metavar=("LIBRARY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        count(options.count[0], Path(options.count[1]))
        return 0
    if not (shutil.which("valgrind") and shutil.which("cc")):
        sys.stdout.write("benchmarks.instructions is left out: it needs `valgrind` and `cc` (Debian: valgrind, gcc)\n")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder, library = Path(name), Path(name, "counting.so")
        source = Path(__file__).with_name("proxy") / "counting.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        programs = (
            ["benchmarks.proxy.inside", "--count", str(library), str(REQUESTS)],
            ["benchmarks.instructions", "--count", str(library), name],
        )
        running = [_counted(folder / f"counted-{each[0]}", each) for each in programs]
        for each in running:
            if each.wait():
                raise RuntimeError(f"{each.args!r} ended with {each.returncode}")
        counted = totals({each.name: each.read_text() for each in folder.glob("counted*")})
        pieces = dict.fromkeys(COUNTED, REQUESTS) | {each: amount for each, (amount, _) in work(folder).items()}
    now = {name: counted[name] // amount for name, amount in pieces.items() if name in counted}
    recorded = msgspec.json.decode(RECORDED.read_bytes(), type=dict[str, int]) if RECORDED.exists() else {}
    lines, worse = compared(now, recorded)
    publish(
        f"# Instructions\n\n{environment()}; `python -m benchmarks.instructions`\n\n" + "\n".join(lines) + "\n",
        "instructions",
        write=options.write,
    )
    if options.write:
        RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(now), indent=2) + b"\n")
        return 0
    sys.stdout.write("".join(f"WORSE: {name}\n" for name in worse))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
