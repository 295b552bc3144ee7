"""A bundle of one certificate authority, for a process that only speaks plain HTTP to itself."""

from __future__ import annotations

from pathlib import Path

import certifi

__all__ = ["one_authority"]

END = "-----END CERTIFICATE-----\n"


def one_authority(folder: Path) -> Path:
    """The first certificate of certifi's bundle, as a file below ``folder``."""
    bundle = Path(certifi.where()).read_text(encoding="utf-8")
    path = folder / "one-authority.pem"
    path.write_text(bundle[bundle.index("-----BEGIN") : bundle.index(END) + len(END)], encoding="utf-8")
    return path
