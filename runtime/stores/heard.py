"""What the store said of keys when it was last heard on this machine, in a file of the data directory.

For a worker that starts while the store is away: it then knows what the others of its machine go on with. No key stands in it,
only hashes, and its first line proves that it was written here, and whole.
"""

from __future__ import annotations

import hmac
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from runtime.stores.keys import KeySet

__all__ = ["KNOWN_KEYS", "HeardKeys"]

KNOWN_KEYS: Final = "known-keys"
"""The file's name in the data directory."""


class HeardKeys:
    """``secret`` is the pepper of the keys. Both methods look at the disk, and are for a thread."""

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path = path
        self._secret = secret

    def keep(self, found: KeySet) -> None:
        """From now on this was heard last. Where it cannot be written, nothing was: what is older may know less of what was revoked.

        Raises OSError.
        """
        body = msgspec.json.encode(found)
        proof = self._proof(body)
        if self._begins_with(proof):
            return
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")  # made with 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(proof + body)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
            raise

    def read(self) -> KeySet | None:
        """What was heard last; None where nothing was, and where that is not what was written."""
        try:
            proof, end, body = self._path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if not hmac.compare_digest(proof + end, self._proof(body)):
            return None
        try:
            return msgspec.json.decode(body, type=KeySet)
        except msgspec.DecodeError:  # another release wrote it
            return None

    def _proof(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, b"known keys:" + body, "sha256").hex().encode() + b"\n"

    def _begins_with(self, proof: bytes) -> bool:
        try:
            with self._path.open("rb") as file:
                return file.read(len(proof)) == proof
        except OSError:
            return False
