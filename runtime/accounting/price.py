"""Tokens times prices: exact integers, one rounding at the end. Pure.

A price that is not known is never taken for nothing: the cost says that it is `unpriced`.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from runtime.canonical import Usage
from runtime.catalog import Prices

__all__ = ["NOTHING", "Cost", "price", "price_version", "usd"]

PER_TOKENS: Final = 1_000_000
PER_CALLS: Final = 1_000
_SCALE: Final = PER_TOKENS // PER_CALLS
_VERSION_DIGITS: Final = 16


class Cost(msgspec.Struct, frozen=True):
    """``unpriced``: something was used that has no price, and ``nano_usd`` is what the rest costs."""

    nano_usd: int
    unpriced: bool = False


NOTHING: Final = Cost(0)


def price(usage: Usage, prices: Prices | None, *, requests: int = 1, images: int = 0) -> Cost:
    """What ``usage`` costs, with ``requests`` answered and ``images`` made. Rounded once, half to even.

    Cached, reasoning and audio tokens without a price of their own cost as input or output does. Searches and images
    have nothing to fall back on.
    """
    if prices is None:
        return Cost(0, unpriced=bool(usage.total or usage.search_requests or images))
    audio_in = min(usage.audio_input, usage.input)
    audio_out = min(usage.audio_output, usage.output)
    thought = min(usage.reasoning, usage.output - audio_out)
    exact = (
        (usage.input - audio_in) * prices.input
        + audio_in * _own(prices.audio_input, prices.input)
        + usage.cache_read * _own(prices.cache_read, prices.input)
        + usage.cache_write_5m * _own(prices.cache_write_5m, prices.input)
        + usage.cache_write_1h * _own(prices.cache_write_1h, prices.input)
        + (usage.output - audio_out - thought) * prices.output
        + audio_out * _own(prices.audio_output, prices.output)
        + thought * _own(prices.reasoning, prices.output)
    )
    unpriced = False
    for count, each in (
        (requests, prices.request or 0),
        (usage.search_requests, prices.search),
        (images, prices.image),
    ):
        if each is None:
            unpriced = unpriced or count > 0
        else:
            exact += count * each * _SCALE
    return Cost(_rounded(exact), unpriced)


def price_version(prices: Prices) -> str:
    """The same for the same numbers, source and date; another for any other."""
    return hashlib.sha256(msgspec.json.encode(prices)).hexdigest()[:_VERSION_DIGITS]


def usd(nano_usd: int) -> str:
    """Dollars as a plain decimal, exact: ``0.00123`` for 1,230,000."""
    sign = "-" if nano_usd < 0 else ""
    whole, part = divmod(abs(nano_usd), 10**9)
    decimals = f".{part:09d}".rstrip("0") if part else ""
    return f"{sign}{whole}{decimals}"


def _own(own: int | None, other: int) -> int:
    return other if own is None else own


def _rounded(exact: int) -> int:
    """``exact`` over a million, half to even."""
    whole, rest = divmod(exact, PER_TOKENS)
    twice = 2 * rest
    return whole + (twice > PER_TOKENS or (twice == PER_TOKENS and whole % 2 == 1))
