"""What one worker keeps aside for its calls, and what it reports of them.

Alone, it counts by itself and a call waits for nothing. With others, everything goes through counters that all share, in turns
that come one after the other: whatever calls want and have used while one is under way goes into the next one together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Literal, Protocol

import msgspec

from runtime.limits.base import (
    SHARE,
    Answer,
    Ask,
    Counters,
    CountersGoneError,
    Outcome,
    Seed,
    Short,
    Taken,
    Turn,
    Unseeded,
    Used,
)
from runtime.limits.memory import MemoryCounters
from runtime.limits.rule import Rule, Want
from runtime.limits.stock import LEASE_MS, Stock, ahead
from runtime.limits.waiting import in_time, tried
from runtime.stores.base import StoreError
from runtime.stores.spending import Span, SpentRow
from runtime.window import Limit

__all__ = ["ExceededError", "Ledgered", "Reserves"]

BEAT_S: Final = 5.0
"""How often a worker that is quiet is heard of."""

GATHER_S: Final = 0.2
"""How long what was used may wait for more of it before it is told."""

NEAR_S: Final = 0.02
"""The same, where a limit is near its end, so that others wait for what is left."""

_NEAR: Final = 8
"""A limit is near its end when no more than this part of it is left."""

SPARED_S: Final = 0.45
"""How long a worker may take to say that a call ended, or to give back what it took in advance: so long it is asked again
before a call too many is refused. Longer than `LEASE_MS` and `GATHER_S` by a turn or two."""

FIRST_S: Final = 0.01
"""Until it is asked again for the first time; then after twice as long."""

AGAIN_S: Final = 0.5
"""After counters were gone."""

ANSWER_S: Final = 1.0
"""How long a call waits for counters, or for what they begin with; from then on they are gone, and nobody waits for them."""

LOOK_S: Final = 3.0
"""How long a worker that starts waits for counters and the ledger before it takes calls without having heard of them."""

_NOBODY: Final = Rule("", "nobody", Limit(of="usd", amount=0, calendar="day"))

_RECALLED_S: Final = 600.0
"""For how long after it was used last a counter is compared with the ledger."""


class Ledgered(Protocol):
    """What the ledger knows of what was used (`runtime.stores.spending`)."""

    async def since(self, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]: ...


class ExceededError(Exception):
    """There is not enough left of ``rule``. ``left`` is what is, ``due_ms`` when to ask again, None: when calls end.

    ``never``: it is more than the limit as a whole.
    """

    def __init__(self, rule: Rule, left: int, due_ms: int | None, *, never: bool = False) -> None:
        super().__init__(rule.counter)
        self.rule = rule
        self.left = left
        self.due_ms = due_ms
        self.never = never


class _Waiting(msgspec.Struct, eq=False):
    wants: tuple[Want, ...]
    outcome: asyncio.Future[Outcome]


class Reserves:
    """``holder`` names the worker. ``alone``: nobody else counts, and ``counters`` lie in memory.

    ``changed`` is told why the counters are gone, and None when they are back.
    """

    def __init__(
        self,
        counters: Counters,
        ledger: Ledgered,
        holder: str,
        now_ms: Callable[[], int],
        *,
        when_unreachable: Literal["refuse", "local"] = "refuse",
        changed: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._counters = counters
        self._alone = counters if isinstance(counters, MemoryCounters) else None
        self._ledger = ledger
        self._holder = holder
        self._now_ms = now_ms
        self.when_unreachable = when_unreachable
        self._changed = changed
        self._spare: MemoryCounters | None = None
        self._waiting: list[_Waiting] = []
        self._held: dict[str, int] = {}
        self._unsaid: set[str] = set()
        self._used: dict[tuple[str, int], Used] = {}
        self._telling: tuple[Used, ...] = ()
        self._number = 0
        self._spare_number = 0
        self._recent: dict[str, tuple[Rule, int]] = {}
        self._stock = Stock()
        self._near = False
        self._ended = False
        self._wake = asyncio.Event()
        self._asked = asyncio.Event()
        self.trouble: str | None = None

    # -- for calls

    async def take(self, wants: tuple[Want, ...]) -> tuple[int, ...]:
        """Keep all of ``wants`` aside; how much each counter has now.

        Raises ExceededError when there is not enough of one, CountersGoneError when nobody can say.
        """
        if self._stock and (drawn := self._stock.draw(wants, self._now_ms())) is not None:
            return drawn
        outcome, waited_s, pause_s = await self._decided(wants), 0.0, FIRST_S
        while isinstance(outcome, Short):
            if waited_s >= self._spared_s(wants[outcome.index], outcome):
                raise self._exceeded(wants, outcome)
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(2 * pause_s, SPARED_S / 4)
            outcome = await self._decided(wants)
        found = zip(wants, outcome.standing, outcome.granted, strict=True)
        return tuple(standing - granted + want.amount for want, standing, granted in found)

    def give_back(self, wants: Iterable[Want], used: Callable[[Rule], int]) -> None:
        """End what was kept aside; ``used`` says how much of each was really used. Never waits."""
        now_ms = self._now_ms()
        told: list[Used] = []
        for want in wants:
            rule = want.rule
            if rule.limit.of == "requests":
                continue  # used when it was asked for
            self._keep(rule.counter, -want.amount)
            if rule.limit.of == "concurrency":
                self._ended = True  # its client may call another worker in a moment
                self._asked.set()
            elif amount := used(rule):
                told.append(rule.used(amount, rule.limit.bucket(now_ms)))
        self._tell(told)

    # -- while the worker lives

    async def look(self) -> None:
        """Ask counters and ledger once, before there are calls.

        The first of them would wait while connections are opened and statements made. What does not answer, or not soon, is
        said to be gone when it is needed.
        """
        asked: list[Awaitable[object]] = [self._seeds((_NOBODY,))]
        if self._alone is None:
            asked.append(self._counters.turn(self._plain((Want(_NOBODY, 0),))))
        await tried(asked, LOOK_S)

    async def run(self) -> None:
        """Until it is cancelled: say what was used, be heard of, and compare with the ledger."""
        loop = asyncio.get_running_loop()
        compared_s = loop.time()
        while True:
            try:
                async with asyncio.timeout(self._within_s(BEAT_S)):
                    await self._wake.wait()
            except TimeoutError:
                pass
            else:
                if self._alone is None and not self._waiting and not self._ended:
                    await self._gather()
            self._ended = False
            self._wake.clear()
            self._put_back(self._stock.over(self._now_ms()))
            if not await self.say():
                await asyncio.sleep(AGAIN_S)
            if loop.time() >= compared_s + BEAT_S:
                compared_s = loop.time()
                oldest_ms = self._now_ms() - round(_RECALLED_S * 1000)
                self._recent = {name: each for name, each in self._recent.items() if each[1] >= oldest_ms}
                await self.compare([rule for rule, _ in self._recent.values()])

    async def _gather(self) -> None:
        """Let more come together that is to be told, longer where nobody waits for it; a call that asks ends that."""
        self._asked.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._within_s(NEAR_S if self._near else GATHER_S)):
                await self._asked.wait()

    def _within_s(self, most_s: float) -> float:
        """Until something goes back that was taken in advance; ``most_s`` at the most."""
        due_ms = self._stock.due_ms
        return most_s if due_ms is None else min(most_s, max(0.0, (due_ms - self._now_ms()) / 1000))

    async def say(self) -> bool:
        """Say and ask all there is, and be heard of; whether that could be done. Whoever keeps nothing aside need not."""
        if self._alone is not None or not self._has_news:
            return True
        return await self._turn()

    async def compare(self, rules: Iterable[Rule]) -> None:
        """Where the ledger knows of more than a counter, as of what a worker used that died, the counter learns it.

        Windows that slide are told apart more finely than the ledger keeps sums; they forget soon.
        """
        lasting = [rule for rule in rules if rule.limit.calendar is not None]
        if not lasting or (self.trouble is not None and self._alone is None):
            return
        try:
            await self._sow(await self._seeds(lasting))
        except (StoreError, CountersGoneError):
            return  # it is said where it is in the way
        if self._alone is not None:
            self._back()

    async def aclose(self) -> None:
        """Say what was used, if it can be said, and let go."""
        self._put_back(self._stock.over(self._now_ms() + LEASE_MS))
        try:
            await self.say()
        finally:
            await self._counters.aclose()

    # -- inside

    @property
    def _has_news(self) -> bool:
        """Whether there is anything to say, to be heard of for, or to try again."""
        said = self._used or self._telling or self._unsaid or self._held
        return bool(self._waiting or said or self.trouble is not None)

    async def _decided(self, wants: tuple[Want, ...]) -> Taken | Short:
        """Whether all of ``wants`` is granted now. Raises CountersGoneError."""
        for _ in range(3):
            try:
                outcome = await self._ask(wants)
            except CountersGoneError:
                if self.when_unreachable == "refuse":
                    raise
                outcome = self._ask_spare(wants)
            if not isinstance(outcome, Unseeded):
                return outcome
            await self._begin([wants[index].rule for index in outcome.indexes])
        raise CountersGoneError("the counters of limits are forgotten as soon as they are begun")

    def _spared_s(self, want: Want, short: Short) -> float:
        """How long it may take until others have given back what stands in the way of ``want``, and what they do not need."""
        limit = want.rule.limit
        if self._alone is not None or self.trouble is not None:
            return 0.0
        if limit.of == "requests":  # those that were taken in advance are counted as used by the end of their time
            lent = (
                ahead(want) and limit.amount > SHARE and max(short.buckets, default=0) >= limit.bucket(self._now_ms())
            )
            return SPARED_S if lent else 0.0
        if limit.of == "concurrency":  # what runs here is known; of what runs elsewhere some may have ended just now
            return SPARED_S if short.held > self._held.get(want.rule.counter, 0) else 0.0
        return SPARED_S if short.held and sum(short.buckets.values()) + want.amount <= limit.amount else 0.0

    async def _ask(self, wants: tuple[Want, ...]) -> Outcome:
        self._recall(wants)
        if self._alone is not None:
            return self._took(wants, self._alone.play(self._plain(wants)).outcomes[0])
        if self.trouble is not None:
            raise CountersGoneError(self.trouble)
        self._put_back(self._stock.without(want.rule.counter for want in wants))
        waiting = _Waiting(wants, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        self._asked.set()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await waiting.outcome
        except TimeoutError:
            if _came(waiting.outcome):  # in the moment the time was up
                return waiting.outcome.result()
            reason = f"no answer within {ANSWER_S:g} s"
            self._gone(reason, ())
            raise CountersGoneError(reason) from None
        except asyncio.CancelledError:
            if _came(waiting.outcome) and isinstance(waiting.outcome.result(), Taken):  # and nobody hears of it
                self.give_back(wants, lambda _: 0)
            raise

    def _ask_spare(self, wants: tuple[Want, ...]) -> Outcome:
        if self._spare is None:
            self._spare, self._spare_number = MemoryCounters(self._now_ms), 0
        return self._took(wants, self._spare.play(self._plain(wants)).outcomes[0])

    def _plain(self, wants: tuple[Want, ...]) -> Turn:
        now_ms = self._now_ms()
        return Turn(holder=self._holder, asks=(tuple(want.rule.ask(want.amount, now_ms) for want in wants),))

    def _took(self, wants: tuple[Want, ...], outcome: Outcome) -> Outcome:
        if isinstance(outcome, Taken):
            for want, amount in zip(wants, outcome.granted, strict=True):
                if want.rule.limit.of != "requests":
                    self._held[want.rule.counter] = self._held.get(want.rule.counter, 0) + amount
        return outcome

    def _put_back(self, lots: Sequence[tuple[Rule, int, int]]) -> None:
        """What was taken in advance and not used."""
        told: list[Used] = []
        for rule, amount, bucket in lots:
            if rule.limit.of == "requests":
                told.append(rule.used(-amount, bucket))
            else:
                self._keep(rule.counter, -amount)
        if lots:
            self._tell(told)

    def _keep(self, counter: str, more: int) -> None:
        held = self._held.get(counter, 0) + more
        if held > 0:
            self._held[counter] = held
        else:
            self._held.pop(counter, None)
        self._unsaid.add(counter)

    def _tell(self, told: Sequence[Used]) -> None:
        for counters in (self._alone, self._spare):
            if counters is not None:
                self._spare_number += 1
                held = {counter: self._held.get(counter, 0) for counter in self._unsaid}
                counters.play(Turn(holder=self._holder, number=self._spare_number, used=tuple(told), held=held))
        if self._alone is not None:
            self._unsaid.clear()
            return
        for each in told:
            before = self._used.get((each.counter, each.bucket))
            amount = each.amount + (0 if before is None else before.amount)
            self._used[each.counter, each.bucket] = Used(each.counter, each.bucket, amount, each.kept_ms)
        self._wake.set()

    async def _turn(self) -> bool:
        """Say and ask all there is; whether it was heard."""
        if not self._telling:
            self._telling, self._used = tuple(self._used.values()), {}
            self._number += bool(self._telling)
        waiting, self._waiting = [each for each in self._waiting if not each.outcome.done()], []
        unsaid, self._unsaid = self._unsaid, set()
        now_ms = self._now_ms()
        turn = Turn(
            holder=self._holder,
            number=self._number,
            used=self._telling,
            held={counter: self._held.get(counter, 0) for counter in unsaid},
            asks=self._asks(waiting, now_ms),
        )
        try:
            answer = await self._counters.turn(turn)
        except CountersGoneError as error:
            self._unsaid |= unsaid | {want.rule.counter for each in waiting for want in each.wants}
            self._gone(str(error), waiting)
            return False
        except BaseException:
            for each in waiting:
                each.outcome.cancel()
            raise
        self._telling = ()
        self._back()
        self._answered(waiting, turn, answer)
        return True

    def _asks(self, waiting: Sequence[_Waiting], now_ms: int) -> tuple[tuple[Ask, ...], ...]:
        """The last that asks for a counter asks for others, too: those who wait already come first."""
        last = {want.rule.counter: number for number, each in enumerate(waiting) for want in each.wants}

        def ask(want: Want, number: int) -> Ask:
            extra = ahead(want) if last[want.rule.counter] == number else 0
            return want.rule.ask(want.amount, now_ms, extra, now_ms + LEASE_MS if extra else 0)

        return tuple(tuple(ask(want, number) for want in each.wants) for number, each in enumerate(waiting))

    def _answered(self, waiting: Sequence[_Waiting], turn: Turn, answer: Answer) -> None:
        if waiting:
            self._near = False
        for each, asks, outcome in zip(waiting, turn.asks, answer.outcomes, strict=True):
            self._took(each.wants, outcome)
            self._stow(each.wants, asks, outcome)
            if not each.outcome.done():
                each.outcome.set_result(outcome)
            elif isinstance(outcome, Taken):  # nobody waits for it any more
                self.give_back(each.wants, lambda _: 0)
        if not answer.known and self._held:
            self._unsaid |= self._held.keys()
            self._wake.set()
        if self._waiting or self._used or self._unsaid:
            self._wake.set()

    def _stow(self, wants: tuple[Want, ...], asks: tuple[Ask, ...], outcome: Outcome) -> None:
        """What came in advance is for the calls that come next."""
        if not isinstance(outcome, Taken):
            self._near = True
            return
        now_ms = self._now_ms()
        for want, ask, amount, standing in zip(wants, asks, outcome.granted, outcome.standing, strict=True):
            self._near = self._near or (ask.limit - standing) * _NEAR < ask.limit
            if amount > ask.amount:
                self._put_back(self._stock.without((want.rule.counter,)))
                self._stock.put(want.rule, amount - ask.amount, ask.bucket, standing, now_ms)

    def _gone(self, reason: str, waiting: Sequence[_Waiting]) -> None:
        if self.trouble is None:
            self._changed(reason)
        self.trouble = reason
        for each in waiting:
            if not each.outcome.done():
                each.outcome.set_exception(CountersGoneError(reason))
        self._wake.set()

    def _back(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            self._spare = None
            self._unsaid |= self._held.keys()
            self._changed(None)

    def _exceeded(self, wants: tuple[Want, ...], short: Short) -> ExceededError:
        want = wants[short.index]
        left = max(0, want.rule.limit.amount - short.held - sum(short.buckets.values()))
        due_ms = want.rule.due_ms(short.buckets, short.held, want.amount, self._now_ms())
        return ExceededError(want.rule, left, due_ms, never=want.amount > want.rule.limit.amount)

    # -- what was used before

    def _recall(self, wants: Iterable[Want]) -> None:
        now_ms = self._now_ms()
        for want in wants:
            if want.rule.limit.of != "concurrency":
                self._recent[want.rule.counter] = (want.rule, now_ms)

    async def _begin(self, rules: Sequence[Rule]) -> None:
        """Let counters begin with what the ledger knows. Raises CountersGoneError."""
        try:
            seeds = await in_time(self._seeds(rules), ANSWER_S)
        except (StoreError, TimeoutError) as error:
            reason = str(error) or f"the ledger does not answer within {ANSWER_S:g} s"
            if self._alone is not None:
                self._gone(reason, ())
            if self.when_unreachable == "refuse":
                raise CountersGoneError(reason) from error
            seeds = tuple(rule.seed((), self._now_ms()) for rule in rules)
        else:
            if self._alone is not None:
                self._back()
        await self._sow(seeds)

    async def _sow(self, seeds: tuple[Seed, ...]) -> None:
        turn = Turn(holder=self._holder, seeds=seeds)
        if self._alone is not None:
            self._alone.play(turn)
            return
        if self._spare is not None:
            self._spare.play(turn)
        if self.trouble is None:
            try:
                answer = await self._counters.turn(turn)
            except CountersGoneError as error:
                self._gone(str(error), ())
                if self.when_unreachable == "refuse":
                    raise
            else:
                self._unsaid |= set() if answer.known else self._held.keys()

    async def _seeds(self, rules: Sequence[Rule]) -> tuple[Seed, ...]:
        now_ms = self._now_ms()
        found = await self._ledger.since([rule.wanted(now_ms) for rule in rules])
        return tuple(rule.seed(rows, now_ms) for rule, rows in zip(rules, found, strict=True))


def _came(outcome: asyncio.Future[Outcome]) -> bool:
    return outcome.done() and not outcome.cancelled() and outcome.exception() is None
