"""Prices that cannot be what they say: per token or per thousand where a million was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from generated.config import PriceSettings
from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.source import NANO_USD

__all__ = ["check_prices"]

_LEAST: Final = NANO_USD // 1000
"""A tenth of a cent per million tokens: ten times below the cheapest model sold; what is less was meant per token."""

_MOST: Final = 2_000 * NANO_USD
"""Three times the dearest model sold, per million tokens."""

_PER_TOKEN: Final = (
    "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_input", "audio_output",
    "long_input", "long_output", "flex_input", "flex_output", "priority_input", "priority_output",
    "fast_input", "fast_output",
)  # fmt: skip


def check_prices(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check the prices that the operator wrote."""
    for path, prices in _written(scope):
        for name in _PER_TOKEN:
            _check(scope, (*path, name), name, getattr(prices, f"{name}_nano_usd"))
        read, full = prices.cache_read_nano_usd, prices.input_nano_usd
        if read is not None and full is not None and read > full:
            message = "cache reads cost more than input that is not cached"
            scope.diagnostics.warn("unlikely-price", scope.at.value(*path, "cache_read"), message, "look at it again")


def _check(scope: Scope, path: tuple[str, ...], name: str, nano_usd: int | None) -> None:
    if nano_usd is None or nano_usd == 0:
        return
    span = scope.at.value(*path)
    if nano_usd < _LEAST:
        million = nano_usd * 1_000_000 / NANO_USD
        message = f"{name}: prices are per million tokens, and this one looks like per token"
        scope.diagnostics.error("bad-price", span, message, f"write {million:.12g}")
    elif nano_usd > _MOST:
        message = f"{name}: ${nano_usd / NANO_USD:,.0f} per million tokens is dearer than any model sold"
        scope.diagnostics.warn("unlikely-price", span, message, "write dollars per million tokens")


def _written(scope: Scope) -> Iterator[tuple[tuple[str, ...], PriceSettings]]:
    for id_, provider in scope.config.providers.items():
        for name, model in provider.models.items():
            if model.prices is not None:
                yield ("providers", id_, "models", name, "prices"), model.prices
