"""The files a configuration is made of: `gateway.yaml` and, beside it, `gateway.d/*.yaml`. Reads them; understands nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from runtime.errors import ConfigError

__all__ = ["MAIN", "Source", "read_parts", "read_sources", "source_names", "unread_names"]

MAIN: Final = "gateway.yaml"
_PARTS: Final = "gateway.d"
_YAML: Final = frozenset({".yaml", ".yml", ".YAML", ".YML"})


class Source(msgspec.Struct, frozen=True):
    """One file: its path relative to the project's root, with `/`, and its bytes."""

    path: str
    data: bytes


def source_names(root: Path) -> tuple[str, ...]:
    """The files' paths relative to ``root``, `gateway.yaml` first whether it exists or not, the others by name."""
    return (MAIN, *_part_names(root))


def read_sources(root: Path) -> tuple[Source, ...]:
    """Read them all. Raises ConfigError for one that cannot be read."""
    return tuple(Source(name, _read(root, name)) for name in source_names(root))


def read_parts(root: Path) -> tuple[Source, ...]:
    """Those beside gateway.yaml. Raises as `read_sources` does."""
    return tuple(Source(name, _read(root, name)) for name in _part_names(root))


def unread_names(root: Path) -> tuple[str, ...]:
    """What looks like one of the files beside gateway.yaml, and is not read: YAML of another ending, or further below."""
    found = (path.relative_to(root).as_posix() for path in (root / _PARTS).rglob("*") if path.suffix in _YAML)
    return tuple(sorted({*found} - {*_part_names(root)}))


def _part_names(root: Path) -> tuple[str, ...]:
    return tuple(f"{_PARTS}/{name}" for name in sorted(path.name for path in (root / _PARTS).glob("*.yaml")))


def _read(root: Path, name: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from error
