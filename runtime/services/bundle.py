"""Everything that makes a gateway what it is, as one archive: the store, the configuration it was built from, and what to know.

No secret is in it: configuration holds references, the store has hashes and what is sealed with a key that is not in it.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from runtime.stores.snapshot import Contents

__all__ = ["STORE_MEMBER", "Bundle", "bundled"]

STORE_MEMBER: Final = "gatewright.sqlite"


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What is packed beside the store: ``files`` by path, ``facts`` for the manifest."""

    files: Mapping[str, bytes]
    facts: Mapping[str, str]


def bundled(archive: Path, store: Path, contents: Contents, bundle: Bundle, made_at: str) -> None:
    """Write ``archive``, a gzipped tar, for its owner alone. Raises OSError."""
    members = {f"config/{path}": data for path, data in sorted(bundle.files.items())}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    with store.open("rb") as file:
        sums[STORE_MEMBER] = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = {
        "product": "Gatewright",
        **bundle.facts,
        "madeAt": made_at,
        "schema": contents.schema,
        "rows": contents.rows,
        "sha256": sums,
        "needed": "GATEWRIGHT_PEPPER or the file `pepper`, and GATEWRIGHT_STORE_KEY or the file `store-key`: not in here",
    }
    members = {"manifest.json": msgspec.json.format(msgspec.json.encode(manifest), indent=2), **members}
    archive.touch(mode=0o600, exist_ok=False)
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for name, data in members.items():
            tar.addfile(_member(name, len(data)), io.BytesIO(data))
        with store.open("rb") as file:
            tar.addfile(_member(STORE_MEMBER, store.stat().st_size), file)


def _member(name: str, size: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.mode = size, 0o600
    return found
