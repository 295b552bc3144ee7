"""What a serving process carries along, its workers with it."""

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import click
import msgspec
import pytest

from generated.config import ServerSettings
from runtime.cli.serve import serve
from tests.cli.conftest import Run


def test_neither_what_draws_help_nor_what_seals_secrets_is_loaded_before_it_is_needed() -> None:
    """Seven megabytes, of which three would be each worker's own."""
    code = "import sys, runtime.cli.program, runtime.server as server; server.load_codecs(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "sqlalchemy" in loaded
    assert {"rich", "cryptography"} & set(loaded) == set()


def test_options_take_what_the_settings_take_that_they_replace() -> None:
    hints = get_type_hints(ServerSettings, include_extras=True)
    taken = {each.name: each.type for each in serve.params if isinstance(each.type, click.IntRange)}

    assert {"port", "workers"} == set(taken)
    for name, of in taken.items():
        bounds = get_args(hints[name])[1]
        assert isinstance(bounds, msgspec.Meta)
        assert (bounds.ge, bounds.le) == (of.min, of.max)


@pytest.mark.parametrize("host", ["", " "])
@pytest.mark.parametrize("more", [[], ["--watch"]], ids=["once", "watched"])
def test_a_host_of_no_letters_is_not_every_address(run: Run, root: Path, host: str, more: list[str]) -> None:
    assert 0 == run("build", "--root", root).code
    ran = run("serve", "--host", host, "--port", "0", "--root", root, *more)

    assert 1 == ran.code
    assert f"gatewright: {host!r} is no host to listen on" in ran.err
