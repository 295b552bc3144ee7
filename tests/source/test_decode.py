"""Nodes to Structs: all faults, each at its place, and what is left of the rest."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from runtime.source import Bytes, Diagnostics, Milliseconds, NanoUsd, decode, locate, parse
from runtime.source.span import Span


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    weight: Annotated[int, Meta(ge=0, le=100)] = 1


class Fixed(msgspec.Struct, frozen=True, kw_only=True, tag="fixed"):
    seconds: int


class Growing(msgspec.Struct, frozen=True, kw_only=True, tag="growing"):
    factor: float = 2.0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    version: Literal[1] = 1
    connect_ms: Milliseconds = msgspec.field(name="connect", default=5)
    limit_bytes: Bytes = msgspec.field(name="limit", default=3)
    price: NanoUsd = 0
    combos: dict[str, list[str | Target]] = {}
    names: tuple[Annotated[str, Meta(pattern="^[a-z]+$")], ...] = ()
    mode: Literal["alpha", "beta"] = "alpha"
    colour: Colour = Colour.RED
    wait: Fixed | Growing | None = None
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    bound: float = 0.0
    count: int = 0
    on: bool = False
    note: str | None = None
    free: Any = None


def read(text: str) -> tuple[Config | None, list[str]]:
    diagnostics = Diagnostics()
    node = parse(text, "f.yaml", diagnostics)
    assert node is not None
    return decode(node, Config, diagnostics, "gateway.yaml"), [str(item) for item in diagnostics]


def test_sound_document_becomes_the_struct() -> None:
    text = """
