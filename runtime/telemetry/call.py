"""The facts of one call, gathered while it runs and final when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from runtime.canonical import Usage
from runtime.telemetry.trail import AttemptRecord, Note, Skipped, Step

__all__ = ["CallRecord", "Held", "Outcome", "Remembered", "Settled", "Wanted"]

Outcome = Literal["ok", "error", "client_closed", "cancelled"]


class Wanted(Protocol):
    """What a request needs of who answers it, as far as it was looked at."""

    @property
    def uses(self) -> frozenset[str]: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def key(self) -> str: ...


class Remembered(Protocol):
    """What was remembered of a call's session, where that had a part in where it went."""

    @property
    def connections(self) -> Mapping[str, str]: ...
    @property
    def target(self) -> str | None: ...
    @property
    def keeps_target(self) -> bool: ...


class Settled(Protocol):
    """What limits keep aside until it is known what was used."""

    def settle(self, tokens: int, nano_usd: int) -> None:
        """So much of it was used. Only the first time counts."""
        ...


class Held(Settled, Protocol):
    """What limits keep aside for a call while it runs. ``measured``: one of them is of tokens or of money."""

    measured: bool

    def due(self, received_bytes: int) -> bool:
        """Whether a stream of which so much came may have taken all of it."""
        ...

    async def grow(self, output_tokens: int, received_bytes: int) -> None:
        """An answer of about so many tokens came; keep more aside if it needs more. Raises LimitReached."""
        ...

    async def again(self, paid: int) -> None:
        """Somebody is asked, after so many who may want money for it. Raises LimitReached."""
        ...


class CallRecord(msgspec.Struct):
    """Grows as the call goes on; the one mutable value on the request path. Times are seconds of a monotonic clock.

    ``model`` is the public name the client asked for, ``served`` the public id of the target, ``upstream_status`` None
    until a provider answered. ``error`` is `GatewayError.kind`. What is said of a target (``served``, ``provider``, …) is
    said of the last one asked; ``attempts`` holds them all, in order. ``decision`` is the id under which it can be
    explained, ``tenant`` is whose the key is, ``rescues`` is how often somebody else went on with an answer that broke off, ``trail`` what led it where it went; ``surface`` and ``endpoint`` are what its name was looked up for. Holds
    neither prompts nor secrets.
    ``replay`` says whence an answer came that no model made for this call: `idempotent`, `exact`, `semantic`; `miss` where a
    cache had none.
    ``combo`` is the one that the model's name leads to. ``settlement`` is the call's id in the ledger, ``settled`` whether it is
    there, with ``cost_nano_usd``, which is not all of it where something was ``unpriced``. A ``part`` of a call is settled with it.
    ``held`` is what limits keep aside for it, ``held_by_parts`` what for its parts, ``counters`` what policies count it for, beside its key, tenant and combo,
    ``admitted`` how many requests it is for limits, once it is ``let_in``.
    """

    id: str
    operation: str
    protocol: str
    started_s: float
    settlement: str = ""
    key: str = ""
    tenant: str = "default"
    model: str = ""
    served: str = ""
    provider: str = ""
    connection: str = ""
    upstream_protocol: str = ""
    stream: bool = False
    passed_through: bool = False
    first_token_s: float | None = None
    ended_s: float = 0.0
    status: int = 0
    upstream_status: int | None = None
    outcome: Outcome = "ok"
    error: str | None = None
    usage: Usage | None = None
    losses: tuple[str, ...] = ()
    replay: str = ""
    session: str = ""
    session_step: str = ""
    attempts: list[AttemptRecord] = []
    skipped: list[Skipped] = []
    rescues: int = 0
    decision: str = ""
    surface: str = ""
    endpoint: str = ""
    needs: Wanted | None = None
    remembered: Remembered | None = None
    trail: list[Step] = []
    combo: str = ""
    settled: bool = False
    part: bool = False
    held: Held | None = None
    held_by_parts: Settled | None = None
    counters: tuple[str, ...] = ()
    admitted: int = 1
    let_in: bool = False
    cost_nano_usd: int = 0
    unpriced: bool = False

    def attempted(self, attempt: AttemptRecord) -> None:
        """A target is asked."""
        self.attempts.append(attempt)
        self.trail.append(attempt)

    def skip(self, skipped: Skipped) -> None:
        """A target is not asked."""
        self.skipped.append(skipped)
        self.trail.append(skipped)

    def note(self, kind: str, text: str, target: str = "", connection: str = "") -> None:
        """Something else had a part in where the call went: say in a word what, and in a sentence why.

        It is shown, in its turn, to whoever asks for the reasons (`GET /api/explain/{id}`): no prompts, no secrets.
        """
        self.trail.append(Note(kind, text, target, connection))
