"""The rows of the ledger, as they are settled, journalled and kept: one per attempt that was sent, one per request.

Small on the wire: the journal holds them as arrays, in the order of their fields. A field that is added comes last, with a
default, so that a journal of the release before can be read.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from runtime.canonical import Usage

__all__ = ["COUNTS", "NO_COUNTS", "AttemptEntry", "Counts", "Settlement", "counts_of", "usage_of"]

COUNTS: Final = (
    "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_input", "audio_output",
    "image_input", "accepted_prediction", "rejected_prediction", "search_requests",
)  # fmt: skip
"""What is counted, as `Usage` has it, in the order in which rows hold it."""

Counts: TypeAlias = tuple[int, ...]

NO_COUNTS: Final[Counts] = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class AttemptEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request that was sent to a provider.

    ``number`` orders the attempts of one request, and no two of them share one. ``target`` is the model's public id. ``outcome`` is `ok`,
    `cancelled`, `lost` (whoever made it died before it ended) or the kind of an error; ``status`` 0 where there was none.
    ``estimated``: a count of ours stands where the provider gave none. ``unpriced``: something of it has no price, and
    ``cost_nano_usd`` is the rest. ``price_version`` is empty where there are no prices.
    """

    number: int
    at_s: float
    target: str
    provider: str
    connection: str
    outcome: str
    status: int
    duration_ms: int
    counts: Counts
    estimated: bool
    cost_nano_usd: int
    unpriced: bool
    price_version: str
    requests: int = 1
    images: int = 0


class Settlement(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """What one request came to: the sum of its attempts.

    ``at_s`` is when it began, in Unix seconds. ``model`` is the name the client asked for, ``combo`` the one behind it, ``target`` and what
    follows are of the last attempt. ``replay`` says whence an answer came that no model made for it: `idempotent`, `exact`,
    `semantic`. ``first_token_ms`` is -1 where there was none. ``counters`` are those of limits that it counts for, ``admitted`` is how many
    requests it is for them: a batch of prompts is many, and what is only counted or reported is none. ``let_in`` is whether it was, so that it
    is a request for them though nobody was there to be asked.
    """

    id: str
    at_s: float
    request_id: str
    decision: str
    tenant: str
    key: str
    operation: str
    protocol: str
    model: str
    combo: str
    target: str
    provider: str
    connection: str
    session: str
    stream: bool
    replay: str
    rescues: int
    outcome: str
    error: str
    status: int
    duration_ms: int
    first_token_ms: int
    counts: Counts
    estimated: bool
    cost_nano_usd: int
    unpriced: bool
    attempts: tuple[AttemptEntry, ...]
    counters: tuple[str, ...] = ()
    admitted: int = 1
    let_in: bool = False

    @property
    def tokens(self) -> int:
        """Sent and answered."""
        return sum(self.counts[:5])

    @property
    def nano_usd(self) -> int:
        return self.cost_nano_usd


def counts_of(usage: Usage | None) -> Counts:
    """As rows hold it."""
    if usage is None:
        return NO_COUNTS
    return (
        usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.reasoning,
        usage.audio_input, usage.audio_output, usage.image_input, usage.accepted_prediction, usage.rejected_prediction,
        usage.search_requests,
    )  # fmt: skip


def usage_of(counts: Counts, *, estimated: bool = False) -> Usage:
    """As everybody else has it."""
    return Usage(**dict(zip(COUNTS, counts, strict=True)), estimated=estimated, tier="")
