"""Each pass alone: what it makes of a small middle, and what it says."""

import pytest

from codegen import passes
from codegen.ir import (
    Alias,
    Choice,
    Field,
    Inline,
    ListOf,
    Module,
    Null,
    OneOf,
    Project,
    Record,
    Reference,
    Tag,
    Text,
    Type,
)
from codegen.passes import ORDER
from codegen.passes.check_defaults import check_defaults
from codegen.passes.flatten_objects import flatten_objects
from codegen.passes.flatten_unions import flatten_unions
from codegen.passes.order import order
from codegen.passes.python_names import python_names
from codegen.passes.tag_unions import tag_unions
from runtime.source import Diagnostics, Span
from tests.codegen.project import real

AT = Span("schemas/protocols/m.yaml", 1, 1)


def ref(name: str) -> Reference:
    return Reference(module="m", name=name)


def field(wire: str, type_: Type, *, required: bool = False, default: object = ...) -> Field:
    if default is ...:
        return Field(wire=wire, type=type_, required=required, span=AT)
    return Field(wire=wire, type=type_, required=required, default=default, span=AT)


def record(name: str, *fields: Field, tag: Tag | None = None) -> Record:
    return Record(name=name, fields=fields, tag=tag, span=AT)


def alias(name: str, type_: Type) -> Alias:
    return Alias(name=name, type=type_, span=AT)


def union(*members: Type, discriminator: str | None = None) -> OneOf:
    return OneOf(members=members, discriminator=discriminator, span=AT)


def project(*declarations: Record | Alias) -> Project:
    return Project(modules=(Module(name="m", source=AT.file, title="M", declarations=declarations),))


def run(one: passes.Pass, *declarations: Record | Alias) -> tuple[tuple[Record | Alias, ...], list[str]]:
    """What the pass made of the declarations, and the codes of what it said."""
    diagnostics = Diagnostics()
    after = one(project(*declarations), diagnostics)
    return after.modules[0].declarations, [item.code for item in diagnostics]


def test_flatten_objects_names_an_object_after_where_it_stands():
    inline = Inline(record=record("", field("city", Text())))

    after, said = run(flatten_objects, record("Order", field("buyer", ListOf(item=inline))))

    assert said == []
    assert after == (
        record("OrderBuyerItem", field("city", Text())),
        record("Order", field("buyer", ListOf(item=ref("OrderBuyerItem")))),
    )


def test_flatten_objects_names_members_of_a_union_by_their_hints():
    members = (Inline(record=record(""), hint="text"), Inline(record=record(""), hint="image"))

    after, _ = run(flatten_objects, record("Message", field("part", union(*members))))

    assert [item.name for item in after] == ["MessagePartText", "MessagePartImage", "Message"]


def test_flatten_unions_joins_nested_ones_and_puts_null_last():
    nested = union(Null(), union(Text(), ref("A"), discriminator="type"), Text())

    after, _ = run(flatten_unions, alias("X", nested))

    assert after == (alias("X", union(Text(), ref("A"), Null(), discriminator="type")),)


def test_flatten_unions_leaves_a_single_member_alone():
    assert run(flatten_unions, alias("X", union(Text(), Text())))[0] == (alias("X", Text()),)


def test_tag_unions_turns_the_const_into_the_tag_through_aliases():
    const = Choice(values=("a",), const=True)
    a = record("A", field("type", const, required=True), field("x", Text()))

    after, said = run(
        tag_unions, alias("All", union(ref("Some"), discriminator="type")), alias("Some", union(ref("A"))), a
    )

    assert said == []
    assert after[2] == record("A", field("x", Text()), tag=Tag(field="type", value="a"))


def test_tag_unions_leaves_a_const_outside_unions_a_field():
    a = record("A", field("type", Choice(values=("a",), const=True)))

    assert run(tag_unions, a)[0] == (a,)


@pytest.mark.parametrize(
    ("type_", "default", "sound"),
    [
        (Text(), "a", True),
        (Text(), 1, False),
        (Text(pattern="^b"), "a", False),
        (Choice(values=("a", 1)), 1, True),
        (Choice(values=("a", 1)), True, False),
        (union(Text(), Null()), None, True),
        (ListOf(item=Text()), ["a"], True),
        (ListOf(item=Text()), [1], False),
        (ListOf(item=ListOf(item=Text())), [[]], False),
        (ref("A"), {}, False),
    ],
)
def test_check_defaults(type_: Type, default: object, sound: bool):
    _, said = run(check_defaults, record("A", field("x", type_, default=default)))

    assert said == ([] if sound else ["invalid-value"])


def test_python_names_escapes_keywords_and_names_of_types():
    (after,), said = run(python_names, record("Tool", field("from", Text()), field("Tool", Text())))

    assert said == []
    assert isinstance(after, Record)
    assert [item.name for item in after.fields] == ["from_", "Tool_"]


def test_python_names_reports_a_collision():
    assert run(python_names, record("A", field("a-b", Text()), field("a_b", Text())))[1] == ["duplicate-name"]


def test_order_moves_aliases_behind_what_they_are_made_of_and_nothing_else():
    after, said = run(order, alias("X", ref("Y")), alias("Y", ref("A")), record("B"), record("A"), record("C"))

    assert said == []
    assert [item.name for item in after] == ["B", "A", "Y", "X", "C"]


def test_order_reports_a_cycle_once_and_keeps_everything():
    after, said = run(order, alias("X", ListOf(item=ref("Y"))), alias("Y", ListOf(item=ref("X"))), alias("Z", ref("X")))

    assert said == ["alias-cycle"]
    assert {item.name for item in after} == {"X", "Y", "Z"}


@pytest.fixture(scope="module")
def compiled() -> Project:
    """The real schemas, through all passes."""
    return real().ir


@pytest.mark.parametrize("one", ORDER, ids=lambda one: one.__name__)
def test_a_pass_changes_nothing_the_second_time(one: passes.Pass, compiled: Project):
    """What all passes made of the real schemas, each pass leaves as it is, and says nothing of."""
    diagnostics = Diagnostics()

    assert one(compiled, diagnostics) == compiled
    assert list(diagnostics) == []
