"""The writer touches what is ours and differs, and nothing else."""

from pathlib import Path

from codegen.emit.python import header
from codegen.writer import write

PAGE = f"# {header('schemas/x.yaml')}\n"


def test_only_what_differs_is_written(tmp_path: Path):
    write({"generated/a.py": PAGE, "generated/b.py": PAGE}, tmp_path)
    old = (tmp_path / "generated/a.py").stat()

    outcome = write({"generated/a.py": PAGE, "generated/b.py": PAGE + "B = 1\n"}, tmp_path)

    assert outcome.written == ("generated/b.py",)
    assert (tmp_path / "generated/a.py").stat() == old
    assert (tmp_path / "generated/b.py").read_text() == PAGE + "B = 1\n"


def test_stale_files_are_deleted_only_if_they_bear_the_header(tmp_path: Path):
    write({"generated/types/old.py": PAGE, "docs/reference/old.md": f"<!-- {header('x')} -->\n"}, tmp_path)
    (tmp_path / "generated/README.md").write_text("by hand\n")
    (tmp_path / "docs/reference/index.md").write_text("by hand\n")

    outcome = write({}, tmp_path)

    assert outcome.deleted == ("generated/types/old.py", "docs/reference/old.md")
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["README.md", "index.md"]


def test_without_pruning_nothing_is_deleted(tmp_path: Path):
    write({"generated/old.py": PAGE}, tmp_path)

    assert write({}, tmp_path, prune=False).differing == ()


def test_a_file_without_the_header_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated/a.py").write_text("by hand\n")

    outcome = write({"generated/a.py": PAGE}, tmp_path)

    assert outcome.refused == ("generated/a.py",)
    assert outcome.written == ()
    assert (tmp_path / "generated/a.py").read_text() == "by hand\n"


def test_check_writes_nothing_and_shows_the_difference(tmp_path: Path):
    write({"generated/a.py": PAGE + "A = 1\n", "generated/gone.py": PAGE}, tmp_path)

    outcome = write({"generated/a.py": PAGE + "A = 2\n", "generated/new.py": PAGE}, tmp_path, check=True)

    assert outcome.differing == ("generated/a.py", "generated/gone.py", "generated/new.py")
    assert "-A = 1\n+A = 2\n" in outcome.diff
    assert "--- /dev/null\n+++ b/generated/new.py\n" in outcome.diff
    assert "--- a/generated/gone.py\n+++ /dev/null\n" in outcome.diff
    assert (tmp_path / "generated/a.py").read_text() == PAGE + "A = 1\n"
    assert not (tmp_path / "generated/new.py").exists()


def test_changed_line_ends_are_a_difference(tmp_path: Path):
    """A checkout that rewrites line ends is caught, not hidden by reading text."""
    write({"generated/a.py": PAGE}, tmp_path)
    (tmp_path / "generated/a.py").write_bytes(PAGE.replace("\n", "\r\n").encode())

    assert write({"generated/a.py": PAGE}, tmp_path, check=True).written == ("generated/a.py",)
