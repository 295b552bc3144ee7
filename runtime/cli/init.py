"""``gatewright init``: the first files of a gateway, ready to be checked, built and served."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import rich_click as click
from click import argument, option  # typed, which rich_click's are not

from runtime.cli.terminal import FAULT, Stop, note

__all__ = ["init"]

STARTER: Mapping[str, str] = MappingProxyType({"gateway.yaml": "gateway.yaml"})
WORKFLOW: Mapping[str, str] = MappingProxyType({".github/workflows/gateway.yaml": "workflow.yaml"})

IGNORED = ("/data/", "/secrets/", ".env")


@click.command()
@argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
@option("--ci", is_flag=True, help="Also write a GitHub workflow that checks every pull request.")
def init(directory: Path, ci: bool) -> None:
    """Start a gateway in DIRECTORY (here, unless given).

    Writes a commented `gateway.yaml` and adds to `.gitignore` what must not be committed. Overwrites nothing.
    """
    wanted = {**STARTER, **(WORKFLOW if ci else {})}
    existing = [name for name in wanted if (directory / name).exists()]
    if existing:
        raise Stop(FAULT, f"{', '.join(existing)} exists already; nothing was written")
    for name, source in wanted.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files("runtime.cli").joinpath("starter", source).read_text("utf-8"), "utf-8")
        click.echo(f"wrote {path}")
    if _ignore(directory / ".gitignore"):
        click.echo(f"wrote {directory / '.gitignore'}")
    note("next: gatewright build, then gatewright serve")


def _ignore(path: Path) -> bool:
    """Add the lines that are not there yet; whether any was missing."""
    text = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    missing = [line for line in IGNORED if line not in text.splitlines()]
    if missing:
        end = "" if not text or text.endswith("\n") else "\n"
        added = "".join(f"{line}\n" for line in missing)
        path.write_bytes((text + end + added).encode("utf-8", "surrogateescape"))
    return bool(missing)
