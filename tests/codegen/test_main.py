"""`python -m codegen`: exit codes and what goes where."""

import io
from pathlib import Path

import msgspec
import pytest

from codegen.__main__ import main
from tests.codegen.project import project, protocol

SOUND = protocol("  Thing: {type: object, properties: {a: {type: string}}}\n")
FAULTY = protocol("  Thing: {type: strnig}\n")


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(arguments, out, err)
    return code, out.getvalue(), err.getvalue()


def test_generate_writes_and_says_what(tmp_path: Path):
    project(tmp_path, SOUND)

    code, out, err = run("generate", "--root", str(tmp_path))

    assert (code, err) == (0, "")
    assert "wrote generated/types/test.py\n" in out
    assert (tmp_path / "generated/types/test.py").exists()


def test_generate_into_another_directory_leaves_the_root_alone(tmp_path: Path):
    project(tmp_path / "in", SOUND)

    run("generate", "--root", str(tmp_path / "in"), "--out", str(tmp_path / "out"))

    assert [path.name for path in (tmp_path / "in").iterdir()] == ["schemas"]
    assert (tmp_path / "out/generated/types/test.py").exists()


def test_check_exits_2_with_a_diff_and_0_without(tmp_path: Path):
    project(tmp_path, SOUND)

    assert run("check", "--root", str(tmp_path))[0] == 2
    run("generate", "--root", str(tmp_path))
    assert run("check", "--root", str(tmp_path)) == (0, "", "")


@pytest.mark.parametrize("command", ["generate", "check"])
def test_faults_exit_1_and_write_nothing(tmp_path: Path, command: str):
    project(tmp_path, FAULTY)

    code, out, err = run(command, "--root", str(tmp_path))

    assert (code, out) == (1, "")
    assert err == (
        "schemas/protocols/test.yaml:9:17: error[unknown-choice]: type cannot be 'strnig'; did you mean 'string'?\n"
    )
    assert not (tmp_path / "generated").exists()


def test_keep_going_writes_what_is_sound_and_deletes_nothing(tmp_path: Path):
    project(tmp_path, SOUND)
    run("generate", "--root", str(tmp_path))
    project(tmp_path, {**FAULTY, **protocol("  Other: {type: object, properties: {}}\n", "other")})

    code, out, _ = run("generate", "--root", str(tmp_path), "--keep-going")

    assert code == 1
    assert out == "wrote generated/protocols/other.py\nwrote generated/types/other.py\n"
    assert (tmp_path / "generated/types/test.py").exists()


def test_json_output_is_one_document(tmp_path: Path):
    project(tmp_path, FAULTY)

    _, out, err = run("check", "--root", str(tmp_path), "--json")
    document = msgspec.json.decode(out)

    assert err == ""
    assert [item["code"] for item in document["diagnostics"]] == ["unknown-choice"]
    assert document["diagnostics"][0]["span"] == {"file": "schemas/protocols/test.yaml", "line": 9, "column": 17}


def test_dump_prints_the_middle_as_json(tmp_path: Path):
    project(tmp_path, SOUND)

    code, out, _ = run("dump", "--root", str(tmp_path))
    module = msgspec.json.decode(out)["modules"][0]

    assert code == 0
    assert module["declarations"][0]["fields"][0]["type"] == {"is": "text"}


def test_a_hand_written_file_in_the_way_fails(tmp_path: Path):
    project(tmp_path, {**SOUND, "generated/types/test.py": "by hand\n"})

    code, _, err = run("generate", "--root", str(tmp_path))

    assert code == 1
    assert "generated/types/test.py was not generated and is in the way; move it\n" == err
