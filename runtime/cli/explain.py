"""``gatewright explain``: where a public name leads, in which order, why, and which lines say so."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click import argument, option  # typed, which rich_click's are not

from runtime.catalog import Endpoint
from runtime.cli.terminal import FAULT, SAME, as_json, print_json, root_option

__all__ = ["explain"]


@click.command()
@root_option
@argument("name")
@option(
    "--endpoint",
    type=click.Choice([kind.value for kind in Endpoint]),
    default="chat",
    show_default=True,
    help="The kind of call.",
)
@as_json
def explain(root: Path, name: str, endpoint: str, as_json: bool) -> int:
    """Print the ordered targets of NAME: a model, an alias or a combo.

    Reads the sources, not the built plan, and looks which secrets are set here. Exits 1 when a request would be refused.
    """
    from runtime.cli.project import sound_artefact
    from runtime.config import explain as plan
    from runtime.config.secrets import environment, resolve_secrets

    artefact = sound_artefact(root)
    usable = resolve_secrets(artefact.plan, environment(root)).connections.keys()
    explanation = plan.explain(artefact, name, Endpoint(endpoint), usable)
    if as_json:
        print_json(explanation)
    else:
        click.echo(plan.render_explanation(explanation), nl=False)
    return FAULT if explanation.problem else SAME
