"""What is wrong with a client's request is said by the path of the field at fault."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from runtime.errors import InvalidRequest
from runtime.protocols import splice
from runtime.protocols.complaint import invalid, read_body, read_field


class Inner(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]


class Body(msgspec.Struct):
    model: str
    items: list[Inner] = []


BODY = msgspec.json.Decoder(Body)
INNER = msgspec.json.Decoder(Inner)


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        (b'{"model":"m","items":[{"name":"a"},{}]}', "items[1].name", "missing_required_parameter", "The field 'items[1].name' is required."),
        (b'{"model":"m","items":[{"name":5}]}', "items[0].name", "invalid_type", "Wrong type or value of the field 'items[0].name': Expected a string, got an integer."),
        (b'{"model":"m","items":5}', "items", "invalid_type", "Wrong type or value of the field 'items': Expected an array, got an integer."),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_its_path(body: bytes, param: str, code: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_body(BODY, splice.peek(body))
    assert (param, code, message) == (caught.value.param, caught.value.code, caught.value.message)


def test_a_sound_body_is_read() -> None:
    assert Body(model="m", items=[Inner(name="a")]) == read_body(
        BODY, splice.peek(b'{"model":"m","items":[{"name":"a"}]}')
    )


@pytest.mark.parametrize(
    ("value", "param"),
    [(b"{}", "options.name"), (b'{"name":5}', "options.name"), (b"5", "options"), (b'{"name":', "options"), (b"[" * 9, "options")],
)  # fmt: skip
def test_a_fault_in_a_field_is_told_by_its_whole_path(value: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_field(INNER, msgspec.Raw(value), "options")
    assert param == caught.value.param


def test_a_value_that_is_none_of_those_known_is_invalid() -> None:
    error = invalid("Invalid enum value 'x' - at `$.effort`")

    assert ("effort", "invalid_value", "Invalid enum value 'x' in the field 'effort'.") == (
        error.param, error.code, error.message,
    )  # fmt: skip
