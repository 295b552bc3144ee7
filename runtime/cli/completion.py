"""``gatewright completion``: the lines that teach a shell to complete our commands."""

from __future__ import annotations

import rich_click as click
from click import argument  # typed, which rich_click's are not
from click.shell_completion import get_completion_class

from runtime.cli.terminal import FAULT, Stop

__all__ = ["completion"]


@click.command()
@argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print completions for a shell.

    bash: `eval "$(gatewright completion bash)"` in `~/.bashrc`; zsh: the same in `~/.zshrc`;
    fish: `gatewright completion fish > ~/.config/fish/completions/gatewright.fish`.
    """
    completer = get_completion_class(shell)
    if completer is None:
        raise Stop(FAULT, f"click knows no completion for {shell}")
    program = context.find_root().command
    made = completer(program, {}, "gatewright", "_GATEWRIGHT_COMPLETE")
    click.echo(made.source_template % made.source_vars())  # not `source()`: that starts bash to ask for its version
