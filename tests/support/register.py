"""Registers of what tests must hold: a YAML file of numbers, and the names of all tests there are."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from runtime.source import Diagnostics, decode, parse

__all__ = ["known_tests", "read_register"]

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)

EntryT = TypeVar("EntryT", bound=msgspec.Struct)


def read_register(path: Path, entry: type[EntryT]) -> dict[str, EntryT]:
    """Each number to its entry. Raises where the file says a number twice or is unsound otherwise."""
    diagnostics = Diagnostics()
    node = parse(path.read_bytes(), path.name, diagnostics)
    made = dict[str, entry]  # type: ignore[valid-type]  # made at run time
    entries = decode(node, made, diagnostics, "register") if node else None
    if entries is None or list(diagnostics):
        raise ValueError("\n".join(str(fault) for fault in diagnostics))
    return entries


@cache
def known_tests() -> dict[str, set[str]]:
    """The names of all tests, by file."""
    return {
        path.relative_to(ROOT).as_posix(): set(TEST.findall(path.read_text("utf-8")))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    }
