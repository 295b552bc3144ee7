"""Tokens times prices: exact integers, one rounding at the end. Pure.

A price that is not known is never taken for nothing: the cost says that it is `unpriced`.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from runtime.canonical import Usage
from runtime.catalog import Prices

__all__ = ["NOTHING", "Cost", "Rates", "price", "price_version", "rates_of", "usd"]

PER_TOKENS: Final = 1_000_000
PER_CALLS: Final = 1_000
_HALF: Final = PER_TOKENS // 2
_SCALE: Final = PER_TOKENS // PER_CALLS
_VERSION_DIGITS: Final = 16


class Cost(msgspec.Struct, frozen=True, gc=False):
    """``unpriced``: something was used that has no price, and ``nano_usd`` is what the rest costs."""

    nano_usd: int
    unpriced: bool = False


NOTHING: Final = Cost(0)
_UNPRICED: Final = Cost(0, unpriced=True)


class Rates(msgspec.Struct, frozen=True):
    """Prices, with what stands for those that are missing. ``search`` and ``image`` have nothing to fall back on.

    ``long`` are those of prompts that have more than ``long_above`` tokens.
    """

    input: int
    audio_input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    audio_output: int
    reasoning: int
    request: int
    search: int | None
    image: int | None
    long_above: int = 0
    long: Rates | None = None

    def cost(self, usage: Usage, requests: int = 1, images: int = 0) -> Cost:
        """What ``usage`` costs, with ``requests`` answered and ``images`` made. Rounded once, half to even.

        How long the prompts of several requests are is known of all of them together.
        """
        if self.long is not None and usage.total_input > self.long_above * max(requests, 1):
            return self.long.cost(usage, requests, images)
        exact = usage.input * self.input + usage.output * self.output + requests * self.request
        if usage.cache_read:
            exact += usage.cache_read * self.cache_read
        if usage.cache_write_5m or usage.cache_write_1h:
            exact += usage.cache_write_5m * self.cache_write_5m + usage.cache_write_1h * self.cache_write_1h
        if usage.reasoning or usage.audio_input or usage.audio_output:
            exact += self._parts(usage)
        unpriced = False
        if usage.search_requests or images:
            unpriced = bool((usage.search_requests and self.search is None) or (images and self.image is None))
            exact += usage.search_requests * (self.search or 0) + images * (self.image or 0)
        whole, rest = divmod(exact, PER_TOKENS)
        if rest > _HALF or (rest == _HALF and whole % 2):
            whole += 1
        return Cost(whole, unpriced)

    def _parts(self, usage: Usage) -> int:
        """What parts of input and output cost beyond the rest of these. Providers have told of parts that were more than all."""
        audio_in, audio_out = min(usage.audio_input, usage.input), min(usage.audio_output, usage.output)
        thought = min(usage.reasoning, usage.output - audio_out)
        return (
            audio_in * (self.audio_input - self.input)
            + audio_out * (self.audio_output - self.output)
            + thought * (self.reasoning - self.output)
        )


def rates_of(prices: Prices) -> Rates:
    """Cached, reasoning and audio tokens without a price of their own cost as input or output does."""
    return Rates(
        prices.input,
        _own(prices.audio_input, prices.input),
        _own(prices.cache_read, prices.input),
        _own(prices.cache_write_5m, prices.input),
        _own(prices.cache_write_1h, prices.input),
        prices.output,
        _own(prices.audio_output, prices.output),
        _own(prices.reasoning, prices.output),
        (prices.request or 0) * _SCALE,
        None if prices.search is None else prices.search * _SCALE,
        None if prices.image is None else prices.image * _SCALE,
        0 if prices.long_above is None else prices.long_above,
        None if prices.long_above is None else rates_of(prices.of_prompt(prices.long_above + 1)),
    )


def price(usage: Usage, prices: Prices | None, *, requests: int = 1, images: int = 0) -> Cost:
    """What ``usage`` costs at ``prices``; without any, all of it is unpriced."""
    if prices is None:
        used = usage.output or usage.input or usage.total or usage.search_requests or images
        return _UNPRICED if used else NOTHING
    return rates_of(prices).cost(usage, requests, images)


def price_version(prices: Prices) -> str:
    """The same for the same numbers, source and date; another for any other."""
    return hashlib.sha256(msgspec.json.encode(prices)).hexdigest()[:_VERSION_DIGITS]


def usd(nano_usd: int) -> str:
    """Dollars as a plain decimal, exact: ``0.00123`` for 1,230,000."""
    digits = str(abs(nano_usd)).zfill(10)
    told = f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")
    return f"-{told}" if nano_usd < 0 else told


def _own(own: int | None, other: int) -> int:
    return other if own is None else own
