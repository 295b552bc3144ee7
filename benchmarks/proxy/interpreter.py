"""Another Python for the gateways that run on one: a distribution's build, which is faster than one that was compiled at home."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["described", "prepared"]

LOOK = """
import sys, sysconfig, time

def work():
    found = {}
    for number in range(20_000):
        found[number % 97] = found.get(number % 89, 0) + number
        f"a{number}".encode()

def once():
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000

given = sysconfig.get_config_var("CONFIG_ARGS") or ""
said = "with" if "--enable-optimizations" in given else "without"
print(f"{sys.version.split()[0]} configured {said} --enable-optimizations, {min(once() for _ in range(30)):.1f} ms a loop")
"""
"""A distribution optimises by means of its own, which its configuration does not tell; a loop of plain Python does."""


def described(python: str) -> str:
    """Its version, how it was configured, and how fast it is: the least CPU that a fixed loop takes."""
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
