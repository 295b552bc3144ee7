"""Generated code at work: a schema, its module, values through it."""

from pathlib import Path

import msgspec
import pytest

from codegen.load import KINDS
from runtime.source import Diagnostics, decode, parse
from tests.codegen.golden import CASES
from tests.codegen.project import compile_schemas, compiled, faults, imported, protocol

TAGGED = (CASES / "tagged_unions/schemas/protocols/tagged.yaml").read_text(encoding="utf-8")


def test_a_tagged_union_is_told_apart_and_refuses_strangers(tmp_path: Path):
    compilation = compiled(tmp_path, {"schemas/protocols/tagged.yaml": TAGGED})
    module = imported(compilation, "generated/types/tagged.py", tmp_path)

    message = msgspec.json.decode(b'{"content": [{"type": "audio", "seconds": 1.5}]}', type=module.Message)

    assert message.content == [module.MediaAudio(seconds=1.5)]
    assert msgspec.json.encode(message) == b'{"content":[{"type":"audio","seconds":1.5}]}'
    with pytest.raises(msgspec.ValidationError, match=r"Invalid value 'video' - at `\$.content\[0\].type`"):
        msgspec.json.decode(b'{"content": [{"type": "video"}]}', type=module.Message)


def test_what_is_absent_stays_absent_and_null_stays_null(tmp_path: Path):
    types = "  A:\n    type: object\n    properties:\n      a: {type: string}\n      b: {type: [string, 'null']}\n"
    module = imported(compiled(tmp_path, protocol(types)), "generated/types/test.py", tmp_path)

    for wire in (b"{}", b'{"b":null}', b'{"a":"x","b":"y"}'):
        assert msgspec.json.encode(msgspec.json.decode(wire, type=module.A)) == wire
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"a":null}', type=module.A)


def test_raw_keeps_the_bytes_as_they_came(tmp_path: Path):
    types = "  A: {type: object, required: [r], properties: {r: {x-raw: true}}}\n"
    module = imported(compiled(tmp_path, protocol(types)), "generated/types/test.py", tmp_path)
    wire = b'{"r":{"a" : 1.50, "a" : 2}}'

    assert msgspec.json.encode(msgspec.json.decode(wire, type=module.A)) == wire


def test_settings_read_what_an_operator_writes(tmp_path: Path):
    module = imported(compile_schemas(CASES / "settings"), "generated/config.py", tmp_path)
    text = (
        "version: 1\n"
        "server: {token: '${TOKEN}', grace: 90s, body_limit: 1KiB, price: 0.25, delays: [1m, 5ms], mode: 'no'}\n"
        "targets:\n  - models: [a/b, {model: c/d, weight: 2}]\n"
        "aliases: {fast: a/b}\n"
    )
    diagnostics = Diagnostics()
    node = parse(text, "gateway.yaml", diagnostics)
    assert node is not None
    config = decode(node, module.GatewayConfig, diagnostics, "gateway.yaml")

    assert [str(item) for item in diagnostics] == []
    assert config is not None
    assert config.server.grace_ms == 90_000
    assert config.server.body_limit_bytes == 1024
    assert config.server.price_nano_usd == 250_000_000
    assert config.server.delays_ms == (60_000, 5)
    assert config.server.limits == module.Limits(high=10)
    assert config.targets[0].models == ("a/b", module.Weighted(model="c/d", weight=2))
    assert config.aliases == {"fast": "a/b"}


def test_settings_refuse_what_is_out_of_bounds(tmp_path: Path):
    module = imported(compile_schemas(CASES / "settings"), "generated/config.py", tmp_path)
    diagnostics = Diagnostics()
    node = parse("version: 1\nserver: {token: x, grace: 1h, ratio: 2, weights: {AB: 1}}\n", "g.yaml", diagnostics)
    assert node is not None
    decode(node, module.GatewayConfig, diagnostics, "gateway.yaml")

    assert [(item.code, item.span.column) for item in diagnostics] == [
        ("invalid-value", 27), ("invalid-value", 38), ("invalid-value", 51),
    ]  # fmt: skip


def test_every_setting_is_listed_with_its_flags(tmp_path: Path):
    module = imported(compile_schemas(CASES / "settings"), "generated/config.py", tmp_path)
    by_path = {setting.path: setting for setting in module.SETTINGS}

    assert by_path["server.token"].secret
    assert by_path["server.grace"].reload == "dynamic"
    assert by_path["server.limits.high"].default == "10"
    assert by_path["targets.*.models.*.weight"].type == "integer"


def test_hostile_text_runs_nothing_and_arrives_unchanged(tmp_path: Path):
    compilation = compile_schemas(CASES / "hostile_text")
    types = imported(compilation, "generated/types/evil.py", tmp_path)
    facts = imported(compilation, "generated/protocols/evil.py", tmp_path)

    assert facts.FACTS.terminator == '"""\\'
    assert facts.FACTS.title == 'Evil """ + __import__("os").system("true") + """ \\'
    assert types.Evil().__struct_config__.tag is None
    assert msgspec.json.decode(b'{"tick": "\\\\"}', type=types.Evil).tick == "\\"
    assert msgspec.json.encode(types.One()) == msgspec.json.encode({"ty'pe": '"):\n    pass'})


def test_adding_a_provider_takes_one_file(tmp_path: Path):
    """A provider that speaks a known protocol needs no Python: its file is enough to be in the catalogue."""
    files = {
        path.relative_to(CASES / "provider").as_posix(): path.read_text()
        for path in (CASES / "provider/schemas").rglob("*.yaml")
    }
    files["schemas/providers/new-one.yaml"] = (
        "version: 1\nid: new-one\nname: New One\nbase_url: https://new.example/v1\nsurfaces: {plain: {path: /chat}}\n"
        "models: [{id: m, prices: {source: s, date: '2026-01-31', input: 1.50, output: 2}}]\n"
    )
    compilation = compiled(tmp_path, files)
    module = imported(compilation, "generated/catalog/new_one.py", tmp_path)

    assert module.PROVIDER.models[0].prices.input == 1_500_000_000
    assert '"new-one": "new_one"' in compilation.files["generated/catalog/__init__.py"]
    assert "## new-one" in compilation.files["docs/reference/providers.md"]


@pytest.mark.parametrize("name", ["a\nimport os", "Upper", "white space", "-dash", "ünicode"])
def test_a_file_name_that_could_leave_its_comment_is_refused(tmp_path: Path, name: str):
    assert faults(tmp_path, {f"{kind.folder}/{name}.yaml": "version: 1\n" for kind in KINDS[:1]}) == [("bad-name", 1)]
