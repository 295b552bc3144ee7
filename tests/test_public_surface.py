"""What users and scripts lean on, as one list: a change of it is a change that `tests/public_surface.txt` shows in review.

`make golden` rewrites the list. A line that goes is a break: it needs a deprecation first, or a new major version.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

from generated.config import SETTINGS
from runtime import errors
from runtime.cli.program import program
from runtime.cli.terminal import DIFFERS, FAULT, SAME
from runtime.config.build import COMPILER
from runtime.source import CODES

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("public_surface.txt")


def test_the_public_surface_is_the_one_on_the_list(golden: bool) -> None:
    made = "".join(f"{line}\n" for line in surface())
    if golden:
        LIST.write_text(made, "utf-8")

    assert made.splitlines() == LIST.read_text("utf-8").splitlines()


def test_the_compiler_and_the_package_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert COMPILER == project["version"]


def test_the_console_script_is_the_command_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert {"gatewright": "runtime.cli:main"} == project["scripts"]


def surface() -> Iterator[str]:
    yield from (f"exit code {code}" for code in (SAME, FAULT, DIFFERS))
    yield from commands("gatewright", program)
    yield from operations()
    yield from sorted(f"setting {setting.path}: {setting.type}" for setting in SETTINGS)
    yield from sorted(f"diagnostic {code}" for code in CODES)
    yield from sorted({f"error {kind}" for kind in kinds(errors.GatewayError)})


def commands(path: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(f"{path} {name}", below)
        return
    words = [f"[{option}]" for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
    yield " ".join(["command", path, *words])


def operations() -> Iterator[str]:
    document = json.loads((ROOT / "generated/openapi.json").read_text("utf-8"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "operationId" in operation:
                yield f"operation {method.upper()} {path}: {operation['operationId']}"


def kinds(error: type[errors.GatewayError]) -> Iterator[str]:
    yield error.kind
    for child in error.__subclasses__():
        yield from kinds(child)
