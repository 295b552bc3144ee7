"""Writing the audit log: every operation that changes something says here what it did, or was kept from doing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from runtime.config.checks.clear_text import without_keys
from runtime.stores.audit import AuditEntry, AuditStatus, SqlAudit
from runtime.web.asking import Asking
from runtime.web.key import KeyRecord

__all__ = ["Audit"]

_SECRET_NAME = re.compile(r"(?i)key|secret|token|password|authorization|credential")


class Audit:
    """``asking`` tells which call is being answered, ``now`` gives Unix seconds, ``new_id`` an entry's id."""

    def __init__(
        self, store: SqlAudit, asking: Callable[[], Asking], now: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self.store = store
        self._asking = asking
        self._now = now
        self._new_id = new_id

    async def write(
        self,
        action: str,
        *,
        actor: KeyRecord | str,
        target: str = "",
        resource_type: str = "",
        status: AuditStatus = "success",
        tenant: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Add one entry. Raises StoreError; what must not be done unnoticed is written before it is done.

        ``action`` is `<resource>.<what happened>`, as `key.created` or `auth.login.failed`; ``status`` is `success`,
        `refused` or `failed`. ``tenant`` is the actor's unless it is said. Values below names such as `key` or `password`
        are masked, and so is what looks like a vendor's key; say none all the same.
        """
        await self.store.add(
            self.entry(
                action,
                actor=actor,
                target=target,
                resource_type=resource_type,
                status=status,
                tenant=tenant,
                details=details,
            )
        )

    def entry(
        self,
        action: str,
        *,
        actor: KeyRecord | str,
        target: str = "",
        resource_type: str = "",
        status: AuditStatus = "success",
        tenant: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> AuditEntry:
        """What `write` adds, for those who add it together with what it tells of."""
        asking = self._asking()
        whose = actor.tenant if isinstance(actor, KeyRecord) else "default"
        return AuditEntry(
            id=self._new_id(),
            at_s=round(self._now(), 3),  # as it is shown, so that a time that was read finds it
            action=action,
            actor=actor.id if isinstance(actor, KeyRecord) else actor,
            target=without_keys(target[:500]),
            resource_type=resource_type,
            tenant=whose if tenant is None else tenant,
            status=status,
            request_id=asking.request_id,
            ip=asking.ip,
            details={name: _masked(name, value) for name, value in (details or {}).items()},
        )


def _masked(name: str, value: object) -> object:
    """``value`` as plain data, without what could be a secret."""
    if isinstance(value, str):
        return "…" if _SECRET_NAME.search(name) else without_keys(value)
    if isinstance(value, dict):
        mapping = cast("dict[object, object]", value)
        return {str(key): _masked(str(key), item) for key, item in mapping.items()}
    if isinstance(value, list | tuple):
        return [_masked(name, item) for item in cast("Sequence[object]", value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _masked(name, msgspec.to_builtins(value))
