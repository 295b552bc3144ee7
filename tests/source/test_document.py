"""YAML text to nodes: one dialect, every trap refused at its place."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.source import Diagnostics, MappingNode, Node, ScalarNode, SequenceNode, Span, parse
from runtime.source.document import MAX_DEPTH, MAX_VALUES


def read(text: str | bytes) -> tuple[Node | None, list[str]]:
    diagnostics = Diagnostics()
    node = parse(text, "f.yaml", diagnostics)
    return node, [str(item) for item in diagnostics]


def value(text: str) -> object:
    node, complaints = read(f"key: {text}\n")
    assert complaints == []
    assert isinstance(node, MappingNode)
    inner = node.entries[0].node
    assert isinstance(inner, ScalarNode)
    return inner.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1), ("-7", -7), ("+7", 7), ("0", 0), ("0x1F", 31), ("0o17", 15), ("3.10", 3.1), (".5", 0.5), ("1e3", 1000.0),
        ("-.inf", -math.inf), ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("text", "text"),
        ("'no'", "no"), ('"12:30"', "12:30"), ("v1.2.3", "v1.2.3"), ("10MB", "10MB"), ("nothing", "nothing"),
        ("1.2.3", "1.2.3"), ("0.0.0.0", "0.0.0.0"), ("127.0.0.1:80", "127.0.0.1:80"),
    ],
)  # fmt: skip
def test_scalar_follows_the_core_schema(text: str, expected: object) -> None:
    assert expected == value(text)


def test_scalar_not_a_number_is_a_float() -> None:
    found = value(".nan")

    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text", ["no", "Yes", "on", "OFF", "y", "0123", "1_000", "12:30", "12:30:45", "2026-11-21", "0b101", "-0777"]
)
def test_scalar_that_two_readers_read_differently_is_refused(text: str) -> None:
    _, complaints = read(f"key: {text}\n")

    assert len(complaints) == 1
    assert complaints[0].startswith("f.yaml:1:6: error[ambiguous-scalar]")


def test_every_fault_is_reported_in_one_pass_in_order_of_position() -> None:
    text = "a: no\na: 2\nb: !!str x\n<<: {x: 1}\n5: 6\non: 1\n"

    _, complaints = read(text)

    assert [
        "f.yaml:1:4: error[ambiguous-scalar]",
        "f.yaml:2:1: error[duplicate-key]",
        "f.yaml:3:4: error[yaml-tag]",
        "f.yaml:4:1: error[yaml-merge-key]",
        "f.yaml:5:1: error[key-not-text]",
        "f.yaml:6:1: error[ambiguous-scalar]",
    ] == [line.split(": ", 2)[0] + ": " + line.split(": ", 2)[1] for line in complaints]


def test_duplicate_key_names_the_first_one() -> None:
    _, complaints = read("a: 1\nb: 2\na: 3\n")

    assert "f.yaml:1:1: note: first written here" in complaints[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [1", "yaml-syntax"),
        ("a:\n\t- b\n", "yaml-syntax"),
        ("a: 1\n---\nb: 2\n", "yaml-many-documents"),
        ("", "yaml-empty"),
        ("# only a comment\n", "yaml-empty"),
        ("a: &x [*x]\n", "yaml-alias-cycle"),
        ("a: \x07\n", "yaml-encoding"),
        (b"a: \xff\n", "yaml-encoding"),
        ("a: *unknown\n", "yaml-syntax"),
        ("? [a]\n: 1\n", "key-not-text"),
        ("a: !env HOME\n", "yaml-tag"),
    ],
)
def test_unreadable_document_says_why(text: str | bytes, code: str) -> None:
    _, complaints = read(text)

    assert [code] == [line.split("[")[1].split("]")[0] for line in complaints]


def test_what_is_missing_at_the_end_is_missed_at_the_end_of_the_last_line() -> None:
    _, complaints = read("a: 1\nb: [\n")

    assert ["f.yaml:2:5: error[yaml-syntax]: did not find expected node content"] == complaints


def test_encoding_fault_counts_characters_not_bytes() -> None:
    _, complaints = read("a: ü".encode() + b"\xff\n")

    assert complaints[0].startswith("f.yaml:1:5: ")


def test_what_aliases_repeat_is_refused_where_it_is_too_much_before_it_is_written_out() -> None:
    """Nothing of it is read: 10 to the power of 40 values would never be."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n + 1}: &a{n + 1} {{{', '.join(f'k{m}: *a{n}' for m in range(10))}}}" for n in range(40)]
    node, complaints = read("\n".join(levels))

    assert node is None
    assert 1 == len(complaints)
    assert complaints[0].startswith("f.yaml:5:5: error[yaml-too-large]: ")


