"""What a serving process carries along, its workers with it."""

import subprocess
import sys


def test_neither_what_draws_help_nor_what_seals_secrets_is_loaded_before_it_is_needed() -> None:
    """Seven megabytes, of which three would be each worker's own."""
    code = "import sys, runtime.cli.program, runtime.server as server; server.load_codecs(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "sqlalchemy" in loaded
    assert {"rich", "cryptography"} & set(loaded) == set()
