"""What comes of each golden case is what is stored beside it."""

from pathlib import Path

import pytest

from codegen.pipeline import compile_schemas
from tests.codegen.golden import cases, produced, rewrite, stored


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_case_produces_what_is_stored(case: Path, golden: bool):
    if golden:
        rewrite(case)

    assert stored(case) == produced(compile_schemas(case))


def test_there_are_sound_cases_and_faulty_ones():
    faulty = [case for case in cases() if (case / "diagnostics.txt").exists()]

    assert len(faulty) >= 5
    assert len(cases()) - len(faulty) >= 10
