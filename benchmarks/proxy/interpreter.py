"""Another Python for the gateways that run on one: a distribution's build, which is faster than one that was compiled at home."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["described", "prepared"]

LOOK = (
    "import sys, sysconfig; given = sysconfig.get_config_var('CONFIG_ARGS') or '';"
    "print(sys.version.split()[0], 'with' if '--enable-optimizations' in given else 'without', 'PGO,',"
    " 'with' if '--with-lto' in given else 'without', 'LTO')"
)


def described(python: str) -> str:
    """Its version and how it was built: `3.11.2 with PGO, with LTO`."""
    return subprocess.run([python, "-c", LOOK], capture_output=True, text=True, check=True).stdout.strip()


def prepared(python: str, packages: Path, folder: Path) -> str:
    """The path of that interpreter in an environment of its own that sees ``packages``, a folder `site-packages`.

    Their compiled modules are for one minor version: another one is refused.
    """
    environment = folder / "python"
    subprocess.run([python, "-m", "venv", "--without-pip", str(environment)], check=True)
    found = next(environment.glob("lib/python3*/site-packages"))
    if found.parent.name != packages.parent.name:
        raise RuntimeError(f"{python} is {found.parent.name}, the packages are for {packages.parent.name}")
    found.joinpath("packages.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n", encoding="utf-8")
    return str(environment / "bin" / "python")
