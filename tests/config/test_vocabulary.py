"""Words that are no settings: renamed ones warn, reserved ones are refused, others' words get a hint."""

from __future__ import annotations

from runtime.config.vocabulary import DEPRECATED, RESERVED, Deprecation, check_vocabulary, section_hint
from runtime.source import Diagnostics, MappingNode, parse

TEXT = """version: 1
server: {old_port: 1}
providers:
  openai:
    connections:
      - {id: a, api_key: one}
      - {id: b, api_key: two}
"""


def said(**tables: object) -> list[str]:
    diagnostics = Diagnostics()
    root = parse(TEXT, "gateway.yaml", diagnostics)
    assert isinstance(root, MappingNode)
    check_vocabulary(root, diagnostics, **tables)  # type: ignore[arg-type]
    return [str(item) for item in diagnostics]


def test_deprecated_setting_warns_at_every_place_with_what_to_write_instead() -> None:
    deprecated = {
        "server.old_port": Deprecation("0.2", "write `port`", "0.4"),
        "providers.*.connections.*.api_key": Deprecation("0.3", "write `key`", "0.5"),
    }

    assert [
        "gateway.yaml:2:10: warning[deprecated-setting]: 'old_port' is deprecated since 0.2 and goes in 0.4; write `port`",
        "gateway.yaml:6:17: warning[deprecated-setting]: 'api_key' is deprecated since 0.3 and goes in 0.5; write `key`",
        "gateway.yaml:7:17: warning[deprecated-setting]: 'api_key' is deprecated since 0.3 and goes in 0.5; write `key`",
    ] == said(deprecated=deprecated)


def test_reserved_name_is_refused_with_its_reason() -> None:
    assert ["gateway.yaml:2:10: error[reserved-name]: the name 'old_port' is reserved; it was a port once"] == said(
        reserved={"server.old_port": "it was a port once"}
    )


def test_tables_do_not_touch_what_is_in_use() -> None:
    assert [] == said(deprecated=DEPRECATED, reserved=RESERVED)


def test_words_of_other_gateways_get_a_hint() -> None:
    assert section_hint("model_list") is not None
    assert section_hint("providers") is None