def test_long_chain_of_aliases_is_refused_without_recursion() -> None:
    _, complaints = read("a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(5_000)))

    assert 1 == len(complaints)
    assert "yaml-too-large" in complaints[0]


def test_a_long_plain_scalar_is_looked_at_once() -> None:
    """Where each of its `_` might be the one that is looked for, half a megabyte takes hours."""
    node, complaints = read("a: " + "1_" * 250_000 + "x")

    assert isinstance(node, MappingNode)
    assert [] == complaints


def test_alias_expansion_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_VALUES <= 1_000_000
    monkeypatch.setattr("runtime.source.document.MAX_VALUES", 10_000)  # a million takes seconds
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join(['*' + previous] * 10)}]\n" for previous, name in zip("abc", "bcd", strict=True)
    )

    _, complaints = read(bomb)

    assert any("yaml-too-large" in line for line in complaints)


DEEP = 100_000
"""More than the composer's stack holds."""


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * DEEP + "]" * DEEP,
        "a: " + "[" * DEEP,
        "a: " + "{a: " * DEEP + "1" + "}" * DEEP,
        "a:\n  " + "- " * DEEP + "1\n",
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2 * MAX_DEPTH)),
    ],
    ids=["lists", "open", "mappings", "block", "aliases"],
)
def test_document_that_is_too_deep_is_refused_once(text: str) -> None:
    _, complaints = read(text)

    assert ["yaml-too-deep"] == [line.split("[")[1].split("]")[0] for line in complaints]


def test_document_of_the_greatest_depth_is_read_and_one_deeper_is_refused_at_its_place() -> None:
    lists = MAX_DEPTH - 1  # in a mapping

    _, complaints = read("a: " + "[" * lists + "1" + "]" * lists)
    _, deeper = read("a: " + "[" * (lists + 1) + "1" + "]" * (lists + 1))

    assert [] == complaints
    assert deeper[0].startswith(f"f.yaml:1:{4 + lists}: error[yaml-too-deep]")


def test_number_of_more_digits_than_python_reads_is_a_number() -> None:
    assert math.inf == value("1" * 5000)


def test_alias_repeats_the_value_and_keeps_its_place() -> None:
    node, complaints = read("a: &a {x: 1}\nb: *a\n")

    assert complaints == []
    assert isinstance(node, MappingNode)
    assert node.entries[0].node == node.entries[1].node


def test_spans_count_from_one_in_characters() -> None:
    node, _ = read("aé: [1,\n  zwei]\n")

    assert isinstance(node, MappingNode)
    items = node.entries[0].node
    assert isinstance(items, SequenceNode)
    assert [Span("f.yaml", 1, 6), Span("f.yaml", 2, 3)] == [item.span for item in items.items]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_never_raises(text: str) -> None:
    node, complaints = read(text)

    assert node is not None or complaints


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_never_raise(data: bytes) -> None:
    node, complaints = read(data)

    assert node is not None or complaints


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{3,8}x", fullmatch=True), st.integers() | st.booleans() | st.none(), max_size=6
    )
)
def test_plain_values_come_back(values: dict[str, object]) -> None:
    words = {True: "true", False: "false", None: "null"}
    text = "".join(
        f"{key}: {words[item] if item is None or isinstance(item, bool) else item}\n" for key, item in values.items()
    )

    node, complaints = read(text or "{}")

    assert complaints == []
    assert isinstance(node, MappingNode)
    assert values == {entry.key: entry.node.value for entry in node.entries if isinstance(entry.node, ScalarNode)}
