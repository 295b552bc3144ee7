"""The command line as a whole: light to start, honest about exit codes."""

import subprocess
import sys

import pytest

from runtime.cli.program import COMMANDS, program
from tests.cli.conftest import Run

HEAVY = {"codegen", "granian", "litestar", "jinja2", "httpx", "aiohttp", "generated.catalog"}


def test_help_imports_no_compiler_and_no_server() -> None:
    """`gatewright --help` and completion answer at once."""
    code = (
        "import sys; from runtime.cli import main; main(['--help']); "
        "sys.stderr.write(' '.join(sys.modules))"
    )  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert HEAVY & set(ran.stderr.split()) == set()


def test_what_a_command_loads_is_not_looked_through_by_the_collector() -> None:
    """Neither while it is loaded nor when the process ends: a quarter of what a small command takes."""
    code = "import gc; from runtime.cli import main; main(['--version']); print(gc.get_freeze_count() > 10_000, gc.isenabled())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "True True" == ran.stdout.splitlines()[-1]


def test_commands_are_listed_in_the_order_a_newcomer_meets_them(run: Run) -> None:
    ran = run()
    names = [command.name or "" for command in COMMANDS]

    assert ran.code == 0
    assert [ran.out.index(f"│ {name} ") for name in names] == sorted(ran.out.index(f"│ {name} ") for name in names)


@pytest.mark.parametrize("name", [*program.commands, "keys new"])
def test_every_command_explains_itself(run: Run, name: str) -> None:
    ran = run(*name.split(), "--help")

    assert ran.code == 0
    assert f"gatewright {name}" in ran.out


def test_the_version_is_printed(run: Run) -> None:
    from runtime.config.build import COMPILER

    assert run("--version") == (0, f"gatewright {COMPILER}\n", "")
