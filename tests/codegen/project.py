"""Small projects on disk, and their generated modules imported under names of their own."""

import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from codegen.pipeline import Compilation, compile_schemas

ROOT = Path(__file__).resolve().parents[2]

PROTOCOL = """\
version: 1
name: {name}
title: Test
vendor: Nobody
vendor_version: "1"
source: https://example.com
framing: sse
"""


@cache
def real() -> Compilation:
    """The compilation of this repository's own schemas, which takes seconds."""
    return compile_schemas(ROOT)


def protocol(types: str, name: str = "test", extra: str = "") -> dict[str, str]:
    """The one file of a protocol whose ``types`` are given as YAML, indented by two."""
    return {f"schemas/protocols/{name}.yaml": PROTOCOL.format(name=name) + extra + "types:\n" + types}


def project(folder: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def compiled(folder: Path, files: Mapping[str, str]) -> Compilation:
    """The compilation of ``files``, which must be sound."""
    compilation = compile_schemas(project(folder, files))

    assert compilation.diagnostics == ()
    return compilation


def faults(folder: Path, files: Mapping[str, str]) -> list[tuple[str, int]]:
    """Code and line of every diagnostic of ``files``."""
    return [(item.code, item.span.line) for item in compile_schemas(project(folder, files)).diagnostics]


def imported(compilation: Compilation, path: str, folder: Path) -> ModuleType:
    """The generated module at ``path``, executed from ``folder`` under a name that no other module has."""
    target = folder / "imported" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(compilation.files[path], encoding="utf-8")
    name = f"generated_for_test_{abs(hash(target))}"
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # msgspec looks annotations up there when it first needs them
    spec.loader.exec_module(module)
    return module
