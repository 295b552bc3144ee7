"""Secrets in clear, anywhere in a file, comments included; and their removal from whatever is said about the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from runtime.config.files import Source
from runtime.source import Diagnostic, Diagnostics, Span

__all__ = ["check_clear_text", "looks_like_key", "scrubbed", "without_keys"]

_KINDS: Final = (
    ("Anthropic", r"sk-ant-[A-Za-z0-9_-]{8,}"),
    ("OpenRouter", r"sk-or-[A-Za-z0-9_-]{8,}"),
    ("OpenAI-style", r"sk-[A-Za-z0-9_-]{12,}"),
    ("Google", r"AIza[A-Za-z0-9_-]{20,}"),
    ("Groq", r"gsk_[A-Za-z0-9]{12,}"),
    ("xAI", r"xai-[A-Za-z0-9]{12,}"),
    ("Hugging Face", r"hf_[A-Za-z0-9]{16,}"),
    ("NVIDIA", r"nvapi-[A-Za-z0-9_-]{12,}"),
    ("Perplexity", r"pplx-[A-Za-z0-9]{12,}"),
    ("GitHub", r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})"),
    ("AWS", r"AKIA[0-9A-Z]{16}"),
    ("Gatewright", r"gw-[A-Za-z0-9_-]{32,}"),
)  # fmt: skip
_KEY: Final = re.compile(r"(?<![A-Za-z0-9_-])(?:" + "|".join(f"({pattern})" for _, pattern in _KINDS) + ")")


def check_clear_text(source: Source, diagnostics: Diagnostics) -> None:
    """Report every text that looks like a vendor's key. The text itself is not shown."""
    text = source.data.decode("utf-8", "replace")
    for found in _KEY.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        kind = _KINDS[(found.lastindex or 1) - 1][0]
        span = Span(source.path, line, column)
        message = f"what looks like a key ({kind}) stands here in clear"
        hint = "revoke it, put the new one in an environment variable and write `${NAME}`"
        diagnostics.error("secret-in-clear", span, message, hint)


def looks_like_key(text: str) -> bool:
    """Whether `check_clear_text` reports something inside ``text``."""
    return _KEY.search(text) is not None


def without_keys(text: str) -> str:
    """``text``, with what `check_clear_text` would report in it replaced."""
    return _KEY.sub("…", text)


def scrubbed(diagnostics: Diagnostics, secrets: Iterable[str] = ()) -> tuple[Diagnostic, ...]:
    """All diagnostics, with vendor keys and ``secrets`` replaced in every text."""
    known = sorted((re.escape(secret) for secret in secrets), key=len, reverse=True)
    hidden = re.compile("|".join([*known, _KEY.pattern]))
    return tuple(_scrubbed(item, hidden) for item in diagnostics)


def _scrubbed(item: Diagnostic, hidden: re.Pattern[str]) -> Diagnostic:
    notes = tuple(msgspec.structs.replace(note, message=hidden.sub("…", note.message)) for note in item.notes)
    hint = None if item.hint is None else hidden.sub("…", item.hint)
    return msgspec.structs.replace(item, message=hidden.sub("…", item.message), hint=hint, notes=notes)
