"""What all commands share: exit codes, the common options, and how facts and diagnostics are printed.

Knows nothing of what is printed. Colour is left to click, which drops it where the output is not a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import rich_click as click
from click import option  # typed, which rich_click's are not

__all__ = ["DIFFERS", "FAULT", "SAME", "Stop", "as_json", "note", "print_json", "root_option"]

F = TypeVar("F", bound=Callable[..., object])

SAME: Final = 0
FAULT: Final = 1
DIFFERS: Final = 2


class Stop(Exception):  # noqa: N818 — it ends a command, with or without a fault
    """End the command with ``code``; ``message`` goes to standard error."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def root_option(command: F) -> F:
    """Add ``--root``: the directory that holds ``gateway.yaml``."""
    return option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        default=Path(),
        show_default="the current directory",
        help="The directory that holds `gateway.yaml`.",
    )(command)


def as_json(command: F) -> F:
    """Add ``--json``."""
    return option("as_json", "--json", is_flag=True, help="Print facts as JSON.")(command)


def print_json(facts: object) -> None:
    """Print anything msgspec can encode, indented, keys in the order given."""
    click.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())


def note(message: str) -> None:
    """Say something beside the result: on standard error, so that the result can be piped."""
    click.echo(message, err=True)
