"""``gatewright doctor``: look at the surroundings a server will meet, and say what would stop it or surprise it.

Changes nothing and shows no secret. The configuration's own faults are `check`'s business.
"""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click import option  # typed, which rich_click's are not

from runtime.cli.terminal import FAULT, SAME, as_json, print_json, root_option

__all__ = ["doctor"]

MARKS = (("ok", "green"), ("warning", "yellow"), ("fault", "red"))


@click.command()
@root_option
@option("--probe", is_flag=True, help="Also open a connection to every provider with a usable credential.")
@as_json
def doctor(root: Path, probe: bool, as_json: bool) -> int:
    """Examine the machine, the directory and the built plan. Exits 1 when something would keep `serve` from starting."""
    from runtime.cli.examination import examine

    findings = examine(root, probe=probe)
    if as_json:
        print_json(findings)
    else:
        colours = dict(MARKS)
        for finding in findings:
            mark = click.style(f"{finding.status:8}", fg=colours[finding.status], bold=finding.status != "ok")
            click.echo(f"{mark} {finding.subject:12} {finding.message}")
    return FAULT if any(finding.status == "fault" for finding in findings) else SAME
