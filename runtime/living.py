"""What runs beside the calls as long as the worker lives: who follows the store, sweeps, tells others, and closes at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial

from runtime.lasting import Lasting
from runtime.lifespan import Job, Life, beside, closing, overhearing, persistent
from runtime.limits.sweeping import keep_spent_swept
from runtime.replay.parts import Memory
from runtime.resilience.quota_news import tell_quotas
from runtime.services.budget_news import BudgetNews
from runtime.services.keyring import GoodKeys
from runtime.services.retention import keep_audit_swept, keep_swept
from runtime.stores.base import StoreError

__all__ = ["lives"]


def lives(parts: Lasting) -> list[Life]:
    """What begins and ends with the worker."""

    def beside_calls(*jobs: Job) -> Life:
        return beside(*(persistent(job, parts.on_fault) for job in jobs))

    found = [
        closing(parts.lines),
        overhearing(parts.on_fault),
        closing(parts.shared),
        closing(parts.database),
        closing(parts.reserves),
        beside_calls(parts.reserves.run, partial(keep_spent_swept, parts.spending, time.time, asyncio.sleep)),
        closing(parts.drain),
        beside_calls(parts.drain.run),
        beside_calls(BudgetNews(lambda: parts.access.good, parts.spending, time.time, lambda: parts.log).run),
        closing(parts.passwords),
        _keys_life(parts.good_keys),
        _memory_life(parts.memory),
        _limits_life(parts),
    ]
    if not parts.alone:
        quotas = partial(tell_quotas, parts.attempts.health, parts.worker, parts.colleagues, asyncio.sleep)
        found += [beside_calls(parts.sharing.run, parts.colleagues.listen, quotas)]
    audit = partial(keep_audit_swept, parts.audit.store, lambda: parts.plan.audit, time.time, parts.on_fault)
    found.append(beside_calls(audit))
    if parts.runs is not None and parts.responses is not None:
        sweep = partial(keep_swept, parts.responses, lambda: parts.plan.responses, time.time, parts.on_fault)
        found += [closing(parts.runs), beside_calls(sweep)]
    return found


def _keys_life(good: GoodKeys) -> Life:
    """Knows the stored keys before the worker is ready, and follows their changes while it lives.

    Without the store it begins with what was heard of it last, as the workers do that it joins.
    """

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        try:
            await good.refresh()
        except StoreError:
            await good.recall()
        try:
            async with beside(good.run)():
                yield
        finally:
            with suppress(StoreError):  # when a key was last used is no loss; that the store fails was said
                await good.note_used()

    return life


def _memory_life(memory: Memory) -> Life:
    """The model in this process is loaded before the worker is ready."""

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        try:
            await memory.start()
            yield
        finally:
            await memory.aclose()

    return life


def _limits_life(parts: Lasting) -> Life:
    """What limits begin from is there before the worker is ready, and what counts them was asked, if they answer.

    A counter begins with what the ledger has: what a worker used that died is in its journal, and would be granted anew. Where that
    takes longer than a start should, calls that need such a counter are refused meanwhile (`WholeLedger`).
    """

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        await parts.drain.begun()
        await parts.reserves.look()
        yield

    return life
