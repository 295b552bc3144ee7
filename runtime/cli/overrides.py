"""``gatewright overrides``: what was changed through the management API, and taking it back without a server."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import rich_click as click
from click import option  # typed, which rich_click's are not

from runtime.cli.terminal import SAME, as_json, print_json, root_option

__all__ = ["overrides"]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What ``overrides --json`` prints of each; ``removed``: the entry is taken away."""

    name: str
    author: str
    changed: str
    revision: int
    removed: bool


@click.command()
@root_option
@option("--drop", "names", multiple=True, metavar="SECTION/NAME", help="Take this one back; the files hold again.")
@option("--drop-all", is_flag=True, help="Take all of them back.")
@as_json
def overrides(root: Path, names: tuple[str, ...], drop_all: bool, as_json: bool) -> int:
    """List the changes that lie over `gateway.yaml`, or take some back.

    Works without a server and beside a running one, which follows within a second. `gatewright diff --overrides` shows what
    they change, `gatewright export` writes them as YAML.
    """
    from runtime.cli.stored import drop, stored_below

    found = stored_below(root).overrides
    if drop_all:
        names = tuple(f"{each.section}/{each.name}" for each in found)
    if names:
        found = drop(root, names)
    listed = [
        Listed(
            name=f"{each.section}/{each.name}",
            author=each.author,
            changed=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.changed_s)),
            revision=each.revision,
            removed=each.document is None,
        )
        for each in found
    ]
    if as_json:
        print_json(listed)
        return SAME
    for each in listed:
        what = "taken back" if names else f"{each.changed} by {each.author}{', removes it' if each.removed else ''}"
        click.echo(f"{each.name}  {what}")
    if not listed:
        click.echo("no overrides")
    return SAME
