"""The filters let no text out of the literal, docstring, comment or cell it is put in."""

import ast
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from codegen.emit.python import anchor, cell, code, comment, docstring, environment, literal, prose

HOSTILE = st.text(st.sampled_from("ab \"'\\\n\r\t#`|{}%\x00\x0b\u2028\u202e…é"), max_size=200)


@given(HOSTILE, st.integers(0, 2))
@example('"', 0)
@example("a\\", 1)
@example('"""', 0)
@example('a""', 0)
@example('\\"', 0)
@example("", 1)
def test_a_docstring_is_one_literal_whatever_it_holds(text: str, depth: int):
    page = "".join(f"{'    ' * level}class C{level}:\n" for level in range(depth)) + docstring(text, depth) + "\n"
    body: list[ast.stmt] = ast.parse(page).body
    for _ in range(depth):
        assert isinstance(body[0], ast.ClassDef)
        body = body[0].body

    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)
    assert isinstance(body[0].value.value, str)
    assert all(len(line) <= 120 for line in page.splitlines() if " " in line.strip())


@given(st.text(st.sampled_from("ab \"'\\\n"), min_size=1, max_size=150).filter(str.strip))
@example("word " * 22 + "x")
@example("word " * 22 + "xxx")
@example("word " * 22 + "xxxx")
def test_the_formatter_leaves_docstrings_unchanged(text: str):
    page = f"class C:\n{docstring(text, 1)}\n"
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "120", "-"]
    done = subprocess.run(command, input=page.encode(), capture_output=True, timeout=60, check=True)

    assert done.stdout.decode() == page


@given(HOSTILE)
def test_a_comment_is_one_line(text: str):
    assert ast.parse(comment(text)).body == []
    assert len(comment(text).splitlines()) == 1


@given(st.one_of(HOSTILE, st.booleans(), st.integers(), st.none()))
def test_a_literal_is_its_value(value: str | bool | int | None):
    assert ast.literal_eval(literal(value)) == value


@given(HOSTILE)
def test_a_cell_breaks_no_table(text: str):
    for made in (cell(text), prose(text), code(text)):
        unescaped = made.replace("\\\\", "").replace("\\|", "")

        assert "|" not in unescaped
        assert "\n" not in made
    assert "<" not in cell(text)


def test_prose_keeps_code_spans_and_escapes_the_rest():
    assert prose("write `a|b` or *c* <d>") == "write `a\\|b` or \\*c\\* &lt;d&gt;"
    assert prose("an odd ` tick") == "an odd \\` tick"


def test_code_with_ticks_gets_a_longer_fence():
    assert code("a `b` c") == "``a `b` c``"
    assert code("`b`") == "`` `b` ``"


def test_an_anchor_is_what_viewers_make_of_a_heading():
    assert anchor("01.AI Cloud") == "01ai-cloud"


def test_a_template_that_names_nothing_fails():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()
