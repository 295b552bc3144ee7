"""The command line: ``gatewright``. One module per command; the compiler and the server are imported when called for."""

from runtime.cli.program import main

__all__ = ["main"]