version: 1
connect: 5s
limit: 2KiB
price: 2.50
combos: {smart: [a, {model: b, weight: 3}]}
names: [x, z]
mode: beta
colour: green
wait: {type: fixed, seconds: 3}
share: 0.25
"on": true
note: null
free: {any: [1, thing]}
"""

    config, complaints = read(text)

    assert complaints == []
    assert config == Config(
        connect_ms=5000, limit_bytes=2048, price=2_500_000_000, combos={"smart": ["a", Target(model="b", weight=3)]},
        names=("x", "z"), mode="beta", colour=Colour.GREEN, wait=Fixed(seconds=3), share=0.25, on=True, note=None,
        free={"any": [1, "thing"]},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("conect: 5s", "f.yaml:1:1: error[unknown-field]: no field 'conect' in gateway.yaml; did you mean 'connect'?"),
        ("connect: 5", "f.yaml:1:10: error[wrong-unit]: connect: 5 has no unit; write 5s or 5ms"),
        ("connect: [5s]", "f.yaml:1:10: error[wrong-type]: expected a duration such as 30s, found a list"),
        (
            "limit: 5XB",
            "f.yaml:1:8: error[wrong-unit]: limit: unknown unit 'XB' in '5XB'; use one of B, kB, KB, MB, GB, KiB, MiB, GiB",
        ),
        (
            "price: two",
            "f.yaml:1:8: error[wrong-unit]: price: 'two' is not an amount in dollars; write a plain decimal number such as 2.50",
        ),
        ("mode: alfa", "f.yaml:1:7: error[unknown-choice]: mode cannot be 'alfa'; did you mean 'alpha'?"),
        ("colour: blue", "f.yaml:1:9: error[unknown-choice]: colour cannot be 'blue'; one of: red, green"),
        ("version: 2", "f.yaml:1:10: error[unknown-choice]: version cannot be '2'; one of: 1"),
        ("combos: []", "f.yaml:1:9: error[wrong-type]: expected a mapping (combos), found a list"),
        (
            "combos: {a: [{weight: 1}]}",
            "f.yaml:1:14: error[missing-field]: item of combo 'a' lacks the field 'model'; write `model: …`",
        ),
        ("combos: {a: [{model: x, weight: 101}]}", "f.yaml:1:33: error[invalid-value]: weight: 101 is more than 100"),
        ("combos: {a: [7]}", "f.yaml:1:14: error[wrong-type]: expected text or a mapping, found the number 7"),
        ("names: [A]", "f.yaml:1:9: error[invalid-value]: item of names: A does not match ^[a-z]+$"),
        ("names: a", "f.yaml:1:8: error[wrong-type]: expected a list (names), found the text 'a'"),
        (
            "wait: {seconds: 3}",
            "f.yaml:1:7: error[missing-field]: wait lacks the field 'type'; write `type: fixed | growing`",
        ),
        (
            "wait: {type: fixd, seconds: 3}",
            "f.yaml:1:14: error[unknown-choice]: type cannot be 'fixd'; did you mean 'fixed'?",
        ),
        ("share: 1", "f.yaml:1:8: error[invalid-value]: share: 1 must be less than 1"),
        ("share: .nan", "f.yaml:1:8: error[invalid-value]: share: .nan is no finite number"),
        ("bound: 1e999", "f.yaml:1:8: error[invalid-value]: bound: 1e999 is no finite number"),
        (
            "count: 9223372036854775808",
            "f.yaml:1:8: error[invalid-value]: count: 9223372036854775808 is more than 9223372036854775807",
        ),
        (
            "limit: 9000000000GiB",
            "f.yaml:1:8: error[invalid-value]: limit: 9000000000GiB is more than 9223372036854775807B",
        ),
        ("connect: 36501d", "f.yaml:1:10: error[invalid-value]: connect: 36501d is more than 100 years"),
        (
            "count: " + "1" * 5000,
            f"f.yaml:1:8: error[wrong-type]: expected a whole number, found the number {'1' * 40}…",
        ),
        ('names: ["a\\n"]', "f.yaml:1:9: error[invalid-value]: item of names: a\\n does not match ^[a-z]+$"),
        ("share: true", "f.yaml:1:8: error[wrong-type]: expected a number, found the boolean true"),
        ('"on": 1', "f.yaml:1:7: error[wrong-type]: expected true or false, found the number 1"),
        ("note: 5", "f.yaml:1:7: error[wrong-type]: expected text, found the number 5"),
    ],
)
def test_fault_is_reported_at_its_place_with_a_hint(text: str, complaint: str) -> None:
    _, complaints = read(text)

    assert [complaint] == complaints


def test_every_fault_of_a_document_is_reported_at_once() -> None:
    _, complaints = read("conect: 5s\nmode: alfa\ncombos:\n  a: [{weight: 1}]\n  b: [{model: x, wieght: 1}]\n")

    assert [1, 2, 4, 5] == [int(line.split(":")[1]) for line in complaints]


def test_faulty_entry_is_left_out_and_the_rest_stays() -> None:
    config, complaints = read("mode: beta\ncombos: {bad: [{}], good: [x]}\nshare: 2\n")

    assert len(complaints) == 2
    assert config == Config(mode="beta", combos={"good": ["x"]})


def test_locate_finds_values_keys_and_what_is_nearest_to_the_absent() -> None:
    node = parse("a:\n  b: [x, {c: 1}]\n", "f.yaml", Diagnostics())
    assert node is not None

    assert Span("f.yaml", 2, 14) == locate(node, ("a", "b", 1, "c"))
    assert Span("f.yaml", 2, 3) == locate(node, ("a", "b"), key=True)
    assert Span("f.yaml", 2, 3) == locate(node, ("a", "nothing", "here"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*Config.__struct_encode_fields__, "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_document_is_decoded_or_refused_never_raises(document: object) -> None:
    diagnostics = Diagnostics()
    node = parse(msgspec.json.encode(document), "f.yaml", diagnostics)  # JSON is YAML
    if node is None:
        assert diagnostics.failed
        return

    config = decode(node, Config, diagnostics, "gateway.yaml")

    assert config is not None or diagnostics.failed
