"""JSON bodies of management: what is wrong is named by its path, and a key that is written twice is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from runtime.web.json_body import check_json


class Inner(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    count: int
    tables: list[dict[str, int]] = []


class Shape(msgspec.Struct, kw_only=True):
    name: str | msgspec.UnsetType = msgspec.UNSET
    inner: Inner | None = None
    sections: dict[str, dict[str, int | str]] = {}


Sections = dict[str, dict[str, int | str]]


def fault(body: bytes, shape: Any = Shape) -> tuple[str, str | None] | None:
    try:
        check_json(body, shape)
    except InvalidRequest as error:
        return error.message, error.param
    return None


@pytest.mark.parametrize("number", [b"0", b"1"])
def test_a_number_is_no_truth_where_the_body_is_read_strictly(number: bytes) -> None:
    class Said(msgspec.Struct):
        wanted: bool

    body = b'{"wanted": ' + number + b"}"
    check_json(body, Said)
    with pytest.raises(InvalidRequest) as refused:
        check_json(body, Said, strict=True)
    assert ("wanted: expected true or false, found a whole number", "wanted") == (
        refused.value.message,
        refused.value.param,
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the request needs a body, in JSON"),
        (b" \n", "the request needs a body, in JSON"),
        (b"[]", "the body: expected an object, found an array"),
        (b"null", "the body: expected an object, found null"),
        (b"{", "the body is not JSON: Input data was truncated"),
        (b'{"name": NaN}', "the body is not JSON: JSON is malformed: invalid character (byte 9)"),
        (b'{"name": "\xff"}', "the body is not JSON: "),
        (b"[" * 100_000, "the body is nested too deeply"),
    ],
)
def test_what_is_no_body_is_said_to_be_none(body: bytes, told: str) -> None:
    found = fault(body)

    assert found is not None
    assert (told, None) == (found[0][: len(told)], found[1])


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        ({"name": 5}, "name", "expected a text, found a whole number"),
        ({"inner": {}}, "inner.count", "is required"),
        ({"inner": {"count": "x"}}, "inner.count", "expected a whole number, found a text"),
        ({"inner": {"count": 1, "cuont": 2}}, "inner.cuont", "there is no such field"),
        (
            {"inner": {"count": 1, "tables": [{"a": 1}, {"a": 1, "b": None, "c": 2}]}},
            "inner.tables[1].b",
            "expected a whole number, found null",
        ),
        ({"sections": {"a": {}, "b": 1, "c": {}}}, "sections.b", "expected an object, found a whole number"),
        ({"sections": []}, "sections", "expected an object, found an array"),
    ],
)
def test_what_has_the_wrong_shape_is_named_with_what_is_expected(body: object, path: str, told: str) -> None:
    assert (f"{path}: {told}", path) == fault(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"name": "a", "name": "b"}', "name"),
        (b'{"sections": {"a": {"x": 1, "y": 2, "x": 1}}}', "sections.a.x"),
        (b'{"inner": {"count": 1, "tables": [{"a": 1}, {"b": 1, "b": 1}]}}', "inner.tables[1].b"),
        (b'{"sections": {"a": {"x": 1, "x": 1}}, "sections": {}}', "sections"),
        (b'{"other": [[{"\\u0061": 1, "a": 2}]]}', "other[0][0].a"),
    ],
)
def test_a_key_that_is_written_twice_is_refused(body: bytes, path: str) -> None:
    assert (f"{path}: this key is written twice in one object", path) == fault(body)


def test_a_large_body_is_looked_at_like_a_small_one() -> None:
    many = ",".join(f'"k{number}":{{}}' for number in range(80_000))

    assert ("k79999: this key is written twice in one object", "k79999") == fault(
        f'{{{many},"k79999":{{}}}}'.encode(), Sections
    )
    assert ("k79999: expected an object, found null", "k79999") == fault(f"{{{many[:-2]}null}}".encode(), Sections)


def test_a_key_of_any_length_is_told_by_its_beginning() -> None:
    found = fault(json.dumps({"a" * 100_000: 1}).encode(), Sections)

    assert found is not None
    assert len(found[0]) < 300


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"name": "a\\u0000"}', "name"),
        (b'{"sections": {"a": {"\\u0000": 1}}}', "sections.a"),
        (b'{"other": [1, ["\\u0000"]]}', "other[1][0]"),
    ],
)
def test_a_text_that_not_every_store_can_hold_is_refused(body: bytes, path: str) -> None:
    assert (f"{path}: a text must not hold the NUL character", path) == fault(body)


KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(
    good=st.dictionaries(KEYS, st.dictionaries(KEYS, st.integers(-9, 9)), max_size=20),
    key=KEYS,
    wrong=st.sampled_from([None, 5, "text", [1], {"x": [1]}]),
    data=st.data(),
)
def test_among_many_the_one_at_fault_is_named(good: dict[str, Any], key: str, wrong: Any, data: st.DataObject) -> None:
    entries = [(name, value) for name, value in good.items() if name != key]
    entries.insert(data.draw(st.integers(0, len(entries))), (key, wrong))
    path = f"{key}.x" if isinstance(wrong, dict) else key

    assert fault(json.dumps(dict(good)).encode(), Sections) is None
    found = fault(json.dumps(dict(entries)).encode(), Sections)
    assert found is not None
    assert (path or None) == found[1] or not key
