"""Secrets the gateway makes for itself and keeps under its data directory, readable by its own user alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from runtime.config.plan import SecretRef
from runtime.config.secrets import Lookup
from runtime.errors import ConfigError

__all__ = ["PEPPER", "STORE_KEY", "STORE_KEY_BEFORE", "STORE_KEY_FILE", "kept_secret", "pepper", "store_keys"]

PEPPER: Final = SecretRef(env="GATEWRIGHT_PEPPER")
"""Where the pepper of client keys may be given; several machines that share keys share it."""


STORE_KEY: Final = SecretRef(env="GATEWRIGHT_STORE_KEY")
"""Where the key of stored secrets may be given; several machines that share a database share it."""

STORE_KEY_FILE: Final = "store-key"
"""In the data directory: the key of stored secrets where none is given."""

STORE_KEY_BEFORE: Final = SecretRef(env="GATEWRIGHT_STORE_KEY_BEFORE")
"""Keys that stored secrets may still be encrypted with, apart by spaces; they are encrypted anew at the start."""


def pepper(data_dir: Path, look_up: Lookup) -> bytes:
    """The secret that client keys are hashed with: the environment's, else the data directory's own, made when missing."""
    return (look_up(PEPPER) or kept_secret(data_dir / "pepper", lambda: secrets.token_hex(32))).encode()


def store_keys(data_dir: Path, look_up: Lookup) -> tuple[Callable[[], str], tuple[str, ...]]:
    """What stored secrets are encrypted with, made in the data directory when it is first needed; and what they were before."""
    given = look_up(STORE_KEY)
    before = tuple((look_up(STORE_KEY_BEFORE) or "").split())

    def current() -> str:
        return given or kept_secret(data_dir / STORE_KEY_FILE, lambda: secrets.token_hex(32))

    if given is not None and (data_dir / STORE_KEY_FILE).exists():
        before = (*before, kept_secret(data_dir / STORE_KEY_FILE, lambda: ""))
    return current, before


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret in ``path``; made by ``make`` and written with mode 0600 when there is no such file.

    Raises ConfigError for a file that others can read, that is empty, or that cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _create(path, make())
        except FileExistsError:
            return _read(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _create(path: Path, secret: str) -> str:
    """Write beside and link into place, so that no reader ever sees half of it, a power cut or not. Raises FileExistsError.

    A draft that a process left which was killed is in nobody's way: the process of a container has the same id each time.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)
        _keep_names(path.parent)
    finally:
        draft.unlink()
    return secret


def _keep_names(directory: Path) -> None:
    """As far as the file system can: some shared ones have no such call for directories."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
    try:
        secret = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is damaged: it holds more than ASCII; put back what was there") from None
    if not secret:
        raise ConfigError(f"{path} is empty; delete it, and a new one is made")
    return secret
