"""What a call may take at the most, before it is sent: the dearest of all the targets that could answer it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Final

import msgspec

from runtime.catalog import Model, Prices, Tier

__all__ = ["Bound", "bound_of"]

UNKNOWN_OUTPUT: Final = 16_384
"""Tokens of an answer whose length nobody limits."""

SEARCHES: Final = 10
_PER_TOKENS: Final = 1_000_000
_PER_CALLS: Final = 1_000


class Bound(msgspec.Struct, frozen=True):
    """``*_tokens`` and ``*_nano_usd`` at the most; ``per_output_nano_usd`` is a million tokens of output.

    So many targets may be asked ``at_once``. ``open``: nobody limits the answer, so that what is kept aside for it may be less. ``unpriced`` is a target whose price is
    not known.
    """

    input_tokens: int
    output_tokens: int
    input_nano_usd: int
    per_output_nano_usd: int
    at_once: int = 1
    open: bool = False
    unpriced: str | None = None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def nano_usd(self) -> int:
        return self.input_nano_usd + self.output_nano_usd(self.output_tokens)

    def output_nano_usd(self, tokens: int) -> int:
        """What so many tokens of output cost, rounded up."""
        return -(-self.per_output_nano_usd * tokens // _PER_TOKENS)


def bound_of(
    models: Iterable[tuple[str, Model]],
    input_tokens: int,
    max_output: int | None,
    *,
    answers: int = 1,
    at_once: int = 1,
    caches: bool = False,
    unasked: Container[str] = (),
    searches: bool = False,
    tiers: Sequence[Tier] = (),
) -> Bound:
    """For targets by their ids.

    ``max_output`` is what the request says, of each of so many ``answers``; ``at_once`` targets may be asked. ``caches`` and
    ``searches``: the request asks for that; targets of ``unasked`` write to a cache whether it does or not. It may be
    served in one of ``tiers``.
    """
    output, input_nano_usd, per_output = 0, 0, 0
    unbounded, unpriced = False, None
    for id_, model in models:
        most = min((each for each in (max_output, model.limits.max_output) if each is not None), default=None)
        unbounded = unbounded or most is None
        output = max(output, UNKNOWN_OUTPUT if most is None else most)
        if model.prices is None:
            unpriced = unpriced or id_
            continue
        writes = caches or id_ in unasked
        for own in (model.prices, *(model.prices.of_tier(tier) for tier in tiers)):
            prices = own.of_prompt(input_tokens)
            input_nano_usd = max(
                input_nano_usd, _input_nano_usd(prices, input_tokens, caches=writes, searches=searches)
            )
            per_output = max(per_output, prices.output, prices.reasoning or 0, prices.audio_output or 0)
    return Bound(
        input_tokens=input_tokens * at_once,
        output_tokens=output * answers * at_once,
        input_nano_usd=input_nano_usd * at_once,
        per_output_nano_usd=per_output,
        at_once=at_once,
        open=unbounded,
        unpriced=unpriced,
    )


def _input_nano_usd(prices: Prices, tokens: int, *, caches: bool, searches: bool) -> int:
    each = max(prices.input, prices.audio_input or 0)
    if caches:
        each = max(each, prices.cache_write_5m or 0, prices.cache_write_1h or 0)
    calls = (prices.request or 0) + (SEARCHES * (prices.search or 0) if searches else 0)
    return -(-each * tokens // _PER_TOKENS) + -(-calls // _PER_CALLS)
