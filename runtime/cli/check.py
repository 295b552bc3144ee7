"""``gatewright check``: every fault of the configuration in one pass, in a form for people, editors and code hosts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click import argument, option  # typed, which rich_click's are not

from runtime.cli.terminal import FAULT, SAME, note, root_option

if TYPE_CHECKING:
    from runtime.config.files import Source

__all__ = ["check"]


@click.command()
@root_option
@argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), required=False)
@option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="Who reads it.",
)
@option("--strict", is_flag=True, help="Treat warnings as errors.")
@option("--secrets/--no-secrets", default=True, show_default=True, help="Warn of secrets that are missing here.")
def check(root: Path, file: Path | None, form: str, strict: bool, secrets: bool) -> int:
    """Compile and report, write nothing.

    FILE takes the place of `gateway.yaml`; `-` reads standard input. Exits 1 when there is an error, with `--strict`
    also when there is a warning.
    """
    from runtime.cli.project import compile_project
    from runtime.cli.report import FORMATS, moved, summary

    sources = (_read(file), *_parts(root, file)) if file else None
    outcome = compile_project(root, sources=sources, look_for_secrets=secrets)
    diagnostics = outcome.diagnostics
    if form in {"sarif", "github"} and file is None:
        diagnostics = moved(diagnostics, _in_repository(root))
    report = FORMATS[form](diagnostics)
    if report:
        click.echo(report)
    if form == "text":
        note(summary(outcome.diagnostics))
    faulty = outcome.failed or (strict and bool(outcome.diagnostics))
    return FAULT if faulty else SAME


def _in_repository(root: Path) -> Path:
    """Where ``root`` is in the repository that holds it: code hosts look for files from its top, wherever we are called."""
    whole = root.resolve()
    top = next((each for each in (whole, *whole.parents) if (each / ".git").exists()), whole)
    return whole.relative_to(top)


def _read(file: Path) -> Source:
    """``file`` under the name that diagnostics will show."""
    from runtime.config.files import Source

    with click.open_file(str(file), "rb") as stream:
        return Source("stdin" if str(file) == "-" else file.as_posix(), stream.read())


def _parts(root: Path, file: Path) -> tuple[Source, ...]:
    """What stands beside `gateway.yaml` in `gateway.d`, but for ``file``."""
    from runtime.config.files import read_parts

    return tuple(part for part in read_parts(root) if (root / part.path).resolve() != file.resolve())
