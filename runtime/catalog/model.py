"""Facts about models: capabilities, limits, prices, and which parameters they take."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from runtime.catalog.capability import Capability, Certainty, Endpoint
from runtime.source import NanoUsd

__all__ = ["Limits", "Model", "ParameterRules", "Prices", "Range", "ReasoningFacts", "Tier"]

Tier: TypeAlias = Literal["flex", "priority", "fast"]
"""How a request may be served at another price than usual; `fast` is what Messages calls a speed."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Tokens; None is unknown. ``max_input`` is what may be sent, where it is less than ``context``."""

    context: int | None = None
    max_input: int | None = None
    max_output: int | None = None


class Prices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Integer nano-dollars per million tokens (``request`` and ``search``: per thousand calls; ``image``: per thousand).

    None is "no price of its own": cache reads and writes then cost as input, reasoning as output. A request whose prompt,
    cached tokens included, has more than ``long_above`` tokens costs ``long_input`` and ``long_output`` instead, and
    what else is sent or answered dearer in the same proportion. ``flex_*``, ``priority_*`` and ``fast_*`` are those of requests
    that their provider served in that tier, with all else in proportion, too. ``source`` and ``date`` (YYYY-MM-DD) say where the
    numbers were read and when.
    """

    source: str
    date: str
    input: NanoUsd
    output: NanoUsd
    cache_read: NanoUsd | None = None
    cache_write_5m: NanoUsd | None = None
    cache_write_1h: NanoUsd | None = None
    reasoning: NanoUsd | None = None
    audio_input: NanoUsd | None = None
    audio_output: NanoUsd | None = None
    image: NanoUsd | None = None
    request: NanoUsd | None = None
    search: NanoUsd | None = None
    long_above: int | None = None
    long_input: NanoUsd | None = None
    long_output: NanoUsd | None = None
    flex_input: NanoUsd | None = None
    flex_output: NanoUsd | None = None
    priority_input: NanoUsd | None = None
    priority_output: NanoUsd | None = None
    fast_input: NanoUsd | None = None
    fast_output: NanoUsd | None = None

    @property
    def complaint(self) -> str | None:
        """What contradicts itself."""
        long = self.long_input is not None or self.long_output is not None
        if long and self.long_above is None:
            return "prices of long prompts, and nothing says from how many tokens on: `long_above` is missing"
        if not long and self.long_above is not None:
            return "`long_above` says which prompts are long, and `long_input` and `long_output` are missing"
        return None

    def of_prompt(self, tokens: int) -> Prices:
        """Those of a request whose prompt has so many tokens; where it is a long one, without any for others."""
        if self.long_above is None or tokens <= self.long_above:
            return self
        return msgspec.structs.replace(
            self._at(self.long_input, self.long_output), long_above=None, long_input=None, long_output=None
        )

    def of_tier(self, tier: Tier) -> Prices:
        """Those of a request that was served in ``tier``, without any for others; these where it has no price of its own."""
        at = (self.fast_input, self.fast_output) if tier == "fast" else (self.priority_input, self.priority_output)
        if tier == "flex":
            at = self.flex_input, self.flex_output
        return self if at == (None, None) else self._at(*at)

    def _at(self, into: int | None, out: int | None) -> Prices:
        """With these for input and output, where they are given, and all else in proportion to them."""
        into, out = self.input if into is None else into, self.output if out is None else out
        return msgspec.structs.replace(
            self,
            input=into,
            output=out,
            cache_read=_in_proportion(self.input, into, self.cache_read),
            cache_write_5m=_in_proportion(self.input, into, self.cache_write_5m),
            cache_write_1h=_in_proportion(self.input, into, self.cache_write_1h),
            audio_input=_in_proportion(self.input, into, self.audio_input),
            reasoning=_in_proportion(self.output, out, self.reasoning),
            audio_output=_in_proportion(self.output, out, self.audio_output),
            long_input=_in_proportion(self.input, into, self.long_input),
            long_output=_in_proportion(self.output, out, self.long_output),
            flex_input=None,
            flex_output=None,
            priority_input=None,
            priority_output=None,
            fast_input=None,
            fast_output=None,
        )


def _in_proportion(before: int, after: int, price: int | None) -> int | None:
    """As much dearer as ``after`` is than ``before``."""
    return price if price is None or not before else (price * after + before // 2) // before


class Range(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A number outside is moved to the nearer end."""

    min: float | None = None
    max: float | None = None


class ParameterRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What happens to top-level fields of an upstream request, in its own protocol's names, in this order.

    ``drop`` removes; ``rename`` maps the old name to the new; ``range`` clamps; ``add`` sets a field (JSON text) that is
    absent; ``exclusive`` lists groups of which only the first present is kept.
    """

    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    range: dict[str, Range] = {}
    add: dict[str, str] = {}
    exclusive: tuple[tuple[str, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.drop or self.rename or self.range or self.add or self.exclusive)


class ReasoningFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a model is told to think.

    ``style``: `effort` takes effort words; `budget` a token budget (thinking `enabled`); `adaptive` effort words with
    thinking that the model measures itself. ``efforts`` are the words it knows, weakest first. ``can_disable``: it can be
    told not to think. ``with_tools``: what may be said of effort in a request that has tools: `any` word, nothing
    (`omit`), or only the word `none`, which must then be said.
    """

    style: Literal["effort", "budget", "adaptive"] = "effort"
    efforts: tuple[str, ...] = ("low", "medium", "high")
    can_disable: bool = True
    with_tools: Literal["any", "omit", "none"] = "any"
    min_budget: int = 1024
    max_budget: int | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One model of one provider. ``id`` is the provider's own name for it."""

    id: str
    name: str | None = None
    endpoint: Endpoint = Endpoint.CHAT
    protocol: str | None = None
    has: tuple[Capability, ...] = ()
    lacks: tuple[Capability, ...] = ()
    limits: Limits = Limits()
    prices: Prices | None = None
    parameters: ParameterRules = ParameterRules()
    reasoning: ReasoningFacts | None = None
    released: str | None = None

    def certainty(self, capability: Capability) -> Certainty:
        """Whether the model is known to have ``capability``, known to lack it, or neither."""
        if capability in self.has:
            return Certainty.STATED
        return Certainty.DENIED if capability in self.lacks else Certainty.ASSUMED
