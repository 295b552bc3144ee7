"""What `gatewright init` writes works, and nothing that exists is overwritten."""

from pathlib import Path

from tests.cli.conftest import Run


def test_init_writes_a_configuration_that_compiles_without_complaint(run: Run, tmp_path: Path) -> None:
    made = run("init", tmp_path / "new")
    checked = run("check", "--strict", "--root", tmp_path / "new")

    assert (0, 0) == (made.code, checked.code), checked.out
    assert "no complaints" in checked.err


def test_init_refuses_to_overwrite_and_then_writes_nothing_at_all(run: Run, root: Path) -> None:
    before = (root / "gateway.yaml").read_text()
    ran = run("init", root, "--ci")

    assert 1 == ran.code
    assert "gateway.yaml exists already" in ran.err
    assert before == (root / "gateway.yaml").read_text()
    assert ["gateway.yaml"] == [path.name for path in root.iterdir()]


def test_init_keeps_what_gitignore_holds_and_adds_each_line_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n/data/")
    run("init", tmp_path)

    assert "*.pyc\n/data/\n/secrets/\n.env\n" == (tmp_path / ".gitignore").read_text()


def test_init_keeps_a_gitignore_of_another_encoding(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"caf\xe9\n")

    assert 0 == run("init", tmp_path).code
    assert b"caf\xe9\n/data/\n/secrets/\n.env\n" == (tmp_path / ".gitignore").read_bytes()


def test_init_below_a_file_names_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert (1, "", f"gatewright: {tmp_path / 'file/new'}: Not a directory\n") == run("init", tmp_path / "file/new")


def test_init_ci_writes_a_workflow_that_is_yaml(run: Run, tmp_path: Path) -> None:
    import yaml

    run("init", tmp_path, "--ci")
    workflow = yaml.safe_load((tmp_path / ".github/workflows/gateway.yaml").read_text())

    steps = [step.get("run", "") for step in workflow["jobs"]["check"]["steps"]]
    assert any("gatewright check" in step for step in steps)
    assert any("gatewright build --check" in step for step in steps)


def test_every_commented_line_of_the_starter_is_sound_too(run: Run, tmp_path: Path) -> None:
    """Uncommented section by section, the starter has no error: comments that do not work are worse than none."""
    run("init", tmp_path)
    text = (tmp_path / "gateway.yaml").read_text()
    opened = "\n".join(line[2:] if line.startswith("#   ") or _is_section(line) else line for line in text.splitlines())
    opened = opened.replace('"hmac-sha256:…"', f'"hmac-sha256:{"0" * 64}"')
    (tmp_path / "gateway.yaml").write_text(opened)
    ran = run("check", "--no-secrets", "--root", tmp_path)

    assert opened.count("\n#") < text.count("\n#") / 2
    assert (0, "") == (ran.code, ran.out)


def _is_section(line: str) -> bool:
    return line.startswith("# ") and line.endswith(":") and line[2:-1].isidentifier()
