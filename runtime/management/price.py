"""Prices as the management API has them, in dollars as numbers, and as gateway.yaml has them, as decimal text.

A price is a decimal number from end to end: what a client writes as 0.075 never passes through a binary fraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from generated.types.pricing import ModelPrices
from runtime.catalog import Prices
from runtime.errors import InvalidRequest
from runtime.management.body import Document, settings_of
from runtime.source import closest

__all__ = ["PRICES", "TOKENS", "price_document", "restored", "shown_prices", "written_prices"]

PRICES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input": "input",
        "output": "output",
        "cached": "cache_read",
        "cache_creation": "cache_write_5m",
        "cache_creation_1h": "cache_write_1h",
        "reasoning": "reasoning",
        "audio_input": "audio_input",
        "audio_output": "audio_output",
        "image": "image",
        "request": "request",
        "search": "search",
        "long_above": "long_above",
        "long_input": "long_input",
        "long_output": "long_output",
        "flex_input": "flex_input",
        "flex_output": "flex_output",
        "priority_input": "priority_input",
        "priority_output": "priority_output",
        "fast_input": "fast_input",
        "fast_output": "fast_output",
    }
)
"""The API's words for the kinds of price, and gateway.yaml's."""

TOKENS: Final = frozenset({"long_above"})
"""Those that are no price but a number of tokens."""

NANO: Final = 10**9
MAX_USD: Final = Decimal(10**9)
MAX_TOKENS: Final = 2**31 - 1


def price_document(
    fields: Mapping[str, object],
    before: Mapping[str, object],
    files: Mapping[str, object],
    path: str,
    source: str,
    date: str,
) -> Document:
    """What gateway.yaml says of a model's prices once ``fields`` have changed what it said ``before``; empty where nothing.

    A price that is taken back is again what the ``files`` say. ``source`` and ``date`` are noted with numbers that are not
    theirs. Raises InvalidRequest that names the field below ``path``.
    """
    document: Document = {name: value for name, value in before.items() if name not in {"source", "date"}}
    for name, value in fields.items():
        own = PRICES.get(name)
        if own is None:
            near = closest(name, PRICES)
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(PRICES)}"
            raise InvalidRequest(f"{path}.{name}: there is no such price; {hint}", param=f"{path}.{name}")
        if value is None and own in files:
            document[own] = files[own]
        elif value is None:
            document.pop(own, None)
        else:
            document[own] = (_tokens if own in TOKENS else _usd)(value, f"{path}.{name}")
    if document == {name: value for name, value in files.items() if name not in {"source", "date"}}:
        return dict(files)
    return {**document, "source": source, "date": date} if document else {}


def restored(entry: Mapping[str, object], files: Mapping[str, object], model: str | None) -> Document:
    """``entry``, a provider's, with the prices that the ``files`` give, of one model or of all.

    What then says nothing of a model, as the files do not, goes with the prices.
    """
    written, theirs = settings_of(entry.get("models")), settings_of(files.get("models"))
    models: Document = {}
    for name in written:
        said = settings_of(written[name])
        if model is not None and name != model:
            models[name] = written[name]
            continue
        rest = {key: value for key, value in said.items() if key != "prices"}
        prices = written_prices(files, name)
        if prices:
            models[name] = {**rest, "prices": dict(prices)}
        elif rest or "prices" not in said or name in theirs:
            models[name] = rest
    rest = {key: value for key, value in entry.items() if key != "models"}
    return {**rest, "models": models} if models else rest


def shown_prices(prices: Prices | None) -> ModelPrices:
    """``prices`` in dollars."""
    answer = ModelPrices()
    if prices is not None:
        for word, own in PRICES.items():
            nano_usd = getattr(prices, own)
            if isinstance(nano_usd, int):
                setattr(answer, word, nano_usd if own in TOKENS else nano_usd / NANO)
    return answer


def written_prices(entry: object, model: str) -> Mapping[str, object]:
    """What a provider's ``entry`` says of the prices of ``model``."""
    return settings_of(settings_of(settings_of(settings_of(entry).get("models")).get(model)).get("prices"))


def _usd(value: object, path: str) -> str:
    """Dollars as gateway.yaml writes them. A JSON number counts as it is written, as far as that can be told."""
    try:
        usd = Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except InvalidOperation:
        usd = None
    if usd is None or not usd.is_finite() or usd < 0 or usd > MAX_USD:
        raise InvalidRequest(f"{path}: expected dollars, a number of at least 0", param=path)
    return f"{usd:f}"


def _tokens(value: object, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_TOKENS:
        raise InvalidRequest(f"{path}: expected a number of tokens, at least 1", param=path)
    return value
