"""Names of schemas become names of Python."""

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.naming import class_name, is_class_name, module_name, python_name


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("model", "model"),
        ("from", "from_"),
        ("max-tokens", "max_tokens"),
        ("2fa", "n2fa"),
        ("list", "list_"),
        ("__class__", "class__"),
        ("camelCase", "camelCase"),
        ("$", "field"),
    ],
)
def test_python_name(wire: str, name: str):
    assert python_name(wire) == name


@given(st.text())
def test_any_text_becomes_an_identifier_that_is_neither_private_nor_reserved(wire: str):
    name = python_name(wire)

    assert name.isidentifier()
    assert name.isascii()
    assert not keyword.iskeyword(name)
    assert not name.startswith("_")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("ChatRequest", "stop_reason"), "ChatRequestStopReason"),
        (("Part", "input.audio"), "PartInputAudio"),
        (("URL",), "URL"),
        (("3d",), "T3d"),
    ],
)
def test_class_name(words: tuple[str, ...], name: str):
    assert class_name(*words) == name


@pytest.mark.parametrize("name", ["lower", "With_Underscore", "Ünicode", "Literal", "None", "", "A b"])
def test_what_no_type_may_be_called(name: str):
    assert not is_class_name(name)


def test_ids_become_modules():
    assert [module_name(name) for name in ("fireworks-ai", "01ai", "Class")] == ["fireworks_ai", "n01ai", "class_"]
