"""Say what a provider's failed answer means, as one of our errors.

The order: a protocol's own rules (status, vendor's codes and types, then texts they are known for), then the plain
meaning of the status. Knows no body shape: a codec reads its vendor's envelope and passes what it found. Messages that
reach a client are cleaned of keys, account ids and addresses, and are never longer than 500 characters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from runtime.catalog import ErrorRule
from runtime.errors import (
    Conflict,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    RateLimited,
    TooLarge,
    UnsupportedMedia,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
    UpstreamUnavailable,
)  # fmt: skip

__all__ = ["classify", "message_of", "retry_after_s"]

MAX_MESSAGE_CHARS = 500

_BY_KIND: Mapping[str, type[GatewayError]] = MappingProxyType({
    error.kind: error
    for error in (
        InvalidRequest, ContextTooLong, ContentRefused, NotFound, ModelNotFound, Conflict, TooLarge, UnsupportedMedia,
        RateLimited, UpstreamAuthFailed, UpstreamQuotaExceeded, UpstreamTimeout, UpstreamUnavailable,
        UpstreamOverloaded, UpstreamFailed, UpstreamProtocolError,
    )
})  # fmt: skip

_BY_STATUS: Mapping[int, type[GatewayError]] = MappingProxyType(
    {
        400: InvalidRequest,
        401: UpstreamAuthFailed,
        402: UpstreamQuotaExceeded,
        403: UpstreamAuthFailed,
        404: NotFound,
        408: UpstreamTimeout,
        409: Conflict,
        413: TooLarge,
        415: UnsupportedMedia,
        422: InvalidRequest,
        429: RateLimited,
        498: UpstreamAuthFailed,
        500: UpstreamFailed,
        504: UpstreamTimeout,
        529: UpstreamOverloaded,
    }
)

_OURS: Mapping[type[GatewayError], str] = MappingProxyType(
    {
        UpstreamAuthFailed: "The provider refused the credential that the gateway is configured with.",
    }
)
"""Errors whose vendor text speaks to the account's owner, not to the client."""

_SECRET = re.compile(
    r"""
      \b(?:sk|pk|rk|gsk|xai|key|AIza)[-_A-Za-z0-9]{12,}   # API keys of the common shapes
    | \bBearer\s+\S+
    | \b(?:org|proj|acct)[-_][A-Za-z0-9]{6,}              # account ids
    """,
    re.VERBOSE,
)
_ADDRESS = re.compile(r"\bhttps?://[^\s\"'<>)]+")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_BLANKS = re.compile(r"\s+")


def classify(
    rules: tuple[ErrorRule, ...],
    *,
    status: int,
    headers: Mapping[str, str],
    code: str | None,
    type: str | None,  # noqa: A002 — the vendors' own word for it
    message: str | None,
    now: datetime | None = None,
) -> GatewayError:
    """The error that a provider's failed answer stands for.

    Args:
        rules: the protocol's own, tried in order before the status alone decides.
        status: HTTP status; 200 for an error inside a stream.
        headers: the answer's, names in lower case; ``retry-after`` is read from them.
        code: the vendor's error code.
        type: the vendor's error type.
        message: the vendor's words, or the body of an answer that is not in the vendor's shape (HTML too).
        now: the time against which an HTTP date is held; the answer's own ``date`` header when None.
    """
    text = _clean(message)
    by_rules = _by_rules(rules, status, code, type, (message or "").lower())
    found, told_by = by_rules or (_by_status(status, text), "")
    if status == 403 and found is UpstreamAuthFailed and headers.get("content-type", "").startswith("text/html"):
        found = (
            UpstreamProtocolError  # a page is of whoever stands before the provider, and may be about what was asked
        )
    wait_s = retry_after_s(headers, now)
    error = found(
        _OURS.get(found) or text or _plain(status),
        retry_after_s=wait_s,
        code=code,
        upstream_status=status if status != 200 else None,
    )
    error.told_by = told_by
    return error


def message_of(body: bytes) -> str:
    """What an answer in no known shape says: the title or the visible text of a page, else the text itself."""
    text = body[: 64 * 1024].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        text = title.group(1) if title else _UNSEEN.sub(" ", text)
    return _BLANKS.sub(" ", text).strip()


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (a number or an HTTP date); None when unsaid."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    until = _date(value)
    since = now or _date(headers.get("date", ""))
    if until is None or since is None:
        return None
    return max(0.0, (until - since).total_seconds())


def _by_rules(
    rules: tuple[ErrorRule, ...], status: int, code: str | None, type_: str | None, text: str
) -> tuple[type[GatewayError], str] | None:
    """With the words of ``text`` that told, where the rule is about words."""
    for rule in rules:
        if (
            (not rule.statuses or status in rule.statuses)
            and (not rule.codes or code in rule.codes)
            and (not rule.types or type_ in rule.types)
        ):
            told_by = next((piece for piece in rule.texts if piece in text), "")
            if told_by or not rule.texts:
                return _BY_KIND[rule.kind], told_by
    return None


def _by_status(status: int, text: str) -> type[GatewayError]:
    if status in _BY_STATUS:
        found = _BY_STATUS[status]
        return ModelNotFound if found is NotFound and "model" in text.lower() else found
    if 400 <= status < 500 and status not in {405, 406}:  # those two say that we asked wrongly, not the client
        return InvalidRequest
    return UpstreamUnavailable if status >= 500 else UpstreamProtocolError


def _clean(message: str | None) -> str:
    if not message:
        return ""
    text = message_of(message.encode("utf-8", "replace")) if message.lstrip().startswith("<") else message.strip()
    text = _ADDRESS.sub("[address]", _SECRET.sub("[hidden]", text))
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


def _plain(status: int) -> str:
    return "The provider sent an error without a message." if status == 200 else f"The provider answered {status}."


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
