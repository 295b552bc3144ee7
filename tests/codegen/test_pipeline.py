"""The compiler as a whole: deterministic, complete in one run, isolated file by file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.pipeline import compile_schemas
from codegen.writer import write
from tests.codegen.golden import CASES
from tests.codegen.project import ROOT, faults, project, protocol, real

CASE = CASES / "settings"
PRINT_ALL = (
    "import sys\n"
    "from pathlib import Path\n"
    "from codegen.pipeline import compile_schemas\n"
    "for path, text in compile_schemas(Path(sys.argv[1])).files.items():\n"
    "    sys.stdout.buffer.write(f'{path}\\n{text}'.encode())\n"
)


def output(root: Path, cwd: Path, **environment: str) -> bytes:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ALL, str(root)], cwd=cwd, env=env, capture_output=True, timeout=120, check=True
    )
    return done.stdout


def test_output_does_not_depend_on_hash_seed_directory_or_locale(tmp_path: Path):
    here = "".join(f"{path}\n{text}" for path, text in real().files.items()).encode()

    assert here
    assert here == output(ROOT, tmp_path, PYTHONHASHSEED="4242", LC_ALL="C", TZ="Asia/Tokyo")


def test_output_does_not_depend_on_the_order_in_which_files_are_listed(monkeypatch: pytest.MonkeyPatch):
    before = dict(real().files)
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: sorted(listed(self, pattern), reverse=True))

    assert before == dict(compile_schemas(ROOT).files)


def test_the_checked_in_tree_is_what_the_schemas_say():
    compilation = real()

    assert [str(item) for item in compilation.diagnostics] == []
    assert write(compilation.files, ROOT, check=True).differing == ()


def test_generating_twice_changes_nothing(tmp_path: Path):
    files = compile_schemas(CASE).files

    first, second = write(files, tmp_path), write(files, tmp_path)

    assert tuple(sorted(files)) == first.written
    assert second.differing == ()


def test_a_new_setting_changes_few_lines(tmp_path: Path):
    """One more setting is three lines of its Struct, its line in the table, and nothing else in the module."""
    path = "schemas/config/server.yaml"
    text = (CASE / path).read_text(encoding="utf-8")
    before = compile_schemas(project(tmp_path, {path: text})).files["generated/config.py"].splitlines()
    line = "  port: "
    more = text.replace(line, f"  name: {{type: text, default: gateway, help: Its name.}}\n{line}")
    after = compile_schemas(project(tmp_path, {path: more})).files["generated/config.py"].splitlines()

    assert [item for item in after if item not in before] == [
        '    name: str = "gateway"',
        '    """Its name."""',
        '    Setting(path="server.name", type="text", default="gateway", help="Its name.", secret=False, reload="static"),',
    ]
    assert len(before) + 4 == len(after)


def test_a_changed_schema_changes_one_module(tmp_path: Path):
    files = {**protocol("  A: {type: string}\n", "one"), **protocol("  B: {type: string}\n", "two")}
    before = compile_schemas(project(tmp_path, files)).files
    files |= protocol("  A: {type: integer}\n", "one")
    after = compile_schemas(project(tmp_path, files)).files

    changed = {path for path in after if before.get(path) != after[path]}

    assert {"generated/types/one.py", "generated/MANIFEST.json"} == changed


def test_faults_of_all_files_are_reported_in_one_run(tmp_path: Path):
    files = {**protocol("  A: {type: strnig}\n", "one"), **protocol("  B: {$ref: '#/types/C'}\n", "two")}
    files["schemas/config/server.yaml"] = "version: 1\nsection: server\nhelp: No struct.\n"

    assert {("unknown-choice", 9), ("unknown-name", 9), ("missing-field", 1)} == set(faults(tmp_path, files))


def test_a_faulty_file_withholds_its_own_output_only(tmp_path: Path):
    files = {**protocol("  A: {type: strnig}\n", "one"), **protocol("  B: {type: string}\n", "two")}

    compilation = compile_schemas(project(tmp_path, files))

    assert compilation.failed
    assert "generated/types/one.py" not in compilation.files
    assert "generated/types/two.py" in compilation.files
    assert "docs/reference/protocols.md" not in compilation.files
    assert "generated/MANIFEST.json" not in compilation.files


def test_an_empty_project_compiles(tmp_path: Path):
    assert not compile_schemas(tmp_path).failed
