"""Registers of what tests must hold: a YAML file of numbers, and the names of all tests there are."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from runtime.source import Diagnostics, decode, parse

__all__ = ["known_tests", "read_register"]

ROOT = Path(__file__).parents[2]

EntryT = TypeVar("EntryT", bound=msgspec.Struct)


def read_register(path: Path, entry: type[EntryT]) -> dict[str, EntryT]:
    """Each number to its entry. Raises where the file says a number twice or is unsound otherwise."""
    diagnostics = Diagnostics()
    node = parse(path.read_bytes(), path.name, diagnostics)
    entries = decode(node, dict[str, entry], diagnostics, "register")  # type: ignore[valid-type]  # made at run time if node else None
    if entries is None or list(diagnostics):
        raise ValueError("\n".join(str(fault) for fault in diagnostics))
    return entries


@cache
def known_tests() -> dict[str, set[str]]:
    """The names of all tests, by file."""
    return {
        path.relative_to(ROOT).as_posix(): {
            node.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        }
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    }
