"""Hand-written pages are true: links lead somewhere, commands and tests exist, examples compile."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from generated.config import SETTINGS
from runtime.cli.program import program
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import Source
from runtime.config.override import section_shape
from tests.support.each import each

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/README.md"})
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))

NO_MODEL = "`meta-llama/llama-4` is a bare name"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@each(PAGES)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))

    assert [] == [link for link in links if not (page.parent / link).exists()]


@each(PAGES)
def test_tests_that_are_named_exist(page: Path) -> None:
    """Files are named from the root, or from the folder that the page says they are below; a test alone is of the last file."""
    text = page.read_text("utf-8")
    below = re.search(r"below `(tests/[\w/]+)/`", text)
    folder, file, missing = ROOT / (below[1] if below else ""), "", list[str]()
    for path, test in re.findall(r"`([\w/]+\.py)?::(test_\w+)", text):
        file = path or file
        source = next((each for each in (ROOT / file, folder / file) if each.is_file()), None)
        if source is None or not re.search(rf"^(?:async )?def {test}\(", source.read_text("utf-8"), re.MULTILINE):
            missing.append(f"{file}::{test}")

    assert [] == missing


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"`?make ([a-z-]+)", commands_and_code(page))}

    assert named - targets == set()


def test_every_make_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = {word for line in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE) for word in line.split()}
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))

    assert {"lint", "imports", "types"} == targets - explained  # parts of `check`


@each(PAGES)
def test_commands_in_code_blocks_are_ones_we_have(page: Path) -> None:
    """Each `gatewright …` line names an existing command and existing options."""
    for line in shell_lines(page):
        words = [word for word in shlex.split(line, comments=True) if word]
        if words and words[0] == "gatewright":
            assert_known(words[1:])


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_examples_compile_without_a_complaint(example: Path) -> None:
    compiled = compile_plan((Source(example.name, example.read_bytes()),), Catalog.shipped())

    assert [] == [str(item) for item in compiled.diagnostics]
    assert compiled.build


@each(sorted((ROOT / "docs/guide").glob("*.md")))
def test_settings_that_are_named_exist(page: Path) -> None:
    """`section.setting` of a section that is no map; names of files look alike where they end as files do."""
    there = {setting.path for setting in SETTINGS}
    named = re.findall(r"`([a-z_]+)\.([a-z_]+)(?::[^`]*)?`", page.read_text("utf-8"))

    assert [] == [
        f"{section}.{setting}"
        for section, setting in named
        if section_shape(section) == "record" and setting != "db" and f"{section}.{setting}" not in there
    ]


@each([*sorted((ROOT / "docs/guide").glob("*.md")), ROOT / "docs/reference/settings.md", ROOT / "README.md"])
def test_models_that_are_named_are_in_the_catalogue(page: Path) -> None:
    """Whoever tries an example is told that there is no such model, where there is none. A connection has no digit in its name."""
    catalog = Catalog.shipped()
    named = re.findall(r"\b([a-z-]+)/([a-z][\w.-]*\d[\w-]*)", page.read_text("utf-8").replace(NO_MODEL, ""))
    unknown = [
        f"{provider}/{model}"
        for provider, model in named
        if provider in catalog.ids and model not in {each.id for each in catalog.load(provider).models}
    ]

    assert [] == unknown


def test_every_example_is_shown_in_the_guide() -> None:
    guide = "".join(path.read_text("utf-8") for path in (ROOT / "docs/guide").glob("*.md"))

    assert EXAMPLES
    assert [] == [example.name for example in EXAMPLES if f"../examples/{example.name}" not in guide]


def test_the_shipped_configuration_compiles_without_a_complaint() -> None:
    shipped = (ROOT / "gateway.yaml").read_bytes()
    compiled = compile_plan((Source("gateway.yaml", shipped),), Catalog.shipped())

    assert [] == [str(item) for item in compiled.diagnostics]


@pytest.mark.parametrize("decision", sorted((ROOT / "docs/decisions").glob("0*.md")), ids=name)
def test_every_decision_is_listed_and_says_what_was_asked_decided_and_paid(decision: Path) -> None:
    text = decision.read_text("utf-8")
    title = text.splitlines()[0].removeprefix("# ")
    number, _, heading = title.partition(" ")

    assert f"| [{number}]({decision.name}) | {heading} |" in (decision.parent / "README.md").read_text("utf-8")
    assert all(f"**{part}.**" in text for part in ("Question", "Decision", "Why", "Costs"))


def commands_and_code(page: Path) -> str:
    text = page.read_text("utf-8")
    return "\n".join([*re.findall(r"`(make [^`]+)`", text), *shell_lines(page)])


def shell_lines(page: Path) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def assert_known(words: list[str]) -> None:
    command: click.Command = program
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}

    assert used - options - {"-h", "--help"} == set()
