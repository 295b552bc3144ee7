"""The audit log over HTTP: who changed what, for those who may see it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from generated.types.compliance import AuditRecord
from runtime.errors import InvalidRequest, RouteUnavailable
from runtime.services.entrance import Entrance
from runtime.stores.audit import AuditEntry, AuditQuestion, SqlAudit
from runtime.stores.base import StoreError
from runtime.web.exchange import Exchange
from runtime.web.header import KEPT_BY_NOBODY
from runtime.web.place import Places

__all__ = ["Compliance"]

MAX_LIMIT: Final = 500
MAX_OFFSET: Final = 10_000
MAX_DIGITS: Final = 9
STATUSES: Final = ("success", "refused", "failed")


class Compliance:
    """Implements `generated.api.compliance.ComplianceService`. ``pepper`` seals where pages begin."""

    def __init__(self, store: SqlAudit, entrance: Entrance, pepper: bytes) -> None:
        self._store = store
        self._places = Places(pepper, "audit-log")
        self._entrance = entrance

    async def list_audit_log(self, exchange: Exchange) -> None:
        caller = await self._entrance.enter(exchange)
        query = exchange.query
        status = query.get("status")
        if status is not None and status not in STATUSES:
            raise InvalidRequest(f"status: one of {', '.join(STATUSES)}", param="status")
        before = query.get("before")
        question = AuditQuestion(
            action=query.get("action"),
            actor=query.get("actor"),
            target=query.get("target"),
            resource_type=query.get("resourceType"),
            status=status,
            request_id=query.get("requestId"),
            tenant=caller.tenant_filter(query.get("company_id")),
            from_s=_time(query.get("from"), "from"),
            to_s=_time(query.get("to"), "to"),
            limit=_number(query.get("limit", "50"), "limit", 1, MAX_LIMIT),
            offset=_number(query.get("offset", "0"), "offset", 0, MAX_OFFSET),
            before=None if before is None else int.from_bytes(self._places.read(before, "before"), "big"),
        )
        try:
            found = await self._store.find(question)
        except StoreError as error:
            raise RouteUnavailable("the audit log cannot be read now", retry_after_s=1) from error
        headers = [
            ("content-type", "application/json"),
            KEPT_BY_NOBODY,
            ("x-request-id", exchange.request_id),
            ("x-total-count", str(found.total)),
            ("x-page-limit", str(question.limit)),
            ("x-page-offset", str(question.offset)),
        ]
        if found.before is not None:
            headers.append(("x-page-before", self._places.told(found.before.to_bytes(8, "big"))))
        await exchange.respond(200, headers, msgspec.json.encode([_shown(entry) for entry in found.entries]))


def _shown(entry: AuditEntry) -> AuditRecord:
    details = dict(msgspec.to_builtins(entry.details))
    return AuditRecord(
        id=entry.id,
        timestamp=datetime.fromtimestamp(entry.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        action=entry.action,
        actor=entry.actor,
        target=entry.target,
        details=details,
        metadata=details,
        company_id=entry.tenant,
        ip_address=entry.ip,
        ipAddress=entry.ip,
        resource_type=entry.resource_type,
        resourceType=entry.resource_type,
        status=entry.status,
        request_id=entry.request_id,
        requestId=entry.request_id,
    )


def _number(text: str, name: str, least: int, most: int) -> int:
    digits = text.lstrip("0") or "0"
    if not text.isascii() or not text.isdecimal() or len(digits) > MAX_DIGITS or not least <= int(digits) <= most:
        raise InvalidRequest(f"{name}: a whole number from {least} to {most}", param=name)
    return int(digits)


def _time(text: str | None, name: str) -> float | None:
    """Unix seconds. A time without a zone could be anybody's, and is refused."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # what `+02:00` becomes in a query
        if at.tzinfo is not None:
            return at.timestamp()
    except (ValueError, OverflowError):
        pass
    raise InvalidRequest(f"{name}: a time such as 2026-11-29T12:00:00Z", param=name)
