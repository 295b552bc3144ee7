"""``gatewright build``: compile `schemas/`, where there are any, and `gateway.yaml`; write what differs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click import option  # typed, which rich_click's are not

from runtime.cli.terminal import DIFFERS, FAULT, SAME, as_json, note, print_json, root_option

if TYPE_CHECKING:
    from runtime.cli.output import Changes
    from runtime.cli.project import Outcome

__all__ = ["build"]


@click.command()
@root_option
@option("--check", "only_check", is_flag=True, help="Write nothing; print what would change and exit 2.")
@as_json
def build(root: Path, only_check: bool, as_json: bool) -> int:
    """Compile into `generated/` and `gateway.lock`.

    All faults are reported in one pass; with an error in `gateway.yaml` no plan is written. The same sources give the same
    bytes everywhere.
    """
    from runtime.cli.output import Changes, joined, put_pages, put_plan
    from runtime.cli.project import compile_project

    outcome = compile_project(root)
    pages = Changes() if outcome.schemas_failed else put_pages(root, outcome, check=only_check)
    if pages.code and not only_check and _imported_from(root):
        return _again(root, as_json=as_json)
    if _complain(outcome, pages):
        return FAULT
    changes = joined(pages, put_plan(root, outcome, check=only_check))
    if as_json:
        facts = {"build": outcome.compiled.build, "written": changes.written, "deleted": changes.deleted}
        print_json(facts)
    elif only_check:
        click.echo(changes.diff, nl=False)
    else:
        click.echo(f"build {outcome.compiled.build}: {_told(changes)}")
    return DIFFERS if only_check and changes else SAME


def _complain(outcome: Outcome, pages: Changes) -> bool:
    """Say what is wrong, and whether it keeps the plan from being written."""
    from runtime.cli.report import as_text, summary

    if outcome.diagnostics:
        note(as_text(outcome.diagnostics))
    for path in pages.refused:
        note(f"{path} was not generated and is in the way; move it")
    if outcome.failed:
        note(f"{summary(outcome.diagnostics)}; no plan was written")
    return outcome.failed or bool(pages.refused)


def _told(changes: Changes) -> str:
    written, deleted = changes.written, changes.deleted
    if not written and not deleted:
        return "nothing to change"
    files = ", ".join(written) if len(written) <= 3 else f"{len(written)} files"
    return f"wrote {files or 'nothing'}" + (f", deleted {len(deleted)}" if deleted else "")


def _imported_from(root: Path) -> bool:
    """Whether the code that was just generated is the code that this process runs."""
    import generated

    places = [Path(place).resolve() for place in generated.__path__]
    return (root / "generated").resolve() in places


def _again(root: Path, *, as_json: bool) -> int:
    """Compile once more in a fresh process: this one has read `gateway.yaml` by the settings of before."""
    options = ["--root", str(root), *(["--json"] if as_json else [])]
    return subprocess.run([sys.executable, "-m", "runtime.cli", "build", *options], check=False).returncode
