"""Quantities with units, exact."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.source.unit import NANO_USD, QuantityError, read


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("duration", "250ms", 250), ("duration", "30s", 30_000), ("duration", "1.5s", 1_500), ("duration", "2m", 120_000),
        ("duration", "1h30m", 5_400_000), ("duration", "7d", 604_800_000), ("duration", "0", 0),
        ("size", "512KiB", 524_288), ("size", "32 MiB", 33_554_432), ("size", "10MB", 10_000_000), ("size", "1B", 1),
        ("size", "0.5KiB", 512), ("usd", "2.50", 2_500_000_000), ("usd", "0", 0), ("usd", "0.0036", 3_600_000),
        ("usd", "0.000000001", 1), ("usd", "75", 75_000_000_000),
    ],
)  # fmt: skip
def test_quantity_is_read_exactly(kind: str, raw: str, expected: int) -> None:
    assert expected == read(kind, raw)


@pytest.mark.parametrize(
    ("kind", "raw", "hint"),
    [
        ("duration", "30", "write 30s or 30ms"),
        ("duration", "30 s", "write it as"),
        ("duration", "-1s", "write it as"),
        ("duration", "1.5ms", "round it"),
        ("duration", "1.0000000000000000000000000000000001s", "round it"),
        ("duration", "1" * 5000 + "s", "fewer digits"),
        ("usd", "1" * 41, "fewer digits"),
        ("size", "32", "write 32B, 32KiB or 32MiB"),
        ("size", "32mb", "use one of"),
        ("size", "lots", "write it as"),
        ("usd", "$2.50", "plain decimal"),
        ("usd", "-1", "plain decimal"),
        ("usd", "1e-3", "plain decimal"),
        ("usd", "0.0000000001", "round it"),
    ],
)
def test_quantity_without_its_unit_says_how_to_write_it(kind: str, raw: str, hint: str) -> None:
    with pytest.raises(QuantityError) as caught:
        read(kind, raw)

    assert hint in caught.value.hint


def test_a_hint_for_a_number_without_its_unit_can_be_followed() -> None:
    with pytest.raises(QuantityError) as caught:
        read("duration", "1.5")

    assert 1500 == read("duration", caught.value.hint.removeprefix("write "))


@given(st.integers(min_value=0, max_value=10**15))
def test_every_nano_dollar_can_be_written(nano: int) -> None:
    assert nano == read("usd", f"{Decimal(nano) / NANO_USD:.9f}")
