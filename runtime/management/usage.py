"""What was used, as the management API shows it: sums and requests of the ledger in the words that clients know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, UnsetType

from generated.types.combos import ComboFigures
from generated.types.usage import CallAttempt, CallLog, CallTokens, UsageSums
from runtime.errors import InvalidRequest
from runtime.stores.entries import AttemptEntry, Counts, Settlement, usage_of
from runtime.stores.history import Total

__all__ = ["day_text", "read_range", "shown_figures", "shown_line", "shown_request", "shown_sums", "summed"]

NANO: Final = 10**9
DAY_S: Final = 86_400
MAX_DAYS: Final = 3660

_RANGE: Final = re.compile(r"([1-9][0-9]{0,4})([hd])")


def read_range(text: str, now_s: float) -> int:
    """The first day, since 1970, of which something may be in ``text``. Raises InvalidRequest."""
    found = _RANGE.fullmatch(text)
    reach_s = int(found[1]) * (3600 if found[2] == "h" else DAY_S) if found else 0
    if not 0 < reach_s <= MAX_DAYS * DAY_S:
        raise InvalidRequest(f"range: write hours or days up to {MAX_DAYS}d, such as `24h` or `7d`", param="range")
    return int((now_s - reach_s) // DAY_S)


def day_text(day: int) -> str:
    """A number of days since 1970 as a date."""
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


def shown_sums(total: Total) -> UsageSums:
    return _sums(total.requests, total.errors, total.counts, total.cost_nano_usd)


def summed(totals: Iterable[Total]) -> UsageSums:
    """All of ``totals`` together."""
    found = tuple(totals)
    counts = tuple(sum(column) for column in zip(*(each.counts for each in found), strict=True))
    return _sums(
        sum(each.requests for each in found),
        sum(each.errors for each in found),
        counts,
        sum(each.cost_nano_usd for each in found),
    )


def shown_request(entry: Settlement) -> CallLog:
    return CallLog(
        id=entry.id,
        requestId=entry.request_id,
        decision=entry.decision or UNSET,
        timestamp=_time(entry.at_s),
        operation=entry.operation,
        status=entry.status,
        outcome=entry.outcome,
        error=entry.error or UNSET,
        model=entry.target,
        requestedModel=entry.model,
        comboName=entry.combo or UNSET,
        provider=entry.provider,
        account=entry.connection,
        sourceFormat=entry.protocol or UNSET,
        duration=entry.duration_ms,
        firstToken=entry.first_token_ms if entry.first_token_ms >= 0 else UNSET,
        tokens=_tokens(entry.counts),
        cost=entry.cost_nano_usd / NANO,
        estimated=entry.estimated or UNSET,
        cacheSource=entry.replay or "upstream",
        apiKeyId=entry.key,
        company_id=entry.tenant,
        sessionId=entry.session or UNSET,
        stream=entry.stream,
        attempts=_attempts(entry.attempts),
    )


def shown_line(entry: Settlement) -> str:
    """One request as a line of text."""
    tokens = _tokens(entry.counts)
    pieces = (
        _time(entry.at_s),
        entry.target or entry.model or "-",
        entry.provider.upper() or "-",
        entry.connection or "-",
        f"{tokens.in_}/{tokens.out} tokens",
        f"${entry.cost_nano_usd / NANO:.6f}",
        str(entry.status),
    )
    return " | ".join(pieces)


def shown_figures(entries: Sequence[Settlement]) -> ComboFigures:
    """How the requests of a combo fared; there is one at least."""
    errors = sum(each.outcome == "error" for each in entries)
    return ComboFigures(
        requests=len(entries),
        errors=errors,
        successRate=round(1 - errors / len(entries), 4),
        averageMs=round(sum(each.duration_ms for each in entries) / len(entries), 1),
        rescues=sum(each.rescues > 0 for each in entries),
        cost=sum(each.cost_nano_usd for each in entries) / NANO,
        byModel=dict(Counter(each.target for each in entries if each.target)),
    )


def _attempts(entries: tuple[AttemptEntry, ...]) -> list[CallAttempt] | UnsetType:
    if not entries:
        return UNSET
    return [
        CallAttempt(
            number=number,  # not the ledger's, which counts everybody's
            timestamp=_time(each.at_s),
            model=each.target,
            account=each.connection,
            outcome=each.outcome,
            status=each.status,
            duration=each.duration_ms,
            tokens=_tokens(each.counts),
            cost=each.cost_nano_usd / NANO,
            priceVersion=each.price_version or UNSET,
        )
        for number, each in enumerate(entries, 1)
    ]


def _sums(requests: int, errors: int, counts: Counts, cost_nano_usd: int) -> UsageSums:
    tokens = _tokens(counts)
    return UsageSums(
        requests=requests,
        errors=errors,
        promptTokens=tokens.in_,
        completionTokens=tokens.out,
        cachedTokens=tokens.cacheRead,
        totalTokens=tokens.in_ + tokens.out,
        cost=cost_nano_usd / NANO,
    )


def _tokens(counts: Counts) -> CallTokens:
    if not counts:
        return CallTokens(in_=0, out=0, cacheRead=0, cacheWrite=0, reasoning=0)
    usage = usage_of(counts)
    return CallTokens(
        in_=usage.total_input,
        out=usage.output,
        cacheRead=usage.cache_read,
        cacheWrite=usage.cache_write_5m + usage.cache_write_1h,
        reasoning=usage.reasoning,
    )


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
