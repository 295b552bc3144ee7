"""When the web framework is loaded, and what comes with it."""

import subprocess
import sys

UNUSED = {"pydantic", "attr", "attrs"}
"""What the framework would also know how to speak."""


def loaded_by(code: str) -> set[str]:
    """The modules that are there after ``code``."""
    script = f"import sys; {code}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_what_a_start_imports_does_not_load_it() -> None:
    """Calls of models need none of it, and it takes a fifth of a start."""
    loaded = loaded_by("import runtime.server")

    assert "runtime.app" in loaded
    assert "litestar" not in loaded


def test_it_loads_no_library_of_models_that_happens_to_be_installed() -> None:
    """They would take nine megabytes of every worker."""
    loaded = loaded_by("from runtime.web.framework import application; application([], None, print)")

    assert "litestar" in loaded
    assert UNUSED & loaded == set()
