"""What a proxied request costs: Gatewright, nginx, a bare floor of the same stack, and other AI gateways, side by side.

Repeat with: python -m benchmarks.gateways [--rounds 7] [--python /usr/bin/python3.11] [--write] [--quick]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.measure import environment, publish
from benchmarks.proxy.contenders import contenders, gatewright
from benchmarks.proxy.guard import RATIOS, compare, read_ratios
from benchmarks.proxy.page import Fresh, Machine, page
from benchmarks.proxy.scenarios import QUICK, SCENARIOS, Scenario
from benchmarks.proxy.series import CROWD_ROUNDS, Series, measure, rounds, summary
from benchmarks.proxy.serving import Contender, Serving, running
from benchmarks.proxy.tools import have_compiler, provider, tools

__all__ = ["main"]

OURS = "gatewright"
QUICK_ROUNDS, QUICK_SCALE = 3, 0.15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--scale",
        type=float,
        default=0.2,
        help="of the requests of each round: short ones, and many, see the same machine",
    )
    parser.add_argument("--only", nargs="*", default=None, help="scenarios whose name begins so")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="LiteLLM and Portkey, too")
    parser.add_argument(
        "--other", action="append", default=[], metavar="NAME=TREE", help="another working tree, beside"
    )
    parser.add_argument(
        "--quick", action="store_true", help="the daily check: few scenarios, compared with what is recorded"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="that runs ours, the floor and LiteLLM, same minor version"
    )
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    partly = options.only is not None or options.other or not options.peers or options.quick
    if options.write and partly:
        parser.error("--write keeps whole runs: without --only, --other, --no-peers and --quick")
    if not have_compiler():
        sys.stderr.write("benchmarks.gateways compiles its load generator and needs `cc` (Debian: gcc)\n")
        return 1
    scenarios = _chosen(options.only, quick=options.quick)
    found, missing = contenders(peers=options.peers and not options.quick, python=options.python)
    found += [
        gatewright(name, Path(tree).resolve(), python=options.python)
        for name, _, tree in (each.partition("=") for each in options.other)
    ]
    count, scale = (QUICK_ROUNDS, QUICK_SCALE) if options.quick else (options.rounds, options.scale)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        load, program = tools(Path(folder))
        port = stack.enter_context(provider(program))
        served = [_started(stack, each, Path(folder) / each.name, port) for each in found]
        series, failures = rounds(load, served, scenarios, count, scale, _say)
        fresh = Fresh() if partly else _fresh(load, port, Path(folder), scenarios, options.python)
        machine = Machine(
            environment=environment(options.python), command=_command(), rounds=count, missing=missing, failures=failures,
            versions={each.name: each.version for each in found}, start_s={each.contender.name: each.start_s for each in served},
            fresh=fresh,
        )  # fmt: skip
    if options.quick:
        return _checked(series, scenarios)
    own_python = options.python == sys.executable
    name = "gateways" if own_python else "gateways-other-python"
    publish(page(series, scenarios, machine, OURS), name, write=options.write)
    if options.write and own_python:  # what others compare with
        RATIOS.write_bytes(msgspec.json.format(msgspec.json.encode(summary(series, scenarios, OURS)), indent=2) + b"\n")
    return 0


def _chosen(only: list[str] | None, *, quick: bool) -> list[Scenario]:
    if quick:
        return [each for each in SCENARIOS if each.name in QUICK]
    return [each for each in SCENARIOS if only is None or each.name.startswith(tuple(only))]


def _started(stack: ExitStack, contender: Contender, folder: Path, port: int) -> Serving:
    _say(f"starting {contender.name}")
    return stack.enter_context(running(contender, folder, port))


def _fresh(load: Path, port: int, folder: Path, scenarios: Sequence[Scenario], python: str) -> Fresh:
    """What crowds take where nothing was before them."""
    start_s: list[float] = []
    worker_mb: dict[str, list[float]] = {}
    for scenario in (each for each in scenarios if each.held is not None):
        for _ in range(CROWD_ROUNDS):
            with running(gatewright(python=python), folder / f"fresh-{len(start_s)}", port) as serving:
                start_s.append(serving.start_s)
                worker_mb.setdefault(scenario.name, []).append(measure(load, serving, scenario, 1).worker_mb)
        _say(f"just started: {scenario.name}: {worker_mb[scenario.name]} MB")
    return Fresh(start_s=start_s, worker_mb=worker_mb)


def _checked(series: Series, scenarios: list[Scenario]) -> int:
    lines, worse = compare(summary(series, scenarios, OURS), read_ratios())
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if worse else 0


def _command() -> str:
    return " ".join(["python -m benchmarks.gateways", *sys.argv[1:]])


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failure:
        sys.exit(str(failure))
