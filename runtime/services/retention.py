"""What is kept goes with age, and before that when there is too much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from generated.config import AuditSettings, ResponseSettings
from runtime.stores.audit import SqlAudit
from runtime.stores.base import ResponseStore, StoreError

__all__ = ["keep_audit_swept", "keep_swept"]

SWEEP_S: Final = 60.0
AUDIT_SWEEP_S: Final = 3600.0


async def keep_audit_swept(
    store: SqlAudit,
    settings: Callable[[], AuditSettings],
    now: Callable[[], float],
    on_fault: Callable[[Exception, str], None],
    every_s: float = AUDIT_SWEEP_S,
) -> None:
    """The same for the audit log: what is older than is wanted goes."""
    while True:
        try:
            await store.sweep(now() - settings().retention_ms / 1000)
        except StoreError as error:
            on_fault(error, "")
        await asyncio.sleep(every_s)


async def keep_swept(
    store: ResponseStore,
    settings: Callable[[], ResponseSettings],
    now: Callable[[], float],
    on_fault: Callable[[Exception, str], None],
    every_s: float = SWEEP_S,
) -> None:
    """Sweep ``store`` again and again, until cancelled, by the ``settings`` of the moment. ``now`` gives Unix seconds."""
    while True:
        try:
            limits = settings()
            await store.sweep(now() - limits.retention_ms / 1000, limits.storage_limit_bytes)
        except StoreError as error:
            on_fault(error, "")
        await asyncio.sleep(every_s)
