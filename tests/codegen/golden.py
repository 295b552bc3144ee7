"""Golden cases: `schemas/` and what comes of it, one directory for each idea. `python -m tests.codegen.golden` rewrites.

A case without faults has `expected/`, one with faults `diagnostics.txt`. Files that do not depend on the schemas (the
editors' schemas, the page of diagnostics, the manifest) are in no case.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from codegen.pipeline import Compilation, compile_schemas

CASES = Path(__file__).parent / "cases"


def cases() -> list[Path]:
    return sorted(path.parent for path in CASES.glob("*/schemas"))


@cache
def constant_files() -> frozenset[str]:
    """What is generated from nothing at all."""
    with tempfile.TemporaryDirectory() as folder:
        return frozenset(compile_schemas(Path(folder)).files)


def produced(compilation: Compilation) -> dict[str, str]:
    """What a case's compilation is held against: its own files, or its diagnostics."""
    if compilation.diagnostics:
        return {"diagnostics.txt": "".join(f"{item}\n" for item in compilation.diagnostics)}
    kept = constant_files() - {f"docs/reference/{page}.md" for page in ("settings", "providers", "protocols")}
    kept -= {"generated/catalog/__init__.py"}
    empty = {
        "docs/reference/settings.md": "## ",
        "docs/reference/providers.md": "## ",
        "docs/reference/protocols.md": "## ",
    }
    return {
        f"expected/{path}": text
        for path, text in compilation.files.items()
        if path not in kept and empty.get(path, "") in text and not _is_empty_catalog(path, text)
    }


def _is_empty_catalog(path: str, text: str) -> bool:
    return path == "generated/catalog/__init__.py" and "MappingProxyType({})" in text


def stored(case: Path) -> dict[str, str]:
    files = [path for path in case.rglob("*") if path.is_file() and "schemas" != path.relative_to(case).parts[0]]
    return {path.relative_to(case).as_posix(): path.read_bytes().decode() for path in files}


def rewrite(case: Path) -> None:
    """Make what is stored equal to what is produced."""
    shutil.rmtree(case / "expected", ignore_errors=True)
    (case / "diagnostics.txt").unlink(missing_ok=True)
    for path, text in produced(compile_schemas(case)).items():
        (case / path).parent.mkdir(parents=True, exist_ok=True)
        (case / path).write_bytes(text.encode())


if __name__ == "__main__":
    for case in cases():
        rewrite(case)
