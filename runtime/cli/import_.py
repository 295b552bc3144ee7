"""``gatewright import``: lay what a file says over the configuration, as the management API would."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import rich_click as click
from click import argument  # typed, which rich_click's is not

from runtime.cli.terminal import FAULT, SAME, Stop, note, root_option

__all__ = ["import_"]


@click.command(name="import")
@root_option
@argument("file", type=click.File("rb"))
def import_(root: Path, file: IO[bytes]) -> int:
    """Lay the entries and settings of FILE over `gateway.yaml`.

    FILE is what `gatewright export` prints, or the like; `-` reads standard input. All of it is laid over, or nothing where
    that does not compile. Works without a server and beside a running one, which follows within a second.
    """
    from runtime.cli.report import as_text, summary
    from runtime.cli.stored import lay
    from runtime.config.export import read_overrides
    from runtime.source import Diagnostics

    diagnostics = Diagnostics()
    found = read_overrides(file.read(), str(getattr(file, "name", "-")), diagnostics)
    if diagnostics.failed:
        note(as_text(tuple(diagnostics)))
        raise Stop(FAULT, f"{summary(tuple(diagnostics))}; nothing was laid over the configuration")
    lay(root, found)
    click.echo(f"{len(found)} entries and settings lie over {root / 'gateway.yaml'} now")
    return SAME
