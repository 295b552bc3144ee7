"""`gatewright check`: everything in one pass, in every format, with exit codes a script can use."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import SOUND, Run

FAULTY = b"""\
version: 1
aliasses: {}
server:
  body_limit: 12
logging:
  level: loud
"""


def test_a_sound_file_is_silent_on_standard_output(run: Run, root: Path) -> None:
    ran = run("check", "--root", root)

    assert (0, "", "no complaints\n") == ran


def test_all_faults_are_reported_in_one_pass_each_at_its_place(run: Run, root: Path) -> None:
    (root / "gateway.yaml").write_bytes(FAULTY)
    ran = run("check", "--root", root)

    assert 1 == ran.code
    assert [
        "gateway.yaml:2:1: error[unknown-field]",
        "gateway.yaml:4:15: error[wrong-unit]",
        "gateway.yaml:6:10: error[unknown-choice]",
    ] == [line.split(": ", 2)[0] + ": " + line.split(": ", 2)[1] for line in ran.out.splitlines()]
    assert "3 errors\n" == ran.err


def test_standard_input_takes_the_place_of_the_file(run: Run, tmp_path: Path) -> None:
    assert 0 == run("check", "--root", tmp_path, "-", stdin=SOUND.encode()).code
    faulty = run("check", "--root", tmp_path, "-", stdin=FAULTY)

    assert 1 == faulty.code
    assert faulty.out.startswith("stdin:2:1: error[unknown-field]")


def test_what_takes_the_place_of_the_file_has_the_parts_beside_it(run: Run, root: Path) -> None:
    (root / "gateway.d").mkdir()
    (root / "gateway.d/names.yaml").write_text("version: 1\naliases: {other: hello}\n")

    assert 0 == run("check", "--root", root, "-", stdin=SOUND.encode()).code
    assert 0 == run("check", "--root", root).code
    assert (
        "gateway.d/names.yaml:2:18: error[unknown-model]"
        in run("check", "--root", root, "-", stdin=b"version: 1\n").out
    )
    assert "duplicate-key" not in run("check", "--root", root, root / "gateway.d/names.yaml").out


def test_yaml_beside_the_parts_that_is_not_read_is_named(run: Run, root: Path) -> None:
    (root / "gateway.d/more").mkdir(parents=True)
    for name in ("keys.yml", "more/limits.yaml", "notes.txt"):
        (root / "gateway.d" / name).write_text("version: 1\n")

    ran = run("check", "--root", root)

    warning = (
        "warning[ignored-file]: the file is not read; call it `gateway.d/….yaml`, or move it out of that directory"
    )
    assert [
        f"gateway.d/keys.yml:1:1: {warning}",
        f"gateway.d/more/limits.yaml:1:1: {warning}",
    ] == ran.out.splitlines()
    assert 1 == run("check", "--strict", "--root", root).code


def test_a_file_that_is_not_there_is_named(run: Run, root: Path) -> None:
    ran = run("check", "--root", root, root / "other.yaml")

    assert (1, "", f"gatewright: {root / 'other.yaml'}: No such file or directory\n") == ran


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_machine_formats_are_json_and_nothing_else(run: Run, root: Path, form: str) -> None:
    (root / "gateway.yaml").write_bytes(FAULTY)
    ran = run("check", "--root", root, "--format", form)

    assert 1 == ran.code
    assert json.loads(ran.out)
    assert "" == ran.err


def test_github_format_writes_one_command_per_fault(run: Run, root: Path) -> None:
    (root / "gateway.yaml").write_bytes(FAULTY)
    ran = run("check", "--root", root, "--format", "github")

    assert 3 == len(ran.out.splitlines())
    assert all(line.startswith("::error file=gateway.yaml,line=") for line in ran.out.splitlines())


@pytest.mark.parametrize(("form", "written"), [("github", "file={},line="), ("sarif", '"uri": "{}"')])
def test_code_hosts_are_told_where_a_file_is_in_its_repository(run: Run, root: Path, form: str, written: str) -> None:
    """They look for it from the top, wherever the command was called."""
    (root / ".git").mkdir()
    below = root / "deploy" / "gateway"
    (below / "gateway.d").mkdir(parents=True)
    (below / "gateway.yaml").write_bytes(FAULTY)
    (below / "gateway.d" / "more.yaml").write_text("version: 1\nalias: {}\n")
    ran = run("check", "--root", below, "--format", form)

    assert written.format("deploy/gateway/gateway.yaml") in ran.out
    assert written.format("deploy/gateway/gateway.d/more.yaml") in ran.out
    assert "gateway.yaml:" in run("check", "--root", below).out
    assert "deploy" not in run("check", "--root", below).out


MISSING = """\
version: 1
providers:
  openai:
    connections:
      - id: team
        key: ${OPENAI_KEY_OF_NOBODY}
"""


def test_a_missing_secret_is_a_named_warning_that_strict_makes_a_fault(run: Run, root: Path) -> None:
    (root / "gateway.yaml").write_text(MISSING)

    lenient, strict = run("check", "--root", root), run("check", "--root", root, "--strict")
    assert (0, 1) == (lenient.code, strict.code)
    assert "warning[missing-secret]" in lenient.out
    assert "OPENAI_KEY_OF_NOBODY" in lenient.out
    assert (0, "") == run("check", "--root", root, "--strict", "--no-secrets")[:2]


def test_a_secret_in_clear_is_refused_and_not_repeated(run: Run, root: Path) -> None:
    secret = "sk-proj-" + "a1B2c3D4" * 5
    (root / "gateway.yaml").write_text(MISSING.replace("${OPENAI_KEY_OF_NOBODY}", secret))
    for form in ("text", "json", "sarif", "github"):
        ran = run("check", "--root", root, "--format", form)

        assert 1 == ran.code
        assert secret not in ran.out + ran.err


def test_a_directory_without_configuration_is_told_how_to_start(run: Run, tmp_path: Path) -> None:
    ran = run("check", "--root", tmp_path)

    assert 1 == ran.code
    assert "gatewright init" in ran.err


def test_a_mistake_in_the_command_line_is_a_fault_and_not_a_difference(run: Run) -> None:
    assert 1 == run("check", "--form").code
    assert 1 == run("no-such-command").code


def test_no_colour_off_a_terminal(run: Run, root: Path) -> None:
    (root / "gateway.yaml").write_bytes(FAULTY)

    assert "\x1b" not in "".join(map(str, run("check", "--root", root)))
    assert "\x1b" not in "".join(map(str, run("--help")))


def test_schemas_and_configuration_are_checked_in_the_same_pass(run: Run, root: Path) -> None:
    (root / "gateway.yaml").write_bytes(FAULTY)
    (root / "schemas/providers").mkdir(parents=True)
    (root / "schemas/providers/x.yaml").write_text("version: 1\nid: x\nnaem: X\n")
    ran = run("check", "--root", root)

    assert "schemas/providers/x.yaml:3:1: error[unknown-field]" in ran.out
    assert "gateway.yaml:2:1: error[unknown-field]" in ran.out
