"""When the web framework is loaded."""

import subprocess
import sys


def test_what_a_start_imports_does_not_load_it() -> None:
    """Calls of models need none of it, and it takes a fifth of a start."""
    code = "import sys, runtime.server; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = ran.stdout.split()

    assert "runtime.app" in loaded
    assert "litestar" not in loaded
