"""The list of commands, and the one place where an exception becomes an exit code.

Importing this imports no compiler and no server, so that `gatewright --help` and completion answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import rich_click as click
from click import option  # typed, which rich_click's are not
from typing_extensions import override

from runtime.cli.audit import audit
from runtime.cli.build import build
from runtime.cli.check import check
from runtime.cli.completion import completion
from runtime.cli.diff import diff
from runtime.cli.doctor import doctor
from runtime.cli.explain import explain
from runtime.cli.export import export
from runtime.cli.import_ import import_
from runtime.cli.init import init
from runtime.cli.keys import keys
from runtime.cli.overrides import overrides
from runtime.cli.people import people
from runtime.cli.serve import serve
from runtime.cli.terminal import FAULT, SAME, Stop
from runtime.errors import ConfigError

__all__ = ["main", "program"]


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from runtime.config.build import COMPILER

        click.echo(f"gatewright {COMPILER}")
        context.exit()


COMMANDS = (
    init,
    check,
    build,
    diff,
    explain,
    serve,
    keys,
    overrides,
    export,
    import_,
    people,
    doctor,
    audit,
    completion,
)
HELP: Final = click.RichHelpConfiguration(force_terminal=None, text_markup="markdown", width=100)


class Program(click.RichGroup):
    """Lists its commands in the order a newcomer meets them, and shows them when none is given."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=Program,
    commands=list(COMMANDS),
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
        "rich_help_config": HELP,  # said by a decorator, it would load what draws help for every command
    },
    epilog="Exit codes: 0 all is well, 1 a fault, 2 it differs. Start with `gatewright init`, then `gatewright serve`.",
)
@option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version.")
@click.pass_context
def program(context: click.Context) -> None:
    """An AI gateway whose configuration is source code: YAML in, checked and compiled, one immutable plan out."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    A mistake in the command line is a fault (1), never 2: that means "differs" here, and scripts must be able to tell.
    """
    try:
        outcome = program.main(args, prog_name="gatewright", standalone_mode=False)
    except Stop as stop:
        if stop.message:
            click.echo(f"gatewright: {stop.message}", err=True)
        return stop.code
    except ConfigError as error:
        click.echo(f"gatewright: {error.message}", err=True)
        return FAULT
    except click.ClickException as error:
        error.show(sys.stderr)
        return FAULT
    except OSError as error:  # a file of the operator's: what is read or written elsewhere has its own errors
        click.echo(f"gatewright: {_told(error)}", err=True)
        return FAULT
    except click.Abort:
        return FAULT
    return outcome if isinstance(outcome, int) else SAME


def _told(error: OSError) -> str:
    paths = [os.fsdecode(path) for path in (error.filename2, error.filename) if isinstance(path, str | bytes)]
    return f"{paths[0]}: {error.strerror}" if paths else str(error)
