"""`python -m codegen generate | check | dump`. Exit codes: 0 done or same, 1 faults, 2 differs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from codegen.pipeline import Compilation, compile_schemas
from codegen.writer import Outcome, write

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> int:
    """Run one command; facts go to ``out``, diagnostics to ``err``."""
    options = _parser().parse_args(arguments)
    compilation = compile_schemas(options.root)
    if options.command == "dump":
        _print_diagnostics(compilation, err)
        out.write(_pretty(compilation.ir))
        return int(compilation.failed)
    outcome = Outcome()
    if not compilation.failed or options.keep_going:
        check = options.command == "check"
        outcome = write(compilation.files, options.out or options.root, check=check, prune=not compilation.failed)
    if options.json:
        out.write(_pretty({"diagnostics": compilation.diagnostics, "outcome": outcome}))
    else:
        _print_diagnostics(compilation, err)
        _print_outcome(options.command, outcome, out, err)
    if compilation.failed or (outcome.refused and options.command == "generate"):
        return 1
    return 2 if options.command == "check" and outcome.differing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m codegen", description="Compile schemas/ to Python, JSON and pages."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("generate", "write what differs below generated/ and docs/reference/"),
        ("check", "write nothing; print the difference and exit 2 if there is one"),
        ("dump", "print the intermediate representation as JSON"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", type=Path, default=Path(), help="the directory that holds schemas/")
        command.add_argument("--out", type=Path, help="the directory to write to; the root unless given")
        command.add_argument("--json", action="store_true", help="print facts as JSON")
        command.add_argument("--keep-going", action="store_true", help="write what does not depend on faulty files")
    return parser


def _print_diagnostics(compilation: Compilation, err: TextIO) -> None:
    err.writelines(f"{diagnostic}\n" for diagnostic in compilation.diagnostics)


def _print_outcome(command: str, outcome: Outcome, out: TextIO, err: TextIO) -> None:
    if command == "check":
        out.write(outcome.diff)
        return
    out.writelines(f"wrote {path}\n" for path in outcome.written)
    out.writelines(f"deleted {path}\n" for path in outcome.deleted)
    err.writelines(f"{path} was not generated and is in the way; move it\n" for path in outcome.refused)


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.exit(main())
