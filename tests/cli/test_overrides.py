"""`gatewright overrides`, `export` and `diff --overrides`, beside no server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.secrets import environment
from runtime.in_force import open_vault
from runtime.stores.audit import AuditQuestion, SqlAudit
from runtime.stores.database import Database
from runtime.stores.overrides import OverrideChange, SqlOverrides, StoredOverride
from tests.cli.conftest import Run
from tests.support.database import prepared


def row(section: str, name: str, document: str | None) -> StoredOverride:
    return StoredOverride(section=section, name=name, document=document, author="root", changed_s=1.0)


ROWS = (
    row("combos", "best", '{"targets": ["sim/echo"]}'),
    row("aliases", "hello", None),
    row("requests", "default_max_tokens", "77"),
)


def lay(root: Path, *rows: StoredOverride) -> None:
    async def write() -> None:
        database = Database(prepared(root / "data"))
        store = SqlOverrides(database)
        await store.change(OverrideChange(put=rows), await store.revision(), [])
        await database.aclose()

    asyncio.run(write())


@pytest.fixture
def overridden(root: Path) -> Path:
    lay(root, *ROWS)
    return root


def test_without_a_store_there_are_none_and_none_is_made(run: Run, root: Path) -> None:
    assert (0, "no overrides\n") == run("overrides", "--root", root)[:2]
    assert (0, "version: 1\n") == run("export", "--root", root)[:2]
    assert 0 == run("diff", "--overrides", "--root", root).code
    assert not (root / "data").exists()


def test_they_are_listed_with_who_made_them(run: Run, overridden: Path) -> None:
    listed = json.loads(run("overrides", "--json", "--root", overridden).out)

    assert ["aliases/hello", "combos/best", "requests/default_max_tokens"] == [each["name"] for each in listed]
    assert [True, False, False] == [each["removed"] for each in listed]
    assert {("root", "1970-01-01T00:00:01Z", 1)} == {
        (each["author"], each["changed"], each["revision"]) for each in listed
    }
    assert "aliases/hello  1970-01-01T00:00:01Z by root, removes it" in run("overrides", "--root", overridden).out


def test_lists_of_the_file_that_are_not_seen_are_named(run: Run, root: Path) -> None:
    file = root / "gateway.yaml"
    file.write_text(f"{file.read_text()}\ncombos:\n  mine: {{targets: [sim/echo]}}\n  other: {{targets: [sim/echo]}}\n")
    lay(root, row("combos", "mine", '{"targets": ["sim/slow"]}'), row("combos", "other", '{"strategy": "random"}'))
    lay(root, row("combos", "new", '{"targets": ["sim/echo"]}'))

    told = run("diff", "--overrides", "--root", root).err

    assert "combos.mine.targets: the override's list stands, whole; what the sources say there is not seen\n" == told


def test_the_export_of_the_whole_is_the_same_plan(run: Run, overridden: Path) -> None:
    exported = run("export", "--whole", "--root", overridden).out
    facts = json.loads(run("diff", "--overrides", "--json", "--root", overridden).out)

    assert facts["new"] == compile_plan((Source(MAIN, exported.encode()),), Catalog.shipped()).build
    assert {"routes.best", "routes.hello", "combos.best", "requests"} == {each["entity"] for each in facts["changes"]}


def test_the_guide_brings_the_changes_back_into_the_file(run: Run, overridden: Path) -> None:
    facts = json.loads(run("diff", "--overrides", "--json", "--root", overridden).out)
    guide = (Path(__file__).parents[2] / "docs/guide/overrides.md").read_text("utf-8")
    block = guide.partition("## Back into the file")[2].partition("```bash\n")[2].partition("```")[0]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(["bash", "-c", block], cwd=overridden, env={**os.environ, "PATH": path}, check=False)

    assert 0 == done.returncode
    assert facts["new"] == json.loads((overridden / "gateway.lock").read_bytes())["build"]
    assert "no overrides\n" == run("overrides", "--root", overridden).out


def test_the_export_of_the_changes_says_what_goes(run: Run, overridden: Path) -> None:
    expected = "# aliases.hello is taken away\nversion: 1\ncombos:\n  best:\n    targets: [sim/echo]\nrequests:\n  default_max_tokens: 77\n"

    assert expected == run("export", "--root", overridden).out


def test_one_is_taken_back_and_the_audit_log_says_so(run: Run, overridden: Path) -> None:
    assert (0, "aliases/hello  taken back\n") == run("overrides", "--drop", "aliases/hello", "--root", overridden)[:2]
    assert "aliases/hello" not in run("overrides", "--root", overridden).out

    async def noted() -> str:
        database = Database(prepared(overridden / "data"))
        page = await SqlAudit(database).find(AuditQuestion())
        await database.aclose()
        return page.entries[0].target

    assert "aliases.hello" == asyncio.run(noted())
    assert 0 == run("overrides", "--drop-all", "--root", overridden).code
    assert "no overrides\n" == run("overrides", "--root", overridden).out


def test_one_there_is_not_is_a_fault(run: Run, overridden: Path) -> None:
    ran = run("overrides", "--drop", "combos/best", "--drop", "combos/none", "--root", overridden)

    assert 1 == ran.code
    assert "combos/none" in ran.err
    assert "combos/best" in run("overrides", "--root", overridden).out


def test_those_that_do_not_compile_are_shown_with_their_place(run: Run, root: Path) -> None:
    lay(root, row("combos", "bad", '{"targets": ["sim/nix"]}'))
    ran = run("diff", "--overrides", "--root", root)

    assert 1 == ran.code
    assert "overrides/combos/bad:1:14: error[unknown-model]" in ran.err
    assert 0 == run("export", "--root", root).code
    doctor = run("build", "--root", root), run("doctor", "--root", root)
    assert 0 == doctor[0].code
    assert "overrides/combos/bad:1:14" in doctor[1].out
    assert 1 == doctor[1].code


def test_a_connection_of_the_files_that_a_change_hides_is_named(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_KEY", "sk-own")
    one, two = ({"id": id_, "key": "${OWN_KEY}"} for id_ in ("one", "two"))
    provider = {"base_url": "https://own.test/v1", "surfaces": {"openai_chat": {}}, "open_models": True}
    config = root / "gateway.yaml"
    own = f"  own: {json.dumps(provider | {'connections': [one, two]})}\n"
    config.write_text(config.read_text().replace("providers:\n", f"providers:\n{own}", 1))
    lay(root, row("providers", "own", json.dumps({"connections": [one]})))
    assert 0 == run("build", "--root", root).code

    findings = json.loads(run("doctor", "--json", "--root", root).out)
    warned = [each["message"] for each in findings if (each["subject"], each["status"]) == ("overrides", "warning")]
    assert ["own/two of the files is hidden by a change; `gatewright overrides` takes changes back"] == warned


def test_what_was_exported_is_imported_as_it_was(
    run: Run, overridden: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    exported = run("export", "--root", overridden).out
    other = tmp_path_factory.mktemp("other")
    (other / "gateway.yaml").write_text((overridden / "gateway.yaml").read_text())

    assert 0 == run("import", "-", "--root", other, stdin=exported.encode()).code
    assert ["combos/best", "requests/default_max_tokens"] == [
        each["name"] for each in json.loads(run("overrides", "--json", "--root", other).out)
    ]
    assert run("export", "--root", other).out == exported.split("\n", 1)[1]


def test_an_entry_is_exported_whole_and_kept_as_what_is_other_in_it(run: Run, root: Path) -> None:
    own = (
        "surfaces: {openai_chat: {}}\n    base_url: http://127.0.0.1:9/v1\n    auth: {scheme: none}\n    timeouts: {connect: 3s}\n"
        "    connections: [{id: main}]\n    models:\n      one: {context: 1000}\n"
    )
    file = root / "gateway.yaml"
    text = file.read_text()
    entry = f"providers:\n  own:\n    {own}"
    file.write_text(text.replace("providers:\n", entry, 1) if "\nproviders:\n" in text else f"{text}\n{entry}")
    lay(root, row("providers", "own", '{"timeouts": null, "models": {"one": {"context": 7}, "two": {"context": 8}}}'))

    exported = run("export", "--root", root).out
    assert "base_url: http://127.0.0.1:9/v1" in exported
    assert "timeouts" not in exported
    whole = run("export", "--whole", "--root", root).out
    assert 0 == run("import", "-", "--root", root, stdin=exported.encode()).code
    assert whole == run("export", "--whole", "--root", root).out
    file.write_text(file.read_text().replace("127.0.0.1:9/", "127.0.0.1:10/"))
    again = run("export", "--root", root).out
    assert exported.replace(":9/", ":10/") == again
    assert 0 == run("import", "-", "--root", root, stdin=f"version: 1\n{entry.replace(':9/', ':10/')}".encode()).code
    assert "no overrides\n" == run("overrides", "--root", root).out


def test_an_import_that_does_not_compile_lays_nothing(run: Run, overridden: Path) -> None:
    before = run("overrides", "--root", overridden).out
    for text in (
        b"combos:\n  ok: {targets: [sim/echo]}\n  bad: {targets: [sim/nix]}\n",
        b"combos: [a]\n",
        b"server: {port: 1}\n",
        b"providers:\n  own: {connections: [{id: a, key: sk-0123456789abcdef}]}\n",
        b"a: [b\n",
    ):
        ran = run("import", "-", "--root", overridden, stdin=text)
        assert 1 == ran.code
        assert "error[" in ran.err
        assert "sk-0123456789abcdef" not in ran.err
    assert before == run("overrides", "--root", overridden).out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"version: 2\naliases: {a: sim/echo}\n", ":1:10: error[unsupported-version]"),
        (b"- a\n", ":1:1: error[wrong-type]: expected a mapping of sections"),
        (b"version: 1\naliases: [a]\n", ":2:10: error[wrong-type]"),
    ],
)
def test_what_is_no_configuration_is_not_imported(run: Run, root: Path, text: bytes, complaint: str) -> None:
    ran = run("import", "-", "--root", root, stdin=text)

    assert 1 == ran.code
    assert complaint in ran.err
    assert "no overrides\n" == run("overrides", "--root", root).out


def test_a_section_of_comments_alone_is_imported_as_nothing(run: Run, root: Path) -> None:
    text = b"version: 1\naliases:\n  # none\ncombos: {z: {targets: [sim/echo]}}\n"

    assert 0 == run("import", "-", "--root", root, stdin=text).code
    assert run("overrides", "--root", root).out.startswith("combos/z ")


def test_a_credential_that_was_exported_is_found_where_it_stays(run: Run, root: Path) -> None:
    """After `export --whole` the file refers to the store, and no override does. `serve` starts with it."""

    async def keep() -> str:
        sealed = open_vault(root / "data", environment(root)).seal("sk-0123456789", 1.0)
        database = Database(prepared(root / "data"))
        await SqlOverrides(database).change(OverrideChange(secrets=(sealed,)), 0, [])
        await database.aclose()
        return sealed.id

    (root / "data").mkdir(mode=0o700)
    id_ = asyncio.run(keep())
    text = f"version: 1\nproviders: {{openai: {{connections: [{{id: team, key: 'stored:{id_}'}}]}}}}\n"
    (root / "gateway.yaml").write_text(text)

    assert (0, "") == run("check", "--strict", "--root", root)[:2]
    assert (0, True) == ((found := run("explain", "openai/gpt-5.6", "--root", root)).code, "dark" not in found.out)
    assert 0 == run("build", "--root", root).code
    examined = json.loads(run("doctor", "--json", "--root", root).out)
    assert "usable: openai/team" in next(each["message"] for each in examined if each["subject"] == "providers")
    assert not [each for each in examined if each["subject"] == "secrets"]

    (root / "data" / "store-key").unlink()
    assert "is not in the store" in run("check", "--strict", "--root", root).out
    assert not (root / "data" / "store-key").exists()
