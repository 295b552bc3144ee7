"""The files a configuration is made of: `gateway.yaml` and, beside it, `gateway.d/*.yaml`. Reads them; understands nothing."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

import msgspec

from runtime.errors import ConfigError

__all__ = ["MAIN", "Source", "read_file", "read_parts", "read_sources", "source_names", "unread_names"]

MAIN: Final = "gateway.yaml"
_PARTS: Final = "gateway.d"
_YAML: Final = frozenset({".yaml", ".yml", ".YAML", ".YML"})
_BESIDE: Final = (".#", "._")
"""What Emacs and macOS put beside a file while it is edited or copied: a link to nowhere, attributes."""


class Source(msgspec.Struct, frozen=True):
    """One file: its path relative to the project's root, with `/`, and its bytes."""

    path: str
    data: bytes


def source_names(root: Path) -> tuple[str, ...]:
    """The files' paths relative to ``root``, `gateway.yaml` first whether it exists or not, the others by name."""
    return (MAIN, *_part_names(root))


def read_sources(root: Path) -> tuple[Source, ...]:
    """Read them all. Raises ConfigError for one that cannot be read, or is no file."""
    return tuple(Source(name, _read(root, name)) for name in source_names(root))


def read_parts(root: Path) -> tuple[Source, ...]:
    """Those beside gateway.yaml. Raises as `read_sources` does."""
    return tuple(Source(name, _read(root, name)) for name in _part_names(root))


def unread_names(root: Path) -> tuple[str, ...]:
    """What looks like one of the files beside gateway.yaml, and is not read: YAML of another ending, or further below."""
    paths = [path for path in (root / _PARTS).rglob("*") if path.suffix in _YAML and not path.name.startswith(_BESIDE)]
    return tuple(sorted({path.relative_to(root).as_posix() for path in paths} - {*_part_names(root)}))


def read_file(root: Path, name: str) -> bytes:
    """What is in a file below ``root``. Raises OSError, and ConfigError for what is no file, of which a pipe would be waited for."""
    path = root / name
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "no file"
        raise ConfigError(f"{name} is {what}; a file is to stand there")
    return path.read_bytes()


def _part_names(root: Path) -> tuple[str, ...]:
    parts = root / _PARTS
    if parts.exists() and not parts.is_dir():
        raise ConfigError(f"{_PARTS} is no directory; it holds the parts of the configuration, `{_PARTS}/*.yaml`")
    names = sorted(path.name for path in parts.glob("*.yaml"))
    return tuple(f"{_PARTS}/{name}" for name in names if not name.startswith(_BESIDE))


def _read(root: Path, name: str) -> bytes:
    try:
        return read_file(root, name)
    except OSError as error:
        path = root / name
        link = f", a link to {path.readlink()}," if path.is_symlink() else ""
        raise ConfigError(f"{name}{link} cannot be read: {error.strerror or error}") from error
