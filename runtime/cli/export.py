"""``gatewright export``: what was changed through the management API, as YAML to be committed."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click import option  # typed, which rich_click's are not

from runtime.cli.terminal import SAME, root_option

__all__ = ["export"]


@click.command()
@root_option
@option("--whole", is_flag=True, help="Print a whole `gateway.yaml`: the files with the changes laid over them.")
def export(root: Path, whole: bool) -> int:
    """Print the changes that lie over `gateway.yaml`, as YAML.

    Each entry takes the place of the one in `gateway.yaml` with its name; with `--whole` that is done. Built from there, the
    plan is the one that is served now; then `gatewright overrides --drop-all`. Secrets are not printed: `stored:…` refers to
    one that stays in the store.
    """
    from runtime.cli.stored import base_of, overrides_below
    from runtime.config.export import files_of, overrides_yaml, whole_yaml

    found = overrides_below(root)
    base = base_of(root)
    click.echo(whole_yaml(base, found) if whole else overrides_yaml(found, files_of(base.sources)), nl=False)
    return SAME
