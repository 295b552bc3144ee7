"""Generated Python is formatted, sorted, typed and importable without anyone touching it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.golden import CASES, constant_files
from tests.codegen.project import ROOT, compile_schemas

RUFF = [sys.executable, "-m", "ruff"]
OPTIONS = ["--no-cache", "--isolated", "--target-version", "py311", "--line-length", "120"]
FIRST_PARTY = 'lint.isort.known-first-party=["codegen","generated","runtime"]'


def run(*command: str, cwd: Path = ROOT) -> str:
    """What the command has to say if it fails; nothing if it does not."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of all golden cases in one tree; the settings of each under a name of their own."""
    folder = tmp_path_factory.mktemp("golden")
    base = compile_schemas(folder)
    for path in constant_files():
        if path.endswith("__init__.py"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(base.files[path], encoding="utf-8")
    for source in sorted(CASES.glob("*/expected/generated/**/*.py")):
        case, _, *rest = source.relative_to(CASES).parts
        name = f"config_{case}.py" if rest[-1] == "config.py" else rest[-1]
        target = folder.joinpath(*rest).with_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


@pytest.mark.parametrize("place", ["golden", "real"])
def test_the_formatter_leaves_output_unchanged(tree: Path, place: str):
    folder = tree / "generated" if place == "golden" else ROOT / "generated"

    assert run(*RUFF, "format", "--diff", *OPTIONS, str(folder)) == ""


@pytest.mark.parametrize("place", ["golden", "real"])
def test_imports_are_sorted_and_used(tree: Path, place: str):
    folder = tree / "generated" if place == "golden" else ROOT / "generated"

    assert run(*RUFF, "check", *OPTIONS, "--select", "I,F", "--config", FIRST_PARTY, str(folder)) == ""


def test_golden_output_passes_the_strict_type_checker(tree: Path):
    """What it knows of everything that the output imports is kept from one run to the next."""
    (tree / "runtime").symlink_to(ROOT / "runtime")
    (tree / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-runtime.*]\nfollow_imports = silent\n")

    said = run(sys.executable, "-m", "mypy", f"--cache-dir={ROOT}/.mypy_cache/golden", "-p", "generated", cwd=tree)

    assert said == ""


def test_every_module_of_the_real_tree_defines_what_it_exports():
    """Importing everything in a fresh interpreter works, and `__all__` names things that are there."""
    program = (
        "import importlib, pathlib, sys\n"
        "for path in sorted(pathlib.Path('generated').rglob('*.py')):\n"
        "    parts = path.with_suffix('').parts\n"
        "    module = importlib.import_module('.'.join(parts[:-1] if parts[-1] == '__init__' else parts))\n"
        "    missing = [name for name in getattr(module, '__all__', ()) if not hasattr(module, name)]\n"
        "    assert not missing, (path, missing)\n"
    )

    assert run(sys.executable, "-c", program) == ""
