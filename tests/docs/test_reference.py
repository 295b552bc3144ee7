"""What exists is documented: settings, diagnostics, endpoints, error kinds, providers, protocols."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from generated.catalog import PROVIDER_IDS
from generated.config import SETTINGS
from runtime import errors
from runtime.source import CODES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def test_every_diagnostic_code_is_explained() -> None:
    text = page("diagnostics")

    assert [] == [code for code, meaning in CODES.items() if f"`{code}` | {meaning}" not in text]


def test_every_diagnostic_code_is_used() -> None:
    """A code that nothing reports is a promise that nothing keeps."""
    sources = "\n".join(path.read_text("utf-8") for path in python("runtime", "codegen") if path.name != "codes.py")

    assert [] == [code for code in CODES if f'"{code}"' not in sources]


def test_every_setting_is_on_its_page_with_its_help() -> None:
    text = page("settings")
    missing = [
        setting.path
        for setting in SETTINGS
        if not re.search(
            rf"^\| `{re.escape(setting.path.rpartition('.')[2])}` \|.*{re.escape(setting.help)}", text, re.MULTILINE
        )
        and setting.help not in text
    ]

    assert [] == missing


def test_every_section_has_a_heading() -> None:
    text = page("settings")

    assert [] == sorted(
        {setting.path.partition(".")[0] for setting in SETTINGS if f"## {setting.path.partition('.')[0]}" not in text}
    )


def test_every_endpoint_is_on_its_page() -> None:
    document = json.loads((ROOT / "generated/openapi.json").read_text("utf-8"))
    text = page("endpoints")
    missing = [
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method in {"get", "post", "put", "patch", "delete", "head"} and not (path in text and method.upper() in text)
    ]

    assert [] == missing


def test_every_kind_of_error_has_a_row_in_every_protocol() -> None:
    """Clients of any dialect can be told of anything. `config` never reaches a client: it is raised before the port opens."""
    kinds = {kind for kind in kinds_of(errors.GatewayError) if kind != "config"}
    sections = re.split(r"^## ", page("protocols"), flags=re.MULTILINE)[1:]

    assert sections
    for section in sections:
        if section.splitlines()[0].endswith("embeddings"):  # its clients are told in their vendor's chat dialect
            continue
        assert kinds - set(re.findall(r"^\| `(\w+)` \| \d{3} \|", section, re.MULTILINE)) == set(), (
            section.splitlines()[0]
        )


def test_every_provider_is_on_its_page() -> None:
    text = page("providers")

    assert [] == [id_ for id_ in PROVIDER_IDS if f"[`{id_}`]" not in text]


def kinds_of(error: type[errors.GatewayError]) -> Iterator[str]:
    yield error.kind
    for child in error.__subclasses__():
        yield from kinds_of(child)


def python(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))
