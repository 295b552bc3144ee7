"""The command line: ``gatewright``. One module per command; the compiler and the server are imported when called for."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.cli.staying import staying

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code, as `runtime.cli.program.main` does."""
    with staying():
        from runtime.cli.program import main as run
    return run(args)
