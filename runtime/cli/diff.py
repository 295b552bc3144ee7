"""``gatewright diff``: what callers and the bill will notice between two builds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import rich_click as click
from click import argument, option  # typed, which rich_click's are not

from runtime.cli.terminal import DIFFERS, FAULT, SAME, Stop, as_json, note, print_json, root_option

if TYPE_CHECKING:
    from runtime.config.plan import Artefact

__all__ = ["diff"]

PLAN = "generated/plan.json"


@click.command()
@root_option
@argument("old", required=False)
@argument("new", required=False)
@option(
    "--overrides",
    is_flag=True,
    help="Lay what was changed through the management API over what the sources say; lists are replaced whole.",
)
@as_json
def diff(root: Path, old: str | None, new: str | None, overrides: bool, as_json: bool) -> int:
    """Compare two builds. Exits 2 when they differ.

    OLD and NEW are each a plan.json, a directory that was built, or a git revision of this one. NEW unless given is what
    the sources say now, OLD unless given what was built last. With `--overrides` and neither of them it shows what the
    overrides change: OLD is what the sources say without them. A list of an override stands in place of the sources' list,
    whatever is added to that one later; those lists are named.
    """
    from runtime.cli.project import sound_artefact
    from runtime.config.diff import diff_plans, render_diff

    if overrides and new:
        raise Stop(FAULT, "overrides are laid over the sources, so that with `--overrides` there is no NEW")
    before = _named(root, old) if old else _unnamed(root, overrides=overrides)
    after = _named(root, new) if new else _overridden(root) if overrides else sound_artefact(root)
    found = diff_plans(before.plan, after.plan)
    if as_json:
        print_json({"old": before.build, "new": after.build, **msgspec.to_builtins(found)})
    elif found:
        click.echo(f"build {before.build} → {after.build}\n\n{render_diff(found)}", nl=False)
    else:
        click.echo(f"build {after.build}: no difference")
    if overrides:
        _name_lists(root)
    return DIFFERS if found else SAME


def _unnamed(root: Path, *, overrides: bool) -> Artefact:
    from runtime.cli.project import sound_artefact

    return sound_artefact(root) if overrides else _decoded(_read(root / PLAN), PLAN)


def _overridden(root: Path) -> Artefact:
    """What the sources compile to with the overrides. Raises Stop, with every fault, when they do not."""
    from runtime.cli.report import as_text, summary
    from runtime.cli.stored import base_of, overrides_below
    from runtime.config.compile import compile_plan

    base = base_of(root)
    compiled = compile_plan(base.sources, base.catalog, overrides_below(root))
    if compiled.artefact is None:
        note(as_text(compiled.diagnostics))
        raise Stop(FAULT, f"{summary(compiled.diagnostics)} in the sources with the overrides")
    return compiled.artefact


def _name_lists(root: Path) -> None:
    from runtime.cli.stored import base_of, overrides_below
    from runtime.config.export import files_of, hidden_lists

    files = files_of(base_of(root).sources)
    for path in (path for each in overrides_below(root) for path in hidden_lists(files, each)):
        note(f"{path}: the override's list stands, whole; what the sources say there is not seen")


def _named(root: Path, name: str) -> Artefact:
    """The build that ``name`` stands for; what exists as a path is one."""
    path = Path(name)
    if path.is_dir():
        return _decoded(_read(path / PLAN), str(path / PLAN))
    return _decoded(_read(path), name) if path.exists() else _decoded(_from_git(root, name), f"{PLAN} of {name}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Stop(FAULT, f"{path}: {error.strerror}; `gatewright build` writes a plan") from error


def _from_git(root: Path, revision: str) -> bytes:
    if revision.startswith("-"):
        raise Stop(FAULT, f"{revision!r} is neither a path nor a revision")
    command = ["git", "show", f"{revision}:./{PLAN}"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Stop(FAULT, f"there is no file {revision!r}, and no git to ask for a revision") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Stop(
            FAULT, f"{revision!r} is neither a path nor a revision with a plan: {said[0] if said else 'git failed'}"
        )
    return done.stdout


def _decoded(data: bytes, name: str) -> Artefact:
    from runtime.config.plan import Artefact

    try:
        return msgspec.json.decode(data, type=Artefact)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Stop(FAULT, f"{name} is not a plan of this version: {error}") from error
