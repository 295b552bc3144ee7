"""The corpus: what the plan compiler says about faulty configurations, and what it makes of sound ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from runtime.config.compile import Compiled, compile_plan
from runtime.source import CODES
from tests.config.catalog import CATALOG
from tests.config.golden import CASES, outcome, read_case, rewrite
from tests.support.each import each

FAULTS = sorted((CASES / "fault").glob("*.case"))
SOUND = sorted((CASES / "sound").glob("*.case"))


@cache
def compiled(path: Path) -> Compiled:
    case = read_case(path)
    return compile_plan(case.sources, CATALOG, case.overrides)


@pytest.fixture(scope="session", autouse=True)
def _rewritten(golden: bool) -> None:
    if golden:
        rewrite()


@pytest.mark.parametrize("path", [*FAULTS, *SOUND], ids=lambda path: path.stem)
def test_case_comes_out_as_recorded(path: Path) -> None:
    case = read_case(path)

    assert case.expected == outcome(case)


@each(FAULTS)
def test_fault_has_a_place_in_the_file_a_known_code_and_a_hint(path: Path) -> None:
    case = read_case(path)
    read = (*case.sources, *(override.source for override in case.overrides))
    texts = {source.path: source.data.decode().splitlines() or [""] for source in read}
    found = compiled(path).diagnostics

    assert found or case.variables is not None
    for item in found:
        lines = texts[item.span.file]
        assert item.code in CODES
        assert item.hint
        assert 1 <= item.span.line <= len(lines)
        assert 1 <= item.span.column <= len(lines[item.span.line - 1]) + 1


@each(SOUND)
def test_sound_case_has_no_complaint(path: Path) -> None:
    result = compiled(path)

    assert () == result.diagnostics
    assert result.plan is not None


def test_corpus_is_as_large_as_promised() -> None:
    assert len(FAULTS) >= 60
    assert len(SOUND) >= 30


def test_every_code_of_the_plan_compiler_has_a_case() -> None:
    """A code that no case shows could be broken without anybody seeing it."""
    shown = {item.code for path in FAULTS for item in compiled(path).diagnostics} | {"missing-secret"}
    code = "".join(path.read_text("utf-8") for path in (CASES.parents[2] / "runtime" / "config").rglob("*.py"))
    ours = {name for name in CODES if f'"{name}"' in code and not name.startswith("yaml-")}

    assert {"deprecated-setting"} == ours - shown  # nothing is deprecated yet; see test_vocabulary


@each(FAULTS)
def test_no_message_repeats_what_may_be_a_secret(path: Path) -> None:
    planted = ("correct-horse-battery", "hunter2", "8675309", "abcdefghijklmnop", "Bearer abcdef")
    said = "\n".join(str(item) for item in compiled(path).diagnostics)

    assert [] == [secret for secret in planted if secret in said]
