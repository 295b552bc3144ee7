"""`generated/MANIFEST.json`: sha256 of every input, every output and the compiler itself. Hashes live here alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from codegen.emit.python import header

__all__ = ["PATH", "compiler_hash", "manifest"]

PATH: Final = "generated/MANIFEST.json"


def manifest(inputs: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """The manifest of ``files``, as one more file. ``inputs`` maps each input's path to its hash."""
    content = {
        "$comment": header("schemas/"),
        "compiler": compiler_hash(),
        "inputs": dict(sorted(inputs.items())),
        "outputs": {path: hashlib.sha256(files[path].encode()).hexdigest() for path in sorted(files)},
    }
    return {PATH: msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"}


def compiler_hash() -> str:
    """One hash over the compiler's sources and templates, by name and content."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    sources = [path for path in package.rglob("*") if path.suffix in {".py", ".jinja"}]
    for path in sorted(sources, key=lambda path: path.relative_to(package).as_posix()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return digest.hexdigest()
