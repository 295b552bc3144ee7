"""Expressions are laid out as the formatter leaves them, whatever is in them."""

import ast
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.emit import layout
from codegen.emit.layout import Atom, Call, Expression, Lambda, Mapping, Sequence_, Subscript, Union, assignment, quoted

NAMES = st.sampled_from(["A", "Message", "ContentPart", "AVeryLongNameOfATypeThatTakesALotOfRoom", "x" * 50])
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["it's", 'say "hi"', "a" * 60, "b" * 130, "漢字" * 20, "\\", "\x00\u2028"])
)
LITERALS = st.one_of(TEXTS.map(layout.string), st.integers(0, 10**6).map(lambda number: Atom(str(number))))


# A literal holds at most one long text: what is too wide for any line is broken nowhere.
LITERAL = st.lists(st.text("abc", min_size=1, max_size=20).map(layout.string), min_size=1, max_size=9)
LEAVES: st.SearchStrategy[Expression] = NAMES.map(Atom) | LITERAL.map(lambda items: Subscript("Literal", tuple(items)))
ANNOTATIONS: st.SearchStrategy[Expression] = st.recursive(
    LEAVES,
    lambda inner: (
        inner.map(lambda item: Subscript("list", (item,)))
        | inner.map(lambda item: Subscript("dict", (Atom("str"), item)))
        | st.lists(LEAVES, min_size=2, max_size=6).map(lambda items: Union(tuple(items)))
    ),
    max_leaves=4,
)
VALUES: st.SearchStrategy[Expression] = st.recursive(
    LITERALS,
    lambda inner: (
        st.lists(inner, max_size=5).map(lambda items: Sequence_(tuple(items)))
        | st.lists(inner, max_size=5).map(lambda items: Sequence_(tuple(items), "[]"))
        | st.lists(st.tuples(st.text("abc", max_size=20), inner), max_size=4).map(lambda items: Mapping(tuple(items)))
        | st.lists(
            st.tuples(st.sampled_from(["name", "default"]), inner), max_size=2, unique_by=lambda item: item[0]
        ).map(lambda items: Call("msgspec.field", tuple(items)))
    ),
    max_leaves=12,
)


def formatted(text: str) -> str:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--isolated",
        "--line-length",
        "120",
        "--target-version",
        "py311",
        "-",
    ]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(NAMES, ANNOTATIONS, VALUES | st.just(Atom("msgspec.UNSET")) | st.none()), min_size=10, max_size=20
    )
)
def test_the_formatter_changes_no_field(fields: list[tuple[str, Expression, Expression | None]]):
    lines = [assignment(name, annotation, value, depth=1) for name, annotation, value in fields]
    page = "class Page:\n" + "".join(f"{line}\n" for line in lines)

    assert formatted(page) == page


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", Sequence_(())),
        ("X", Sequence_((Atom("1"),))),
        ("X", Lambda(Sequence_((layout.string("a" * 60), layout.string("b" * 60)), "[]"))),
        ("X" * 100, layout.string("a" * 30)),
        ("X" * 100, Call("f", (("", Atom("1")), ("b", Atom("2"))))),
    ],
)
def test_the_formatter_changes_no_constant(name: str, value: Expression):
    page = f"{assignment(name, None, value)}\n"

    assert formatted(page) == page


def test_the_formatter_changes_no_union_whose_last_member_is_followed_by_a_bracket():
    """The comma behind the last member counts, too."""
    words = tuple(layout.string("a" * length) for length in (1, 2, 5, 5, 7, 9, 9, 10, 19))
    union = Union((Atom("A"), Subscript("Literal", words)))
    page = f"class Page:\n{assignment('Message', Subscript('dict', (Atom('str'), union)), Call('f', ()), depth=1)}\n"

    assert formatted(page) == page


@given(st.text())
def test_a_quoted_text_is_a_literal_of_itself(text: str):
    assert ast.literal_eval(quoted(text)) == text


@given(VALUES)
def test_a_broken_value_means_what_the_flat_one_means(value: Expression):
    def meaning(text: str) -> Any:
        return ast.dump(ast.parse(text))

    assert meaning(f"x = {layout.flat(value)}") == meaning(assignment("x", None, value))


def test_imports_beyond_the_line_stand_one_on_a_line():
    names = [f"Name{number}" for number in range(20)]

    assert layout.from_import("a.b", names).splitlines()[:2] == ["from a.b import (", "    Name0,"]
    assert layout.from_import("a", ["b", "A", "C_D"]) == "from a import C_D, A, b"
