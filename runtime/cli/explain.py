"""``gatewright explain``: where a public name leads, in which order, why, and which lines say so; or where a request went."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click import argument, option  # typed, which rich_click's are not

from runtime.catalog import Endpoint
from runtime.cli.terminal import FAULT, SAME, Stop, as_json, print_json, root_option

__all__ = ["explain"]


@click.command()
@root_option
@argument("name", required=False)
@option(
    "--endpoint",
    type=click.Choice([kind.value for kind in Endpoint]),
    default="chat",
    show_default=True,
    help="The kind of call.",
)
@option("--request", metavar="ID", help="A request that was made: its id, or that in `x-gatewright-decision`.")
@option(
    "--inputs",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What `--request … --json` printed: make the orders anew from it, and compare. Exits 2 when one differs.",
)
@option("--url", help="Where the gateway is, for `--request`.", show_default="as the configuration says")
@option(
    "--key",
    envvar="GATEWRIGHT_KEY",
    help="A key with the scope `view`, for `--request`. Better in the environment: command lines are seen by others.",
    show_default="the one in GATEWRIGHT_KEY",
)
@as_json
def explain(
    root: Path,
    name: str | None,
    endpoint: str,
    request: str | None,
    inputs: Path | None,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """Print the ordered targets of NAME: a model, an alias or a combo; or why a request went where it went.

    Without any of them it lists the names that can be called. NAME is looked up in the sources, not in the built plan, with the secrets that are set here. Exits 1 when a request would
    be refused. `--request` asks the running gateway, with the key in GATEWRIGHT_KEY.
    """
    if sum(each is not None for each in (name, request, inputs)) > 1:
        raise Stop(FAULT, "give one of NAME, --request and --inputs")
    if request is not None:
        return _request(root, request, url, key, as_json)
    if inputs is not None:
        return _inputs(root, inputs, as_json)
    return _names(root, as_json) if name is None else _name(root, name, endpoint, as_json)


def _names(root: Path, as_json: bool) -> int:
    from runtime.cli.project import sound_artefact
    from runtime.config.explain import public_names

    names = public_names(sound_artefact(root))
    if as_json:
        print_json(names)
    for each in () if as_json else names:
        click.echo(f"{each.name} ({each.kind})" + (f" {each.written}" if each.written else ""))
    return SAME


def _name(root: Path, name: str, endpoint: str, as_json: bool) -> int:
    from runtime.cli.lookup import look_up_below
    from runtime.cli.project import sound_artefact
    from runtime.config import explain as plan
    from runtime.config.secrets import resolve_secrets

    artefact = sound_artefact(root)
    secrets = resolve_secrets(artefact.plan, look_up_below(root, artefact.plan))
    explanation = plan.explain(artefact, name, Endpoint(endpoint), secrets.connections.keys(), secrets.dark)
    if as_json:
        print_json(explanation)
    else:
        click.echo(plan.render_explanation(explanation), nl=False)
    return FAULT if explanation.problem else SAME


def _request(root: Path, id_: str, url: str | None, key: str | None, as_json: bool) -> int:
    from runtime.cli.asking import address, ask, client_key
    from runtime.cli.decision import read_decision, render_decision

    decision = read_decision(ask(address(root, url), ("api", "explain", id_), client_key(root, key)))
    if as_json:
        print_json(decision)
    else:
        click.echo(render_decision(decision), nl=False)
    return SAME


def _inputs(root: Path, path: Path, as_json: bool) -> int:
    from runtime.cli.decision import read_decision, render_derived
    from runtime.cli.project import sound_artefact
    from runtime.cli.terminal import DIFFERS, note
    from runtime.routing.deriving import NoDecisionError, derive

    inputs, artefact = read_decision(path.read_bytes()).inputs, sound_artefact(root)
    if not inputs:
        raise Stop(FAULT, f"{path} holds no inputs: they are told to keys of the operator's tenant only")
    if inputs.build != artefact.build:
        note(f"decided by build {inputs.build}; the sources here are build {artefact.build}")
    try:
        derived = derive(artefact.plan, inputs)
    except NoDecisionError as error:
        raise Stop(FAULT, f"this is no decision: {error}") from None
    if as_json:
        print_json(derived)
    else:
        click.echo(render_derived(derived), nl=False)
    return SAME if all(each.same for each in derived) else DIFFERS
