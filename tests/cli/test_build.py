"""`gatewright build`: writes what differs, the same bytes every time, and nothing that is not sound."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config.lock import load_artefact
from tests.cli.conftest import SOUND, Run

SCHEMAS = Path(__file__).parents[2] / "schemas"
BUILT = ["gateway.lock", "generated/jsonschema/gateway.json", "generated/plan.json"]


def files(root: Path) -> dict[str, bytes]:
    found = sorted(path for path in root.rglob("*") if path.is_file() and path.name != "gateway.yaml")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_a_build_can_be_loaded_and_bears_the_id_that_was_printed(run: Run, root: Path) -> None:
    ran = run("build", "--root", root, "--json")

    assert 0 == ran.code
    assert BUILT == sorted(files(root))
    assert json.loads(ran.out)["build"] == load_artefact(root).build


def test_a_second_build_changes_nothing_and_says_so(run: Run, root: Path) -> None:
    run("build", "--root", root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    ran = run("build", "--root", root)

    assert "nothing to change" in ran.out
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_a_faulty_configuration_leaves_the_last_build_alone(run: Run, root: Path) -> None:
    run("build", "--root", root)
    before = files(root)
    (root / "gateway.yaml").write_text(SOUND + "servr: {}\n")
    ran = run("build", "--root", root)

    assert 1 == ran.code
    assert "error[unknown-field]" in ran.err
    assert "no plan was written" in ran.err
    assert before == files(root)


def test_what_stands_in_the_way_of_a_build_is_named_and_nothing_is_left_behind(run: Run, root: Path) -> None:
    (root / "gateway.lock").mkdir()
    locked = run("build", "--root", root)
    (root / "generated").rename(root / "elsewhere")
    (root / "generated").touch()

    assert (1, f"gatewright: {root / 'gateway.lock'}: Is a directory\n") == (locked.code, locked.err)
    assert (1, f"gatewright: {root / 'generated'}: File exists\n") == run("build", "--root", root)[::2]
    assert ["elsewhere", "gateway.lock", "gateway.yaml", "generated"] == sorted(path.name for path in root.iterdir())


def test_a_plan_that_is_no_text_is_written_anew(run: Run, root: Path) -> None:
    run("build", "--root", root)
    whole = (root / "generated/plan.json").read_bytes()
    (root / "generated/plan.json").write_bytes(b"\xff\xfe")

    assert 2 == run("build", "--check", "--root", root).code
    assert 0 == run("build", "--root", root).code
    assert whole == (root / "generated/plan.json").read_bytes()


def test_check_writes_nothing_and_tells_stale_from_fresh(run: Run, root: Path) -> None:
    stale = run("build", "--root", root, "--check")
    assert 2 == stale.code
    assert "+++ b/generated/plan.json" in stale.out
    assert {} == files(root)

    run("build", "--root", root)
    assert (0, "") == run("build", "--root", root, "--check")[:2]

    (root / "gateway.yaml").write_text(SOUND + "  hi: sim/echo\n")
    changed = run("build", "--root", root, "--check")
    assert 2 == changed.code
    assert '+          "hi"' in changed.out.replace("            ", "          ")


def test_the_same_sources_give_the_same_bytes_in_another_place_locale_and_hash_seed(root: Path, tmp_path: Path) -> None:
    made = []
    for number, (seed, locale) in enumerate([("1", "C"), ("4242", "tr_TR.UTF-8")]):
        place = tmp_path / f"place{number}"
        place.mkdir()
        (place / "gateway.yaml").write_text((root / "gateway.yaml").read_text())
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": "Pacific/Apia"}
        command = [sys.executable, "-m", "runtime.cli", "build", "--root", str(place)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        made.append(files(place))

    assert made[0] == made[1]
    assert BUILT == sorted(made[0])


def test_a_comment_or_a_moved_line_makes_no_new_build_id(run: Run, root: Path) -> None:
    run("build", "--root", root)
    before = load_artefact(root).build
    (root / "gateway.yaml").write_text("# a comment\n\n" + SOUND)
    run("build", "--root", root)

    assert before == load_artefact(root).build


def test_serve_refuses_a_plan_that_its_sources_do_not_say(run: Run, root: Path) -> None:
    run("build", "--root", root)
    (root / "gateway.yaml").write_text(SOUND + "  hi: sim/echo\n")
    ran = run("serve", "--root", root)

    assert 1 == ran.code
    assert "gateway.yaml was changed since the last build; run `gatewright build`" in ran.err


def test_a_provider_of_ones_own_schemas_can_be_used_at_once(run: Run, root: Path) -> None:
    """With `schemas/providers` the catalogue is what they say: adding a provider touches no Python."""
    folder = root / "schemas/providers"
    shutil.copytree(SCHEMAS / "protocols", root / "schemas/protocols")
    folder.mkdir()
    (folder / "basement.yaml").write_text(
        "version: 1\nid: basement\nname: Basement\nbase_url: https://llm.example.com/v1\n"
        "surfaces: {openai_chat: {path: /chat/completions}}\nauth: {scheme: none}\n"
        "models:\n  - {id: small, has: [streaming], limits: {context: 8192}}\n"
    )
    (root / "gateway.yaml").write_text("version: 1\nproviders:\n  basement: {}\naliases:\n  local: basement/small\n")
    ran = run("build", "--root", root)

    assert 0 == ran.code, ran.err
    assert "basement/small" == load_artefact(root).plan.routes["local"].targets[0].model
    assert (root / "generated/catalog/basement.py").exists()


def test_a_new_setting_is_known_in_the_build_that_generates_it(tmp_path: Path) -> None:
    """The first process has imported the settings of before; the plan is compiled by one that has not."""
    copy = tmp_path / "copy"
    for package in ("runtime", "codegen", "generated", "schemas"):
        shutil.copytree(SCHEMAS.parent / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    section = copy / "schemas/config/server.yaml"
    added = "  flavour:\n    type: text\n    default: vanilla\n    help: A setting of this test.\n    reload: static\n"
    section.write_text(section.read_text("utf-8").replace("settings:\n", f"settings:\n{added}", 1), "utf-8")
    (copy / "gateway.yaml").write_text(SOUND + "server:\n  flavour: mint\n")

    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "runtime.cli", "build"]
    ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert '"flavour": "mint"' in (copy / "generated/plan.json").read_text("utf-8")
    assert "flavour" in (copy / "docs/reference/settings.md").read_text("utf-8")


@pytest.mark.parametrize("file", ["user.yaml", "openapi/users.yaml", "api/user.json", "v1/orders.yml"])
def test_a_directory_that_is_only_called_as_ours_is_left_alone(run: Run, root: Path, file: str) -> None:
    """`schemas/` is a common name: what is in it is nobody's configuration, and nothing is made of it."""
    (root / "schemas" / file).parent.mkdir(parents=True, exist_ok=True)
    (root / "schemas" / file).write_text("type: object\n")
    (root / "generated").mkdir(exist_ok=True)
    (root / "generated/__init__.py").write_text("mine = 1\n")
    ran = run("build", "--root", root)

    assert 0 == ran.code
    assert "schemas" not in ran.out + ran.err
    assert "mine = 1\n" == (root / "generated/__init__.py").read_text()
    assert not (root / "generated/MANIFEST.json").exists()


def test_a_folder_that_is_called_nearly_as_ours_is_warned_of(run: Run, root: Path) -> None:
    (root / "schemas/provider").mkdir(parents=True)
    (root / "schemas/provider/mine.yaml").write_text("version: 1\n")
    ran = run("check", "--root", root)

    assert 0 == ran.code
    assert "schemas/provider:1:1: warning[ignored-file]: nothing in schemas/provider is read; " in ran.out
    assert "schemas/providers/<name>.yaml" in ran.out
