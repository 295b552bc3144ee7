"""The printed lines teach a shell our commands."""

import subprocess
import sys

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_command_and_its_variable(run: Run, shell: str) -> None:
    ran = run("completion", shell)

    assert 0 == ran.code
    assert "_GATEWRIGHT_COMPLETE" in ran.out
    assert "gatewright" in ran.out


def test_a_shell_that_asks_is_told_the_commands() -> None:
    environment = {"_GATEWRIGHT_COMPLETE": "bash_complete", "COMP_WORDS": "gatewright d", "COMP_CWORD": "1", "PATH": ""}
    asked = subprocess.run(
        [sys.executable, "-m", "runtime.cli"], env=environment, capture_output=True, text=True, check=True
    )

    assert ["plain,diff", "plain,doctor"] == sorted(asked.stdout.split())


def test_an_unknown_shell_is_refused(run: Run) -> None:
    assert 1 == run("completion", "tcsh").code
