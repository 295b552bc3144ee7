"""`docs/guide/commands.md` is what the commands say of themselves. `make golden` rewrites it."""

import inspect
import re
from pathlib import Path

import click

from runtime.cli.program import program

PAGE = Path(__file__).parents[2] / "docs/guide/commands.md"


def test_every_command_and_option_is_documented_in_its_own_words(golden: bool) -> None:
    made = rendered()
    if golden:
        PAGE.write_text(made, "utf-8")

    assert made == PAGE.read_text("utf-8")


def test_every_command_and_option_has_words() -> None:
    assert [] == [name for name, command in commands() if not command.help]
    assert [] == [
        f"{name} {parameter.name}"
        for name, command in commands()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]


def rendered() -> str:
    pieces = [
        "# Commands",
        "Exit codes: 0 all is well, 1 a fault, 2 it differs. `gatewright COMMAND --help` prints the same in a terminal.",
    ]
    for name, command in commands():
        usage = " ".join(["gatewright", name, *(_metavar(p) for p in command.params if isinstance(p, click.Argument))])
        pieces += [f"## {name}", f"`{usage}`", inspect.cleandoc(command.help or "")]
        rows = [_row(option) for option in command.params if isinstance(option, click.Option)]
        if rows:
            pieces.append("\n".join(["| option | meaning |", "|---|---|", *rows]))
    return "\n\n".join(pieces) + "\n"


def commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in program.commands.items():
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", inner) for below, inner in command.commands.items()]
        else:
            found.append((name, command))
    return found


def _metavar(argument: click.Argument) -> str:
    name = (argument.name or "").rstrip("_").upper()
    return name if argument.required else f"[{name}]"


def _row(option: click.Option) -> str:
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    choices = ""
    if isinstance(option.type, click.Choice):
        choices = " One of " + ", ".join(f"`{choice}`" for choice in option.type.choices) + "."
    if isinstance(option.default, str | tuple) and option.default and option.show_default is True:
        default = option.default if isinstance(option.default, str) else ", ".join(option.default)
        choices += f" Default `{default}`."
    return f"| {names} | {re.sub(r' +', ' ', option.help or '')}{choices} |"
