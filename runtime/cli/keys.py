"""``gatewright keys``: make a client key. The key is shown once; what the configuration holds is its hash."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
import rich_click as click
from click import option  # typed, which rich_click's are not

from runtime.cli.terminal import FAULT, Stop, as_json, note, print_json, root_option

__all__ = ["keys"]

SCOPES = ("chat", "view", "action", "admin")


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What ``keys new --json`` prints."""

    id: str
    key: str
    hash: str
    scopes: tuple[str, ...]
    models: tuple[str, ...]


@click.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Make keys for clients."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@keys.command()
@root_option
@option("--id", "id_", required=True, help="The key's name in `gateway.yaml`, logs and metrics.")
@option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("chat",),
    show_default=True,
    help="What it may do.",
)
@option("--model", "models", multiple=True, help="A public name or pattern the key may use; all, unless given.")
@as_json
def new(root: Path, id_: str, scopes: tuple[str, ...], models: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it, once, with the lines to paste under `keys:` in `gateway.yaml`.

    The hash is made with the server's pepper: the variable `GATEWRIGHT_PEPPER`, or the file `pepper` in the data directory.
    """
    from runtime.cli.project import data_dir
    from runtime.config.checks.key import complaint_of_id
    from runtime.config.keyfile import pepper
    from runtime.config.secrets import environment
    from runtime.web.key import mint

    if (complaint := complaint_of_id(id_)) is not None:
        raise Stop(FAULT, "; ".join(complaint))
    plain, digest = mint(secrets.token_bytes, pepper(data_dir(root), environment(root)))
    made = NewKey(id=id_, key=plain, hash=f"hmac-sha256:{digest}", scopes=scopes, models=models)
    if as_json:
        print_json(made)
        return
    note("The key, shown this once:")
    click.echo(made.key)
    note("\nUnder `keys:` in gateway.yaml:")
    click.echo(yaml_lines(made))


def yaml_lines(key: NewKey) -> str:
    """The entry of ``key`` under ``keys:``. Names are written as JSON text, which is YAML for any name."""

    def flow(names: tuple[str, ...]) -> str:
        return "[" + ", ".join(msgspec.json.encode(name).decode() for name in names) + "]"

    lines = [f"  {msgspec.json.encode(key.id).decode()}:", f'    hash: "{key.hash}"', f"    scopes: {flow(key.scopes)}"]
    if key.models:
        lines.append(f"    models: {flow(key.models)}")
    return "\n".join(lines)
