"""The exported JSON Schemas are JSON Schemas, say something of every field, and agree with our own files."""

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from codegen.emit.jsonschema import FILES, kind_schema
from codegen.load import KINDS
from codegen.pipeline import compile_schemas
from runtime.catalog.provider import Quirks
from runtime.source import Diagnostics, decode, parse
from tests.codegen.golden import CASES
from tests.codegen.project import ROOT

NAMES = [*FILES.values(), "gateway"]


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / f"generated/jsonschema/{name}.json").read_bytes())
    return loaded


def plain(path: Path) -> Any:
    """A YAML file as plain values, read as the compiler reads it."""
    diagnostics = Diagnostics()
    node = parse(path.read_bytes(), path.name, diagnostics)
    assert node is not None
    return decode(node, Any, diagnostics, "file")


def test_a_schema_says_the_same_where_python_has_taken_the_indentation_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python does from 3.13 on."""
    kind = next(kind for kind in KINDS if kind.name == "providers")
    before = kind_schema(kind)
    monkeypatch.setattr(Quirks, "__doc__", cleandoc(Quirks.__doc__ or ""))

    assert before == kind_schema(kind)
    assert "The role `developer` is understood" in json.dumps(before)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_against_the_metaschema(name: str):
    document = schema(name)

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(document)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described(name: str):
    document = schema(name)
    silent = [
        f"{title}.{key}"
        for title, definition in [("root", document), *document["$defs"].items()]
        for key, field in definition.get("properties", {}).items()
        if not field.get("description")
    ]

    assert silent == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_our_own_files_are_valid_and_name_their_schema(kind: Any):
    validator = jsonschema_rs.Draft202012Validator(schema(FILES[kind.name]))
    files = sorted((ROOT / kind.folder).rglob("*.yaml"))

    assert files
    for path in files:
        assert [error.message for error in validator.iter_errors(plain(path))] == [], path
        first = path.read_text(encoding="utf-8").splitlines()[0]
        target = (path.parent / first.rpartition("$schema=")[2]).resolve()
        assert target == ROOT / f"generated/jsonschema/{FILES[kind.name]}.json", path


def test_the_shipped_gateway_yaml_is_valid():
    validator = jsonschema.Draft202012Validator(schema("gateway"))

    assert [error.message for error in validator.iter_errors(plain(ROOT / "gateway.yaml"))] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"grace": "30"}, "'30' does not match"),
        ({"grace": 30}, "30 is greater than the maximum of 0"),
        ({"body_limit": 32}, "32 is not of type 'string'"),
        ({"mode": "slow"}, "'slow' is not one of ['fast', 'no']"),
        ({"port": 70_000}, "70000 is greater than the maximum of 65535"),
        ({"token": "in clear"}, "'in clear' does not match"),
        ({"weights": {"AB": 1}}, "'AB' does not match"),
        ({"prot": 1}, "Additional properties are not allowed ('prot' was unexpected)"),
    ],
)
def test_an_editor_underlines_what_the_compiler_refuses(change: dict[str, Any], fault: str):
    document = json.loads(compile_schemas(CASES / "settings").files["generated/jsonschema/gateway.json"])
    validator = jsonschema.Draft202012Validator(document)
    server = {"token": "${TOKEN}", "grace": "1m30s", "body_limit": "1 MiB", "budget": 2.5, "port": 1, "price": "0.1"}

    assert list(validator.iter_errors({"version": 1, "server": server})) == []
    assert [fault in error.message for error in validator.iter_errors({"version": 1, "server": server | change})] == [
        True
    ]


def test_defaults_and_limits_are_written_as_an_operator_writes_them():
    document = json.loads(compile_schemas(CASES / "settings").files["generated/jsonschema/gateway.json"])
    grace = document["$defs"]["ServerSettings"]["properties"]["grace"]

    assert grace["default"] == "30s"
    assert grace["description"] == "How long to wait. At least 1s. At most 10m."


def test_what_is_checked_in_is_made_from_the_specs_alone():
    for kind in KINDS:
        assert schema(FILES[kind.name]) == json.loads(json.dumps(kind_schema(kind)))
