"""Places of lists as clients are told them: they come back as they were, say nothing, and are nobody else's."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from runtime.web.place import Places

PLACES = Places(b"a pepper of sixteen bytes", "things")


@given(st.binary(max_size=300))
def test_a_place_is_read_as_it_was_told(place: bytes) -> None:
    told = PLACES.told(place)

    assert place == PLACES.read(told, "after")
    assert told == PLACES.told(place), "any worker says the same"
    assert set(told) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), "it stands in a query"


def test_places_next_to_each_other_have_nothing_in_common() -> None:
    """Else one could tell how far they are apart."""
    told = [base64.urlsafe_b64decode(PLACES.told(number.to_bytes(8, "big")) + "==") for number in range(200)]

    shared = [sum(one[at] == other[at] for at in range(20)) for one in told for other in told if one is not other]
    assert max(shared) < 8
    assert sum(shared) / len(shared) < 1


@given(st.binary(min_size=1, max_size=40), st.data())
def test_what_was_changed_is_refused(place: bytes, data: st.DataObject) -> None:
    sealed = bytearray(base64.urlsafe_b64decode(PLACES.told(place) + "=="))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(InvalidRequest):
        PLACES.read(base64.urlsafe_b64encode(sealed).decode().rstrip("="), "after")


@pytest.mark.parametrize(
    "told",
    ["", "1", "8", "AAAA", "A" * 16, "\u00e9\u00e9", "a b", "=", "!", "A" * 5000, Places(b"a pepper of sixteen bytes", "others").told(b"x"),
     Places(b"another one of sixteen", "things").told(b"x")],
)  # fmt: skip
def test_what_is_no_place_of_the_list_is_refused_with_its_parameter(told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        PLACES.read(told, "before")

    assert "before" == refused.value.param
