"""Letting calls in under limits: what one may take at the most is kept aside before anything is sent, and let go after it.

Knows neither protocols nor targets. A call without limits costs one look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from typing_extensions import override

from generated.config import LimitSettings
from runtime.errors import BudgetExceeded, LimitExceeded, PermissionDenied, RouteUnavailable
from runtime.limits.base import CountersGoneError
from runtime.limits.bound import Bound
from runtime.limits.reserves import ExceededError, Reserves
from runtime.limits.rule import Rule, Want
from runtime.limits.rules import Rulings
from runtime.telemetry import CallRecord
from runtime.telemetry.call import Held, Settled
from runtime.web.key import KeyRecord
from runtime.window import Measure, dollars

__all__ = ["Admission", "LimitReached", "Reservation", "Standing", "Together"]

MORE: Final = 4
"""A stream that takes more than was kept aside for it asks for a quarter of that more."""

LEAST_MORE: Final = 256
"""Tokens, at least."""

BYTES_PER_TOKEN: Final = 4
"""Of a stream, at least: with what is around it, no token takes fewer."""

_MEASURED: Final = frozenset({"tokens", "usd"})

BRIEFLY_S: Final = 1.0
"""When to ask again for what calls that run now keep aside."""


class Standing(msgspec.Struct, frozen=True):
    """How a limit stands, for whom it holds: at most ``limit``, ``left`` of it, all of it again in ``reset_s``."""

    of: Measure
    limit: int
    left: int
    reset_s: float


class LimitReached(LimitExceeded):
    """``standings`` are those of the limits of requests and tokens that are nearest their ends, ``at_s`` is when."""

    standings: tuple[Standing, ...] = ()
    at_s: float = 0.0


class BudgetReached(LimitReached, BudgetExceeded):
    """The limit is one of money."""


class TooMuch(LimitReached):
    """What was asked for is more than the whole limit: waiting does not help."""

    retryable = False


class Reservation(Held):
    """What is kept aside for one call.

    Attributes:
        wants: how much of what.
        now: how much each counter had, with that, when it was kept aside.
    """

    def __init__(
        self, admission: Admission, wants: tuple[Want, ...], bound: Bound | None, now: tuple[int, ...]
    ) -> None:
        self._admission = admission
        self.wants = wants
        self._bound = bound
        self.now = now
        self._output_tokens = 0 if bound is None else bound.output_tokens
        self._over = bound is None
        self.measured = bound is not None
        self._asked = 1 if bound is None else bound.at_once
        self._check_bytes = self._output_tokens * BYTES_PER_TOKEN
        self._settled = False

    @override
    def settle(self, tokens: int, nano_usd: int) -> None:
        if self._settled:
            return
        self._settled = True
        used, told = {"tokens": tokens, "usd": nano_usd}, set[Rule]()

        def once(rule: Rule) -> int:
            """What grew is kept aside in pieces, and used in one."""
            known = rule in told
            told.add(rule)
            return 0 if known else used.get(rule.limit.of, 0)

        self._admission.reserves.give_back(self.wants, once)

    @override
    def due(self, received_bytes: int) -> bool:
        return received_bytes > self._check_bytes and not self._over

    @override
    async def grow(self, output_tokens: int, received_bytes: int) -> None:
        bound = self._bound
        assert bound is not None, "only what is bound is due"
        if output_tokens <= self._output_tokens:
            left = self._output_tokens - output_tokens
            self._check_bytes = received_bytes + max(LEAST_MORE, left) * BYTES_PER_TOKEN
            return
        more = max(LEAST_MORE, self._output_tokens // MORE, output_tokens - self._output_tokens)
        amounts = {"tokens": more, "usd": bound.output_nano_usd(more)}
        if not await self._more(amounts, "the answer was stopped: "):
            self._over = True
            return
        self._output_tokens += more
        self._check_bytes = received_bytes + more * BYTES_PER_TOKEN

    @override
    async def again(self, paid: int) -> None:
        bound = self._bound
        if bound is None or paid < self._asked:
            return
        amounts = {"tokens": bound.input_tokens // bound.at_once, "usd": bound.input_nano_usd // bound.at_once}
        await self._more(amounts, "nobody else is asked: ")
        self._asked = paid + 1

    async def _more(self, amounts: Mapping[str, int], begin: str) -> bool:
        """Keep more aside; whether there was anything to. Raises LimitReached, RouteUnavailable."""
        wants = tuple(
            Want(rule, amount)
            for rule in dict.fromkeys(want.rule for want in self.wants)
            if (amount := amounts.get(rule.limit.of, 0)) > 0
        )
        if not wants:
            return False
        try:
            await self._admission.reserves.take(wants)
        except ExceededError as error:
            raise self._admission.refusal(error, begin) from error
        except CountersGoneError as error:
            raise RouteUnavailable(f"{begin}limits cannot be counted at the moment", retry_after_s=1) from error
        if self._settled:  # while it was asked
            self._admission.reserves.give_back(wants, lambda _: 0)
        else:
            self.wants += wants
        return True

    def standings(self) -> tuple[Standing, ...]:
        """Of the limits of requests and of tokens, those that are nearest their ends."""
        return self._admission.nearest((want.rule, now) for want, now in zip(self.wants, self.now, strict=False))


class Together(Settled):
    """What is kept aside for the parts of one call, which are settled as one."""

    def __init__(self, parts: Sequence[Settled]) -> None:
        self._parts = parts

    @override
    def settle(self, tokens: int, nano_usd: int) -> None:
        for number, part in enumerate(self._parts):
            part.settle(*((0, 0) if number else (tokens, nano_usd)))


class Admission:
    """Of one plan. ``refused`` is told which limit of whom was in the way.

    Attributes:
        concerns: whether limits may hold for calls with a key.
    """

    def __init__(
        self,
        rulings: Rulings,
        settings: LimitSettings,
        reserves: Reserves,
        now_ms: Callable[[], int],
        refused: Callable[[str, str], None] = lambda _of, _whose: None,
    ) -> None:
        self._rulings = rulings
        self.concerns = rulings.concern
        self._settings = settings
        self.reserves = reserves
        self._now_ms = now_ms
        self._refused = refused

    def bars(self, key: KeyRecord, model: str, combo: str, sole: str) -> bool:
        """Whether a policy forbids the model, for which `admit` refuses."""
        return self._rulings.of(key, model, combo, sole).barred is not None

    def allow(self, record: CallRecord, key: KeyRecord, sole: str) -> None:
        """Refuse a model that a policy forbids, as `admit` does; for what no limit counts."""
        barred = self._rulings.of(key, record.model, record.combo, sole).barred
        if barred is not None:
            raise _forbidden(record, barred)

    async def admit(
        self, record: CallRecord, key: KeyRecord, sole: str, bound: Callable[[], Bound], *, request: bool = True
    ) -> Reservation | None:
        """What is kept aside for the call; None where nothing limits it. ``sole`` is the only model that could answer.

        Without ``request`` it is a part of another one, which nobody asked for: it takes tokens and money only, of whatever model.

        Raises LimitReached, PermissionDenied for a model that is barred or has no price, RouteUnavailable.
        """
        ruling = self._rulings.of(key, record.model, record.combo, sole)
        if request and ruling.barred is not None:
            raise _forbidden(record, ruling.barred)
        rules = ruling.rules if request else tuple(rule for rule in ruling.rules if rule.limit.of in _MEASURED)
        if not rules:
            return None
        record.counters = ruling.counters
        measured = any(rule.limit.of in _MEASURED for rule in rules)
        most = bound() if measured else None
        try:
            wants, now = await self._take(record, rules, most)
        except ExceededError as error:
            record.counters = ()
            record.note("limit", f"{error.rule.limit.words} for {error.rule.whose}: not enough is left")
            raise self.refusal(error) from error
        except CountersGoneError as error:
            record.counters = ()
            record.note("limit", "limits cannot be counted at the moment")
            raise RouteUnavailable("limits cannot be counted at the moment; try again", retry_after_s=1) from error
        record.note("limit", "kept aside: " + ", ".join(_said(want) for want in wants))
        reservation = Reservation(self, wants, most, now)
        record.held = reservation
        return reservation

    def charge(self, record: CallRecord, key: KeyRecord) -> None:
        """Count what was used already, whether or not there is enough left: settling ``record`` says how much."""
        ruling = self._rulings.of(key, record.model, "", record.model)
        record.counters = ruling.counters
        wants = tuple(Want(rule, 0) for rule in ruling.rules if rule.limit.of in _MEASURED)
        record.held = Reservation(self, wants, None, ()) if wants else None

    def refusal(self, error: ExceededError, begin: str = "") -> LimitReached:
        """What the client is told. Nothing of it is about others."""
        rule, now_ms = error.rule, self._now_ms()
        self._refused(rule.limit.of, rule.subject.partition("/")[0])
        wait_s: float | None = BRIEFLY_S
        if error.due_ms is not None:
            wait_s = max(BRIEFLY_S, (error.due_ms - now_ms) / 1000)
        elif error.never:
            wait_s = None
        hindered = "is less than the call may take" if error.never else "is reached"
        message = f"{begin}the limit of {rule.limit.words} for {rule.whose} {hindered}"
        if rule.limit.of in {"tokens", "usd"}:
            left = f"${dollars(error.left)}" if rule.limit.of == "usd" else f"{error.left} tokens"
            message += f": {left} of it is left"
            if error.never:
                message += "; fewer output tokens may fit"
            elif error.due_ms is None:
                message += " beside what running calls may take; fewer output tokens may fit"
            elif error.left > 0 and not begin:
                message += "; fewer output tokens may fit"
        reached = _kind(error)(message, retry_after_s=wait_s)
        reached.at_s = now_ms / 1000
        reached.standings = tuple(
            msgspec.structs.replace(each, reset_s=max(each.reset_s, wait_s or 0))
            for each in self.nearest([(rule, rule.limit.amount - error.left)])
        )
        return reached

    def nearest(self, standing: Iterable[tuple[Rule, int]]) -> tuple[Standing, ...]:
        """Of requests and of tokens the limit of which the smallest part is left."""
        now_ms, found = self._now_ms(), dict[Measure, tuple[float, Standing]]()
        for rule, now in standing:
            limit = rule.limit
            if limit.of not in {"requests", "tokens"}:
                continue
            left = max(0, limit.amount - now)
            part = left / limit.amount
            if limit.of not in found or part < found[limit.of][0]:
                reset_s = max(0, rule.full_ms(now_ms) - now_ms) / 1000
                found[limit.of] = (part, Standing(limit.of, limit.amount, left, reset_s))
        return tuple(each for _, each in found.values())

    async def _take(
        self, record: CallRecord, rules: tuple[Rule, ...], bound: Bound | None
    ) -> tuple[tuple[Want, ...], tuple[int, ...]]:
        """With less than the bound where nobody limits the answer and that is all there is."""
        wants = [Want(rule, self._amount(rule, bound, record)) for rule in rules]
        wants = [want for want in wants if want.amount > 0]
        for _ in range(len(wants)):
            try:
                return tuple(wants), await self.reserves.take(tuple(wants))
            except ExceededError as error:
                if bound is None or not bound.open or not _enough(error, bound):
                    raise
                wants = [Want(each.rule, error.left) if each.rule is error.rule else each for each in wants]
        return tuple(wants), await self.reserves.take(tuple(wants))

    def _amount(self, rule: Rule, bound: Bound | None, record: CallRecord) -> int:
        match rule.limit.of:
            case "requests" | "concurrency":
                return 1
            case "tokens":
                assert bound is not None, "made for those that count tokens or money"
                return bound.tokens
            case "usd":
                assert bound is not None, "made for those that count tokens or money"
                if bound.unpriced is not None and self._settings.unpriced == "refuse":
                    record.note("limit", f"no price of {bound.unpriced} is known, and a limit in dollars holds")
                    raise PermissionDenied(
                        f"a limit in dollars holds for {rule.whose}, and no price of {bound.unpriced!r} is known",
                        param="model",
                    )
                return bound.nano_usd


def _forbidden(record: CallRecord, policy: str) -> PermissionDenied:
    record.note("limit", f"the policy {policy!r} does not allow the model")
    return PermissionDenied(
        f"the policy {policy!r} does not allow the model {record.model!r} to this key", param="model"
    )


def _enough(error: ExceededError, bound: Bound) -> bool:
    """Whether what is left pays for the request and the beginning of an answer."""
    least = min(LEAST_MORE, bound.output_tokens)
    if error.rule.limit.of == "tokens":
        return error.left >= bound.input_tokens + least
    return error.rule.limit.of == "usd" and error.left >= bound.input_nano_usd + bound.output_nano_usd(least)


def _kind(error: ExceededError) -> type[LimitReached]:
    """A budget that is spent, and what never fits, are no reason to try again; what running calls keep aside is."""
    if error.rule.limit.of == "usd" and (error.never or error.due_ms is not None):
        return BudgetReached
    return TooMuch if error.never else LimitReached


def _said(want: Want) -> str:
    limit = want.rule.limit
    if limit.of == "usd":
        return f"${dollars(want.amount)} of {limit.words} ({want.rule.subject})"
    return f"{want.amount} of {limit.words} ({want.rule.subject})"
