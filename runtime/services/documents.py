"""From what a caller of the management API says to what is kept: one text per entry or setting, secrets sealed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Final, cast

import msgspec
import orjson

from generated.config import SETTINGS
from runtime.config.checks.secret import is_bare_secret
from runtime.config.export import narrowed
from runtime.config.files import Source
from runtime.config.load import load
from runtime.config.override import Override, section_shape
from runtime.errors import InvalidRequest
from runtime.source import Diagnostics, MappingNode, parse, plain
from runtime.stores.overrides import SealedSecret

__all__ = [
    "REMOVED",
    "Removed",
    "Row",
    "Sealed",
    "narrowed_rows",
    "referenced",
    "rows_of",
    "sealed_rows",
    "written_names",
]

_STORED: Final = re.compile(r"stored:([0-9a-f]{32})")


class Removed(Enum):
    """The entry is not there any more, whatever the files say; a setting has its default."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED


class Row(msgspec.Struct, frozen=True):
    """What becomes of one entry or setting. ``document`` None: the files hold again."""

    section: str
    name: str
    document: str | Removed | None


class Sealed(msgspec.Struct, frozen=True):
    """``rows`` without a secret in them, the new ``secrets`` that they refer to, and the ids of all that were ``given``."""

    rows: tuple[Row, ...]
    secrets: tuple[SealedSecret, ...]
    given: frozenset[str] = frozenset()


def rows_of(section: str, name: str | None, document: object) -> Iterator[Row]:
    """The entries or settings that a change is about. Raises InvalidRequest for one that names none."""
    shape = section_shape(section)
    if name is not None or shape is None:
        yield Row(section, name or "", _text(document, yaml=shape == "map"))
    elif shape != "record":
        raise InvalidRequest(f"a change of `{section}` names an entry", param=section)
    elif not isinstance(document, Mapping):
        raise InvalidRequest(f"a change of `{section}` gives settings by name", param=section)
    else:
        for setting, value in cast("Mapping[str, object]", document).items():
            yield Row(section, setting, _text(value, yaml=False))


def sealed_rows(rows: Sequence[Row], put_away: Callable[[str], str]) -> tuple[Row, ...]:
    """``rows``, with every secret that stands where a reference belongs given to ``put_away``, which answers with its id."""
    return tuple(_sealed(row, lambda secret: f"stored:{put_away(secret)}") for row in rows)


def narrowed_rows(rows: Iterable[Row], files: MappingNode) -> tuple[Row, ...]:
    """``rows``, which have whole entries, as what is other in them than in ``files``: only that hides what is written there."""
    return tuple(_narrowed(row, files) for row in rows)


def _narrowed(row: Row, files: MappingNode) -> Row:
    if not isinstance(row.document, str):
        return row
    found = narrowed(files, Override(row.section, row.name, row.document))
    return Row(row.section, row.name, None if found is None else found.text)


def referenced(sources: Iterable[Source], overrides: Iterable[Override]) -> frozenset[str]:
    """The ids of stored secrets that something still refers to."""
    texts = [source.data.decode("utf-8", "replace") for source in sources]
    texts += [override.text or "" for override in overrides]
    return frozenset(id_ for text in texts for id_ in _STORED.findall(text))


def written_names(sources: Sequence[Source]) -> frozenset[tuple[str, str]]:
    """The entries and settings that the files have, by section and name."""
    loaded = load(sources, Diagnostics())
    sections = loaded.root.entries if loaded is not None else ()
    return frozenset(
        (section.key, entry.key)
        for section in sections
        if isinstance(section.node, MappingNode)
        for entry in section.node.entries
    )


def _text(document: object, *, yaml: bool) -> str | Removed | None:
    if document is None or isinstance(document, Removed):
        return document
    if yaml and isinstance(document, str):
        return document
    try:
        return _json(msgspec.to_builtins(document))
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the change cannot be written as JSON: {error}") from error


def _json(data: object) -> str:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()


def _sealed(row: Row, put_away: Callable[[str], str]) -> Row:
    paths = [path[1:] for path in _secret_paths() if path[0] == row.section]
    if not paths or not isinstance(row.document, str):
        return row
    node = parse(row.document, row.name, Diagnostics())
    data = None if node is None else plain(node)
    below = [path[1:] for path in paths if path[0] in {"*", row.name}]
    sealed = _put_away(data, below, put_away)
    return row if sealed == data else Row(row.section, row.name, _json(sealed))


def _put_away(value: object, paths: Sequence[tuple[str, ...]], put_away: Callable[[str], str]) -> object:
    """``value``, with what stands at one of ``paths`` put away; `*` is any name or number."""
    if isinstance(value, str) and () in paths:
        return put_away(value) if is_bare_secret(value) else value
    if isinstance(value, dict):
        mapping = cast("dict[str, object]", value)
        return {key: _put_away(item, _below(paths, key), put_away) for key, item in mapping.items()}
    if isinstance(value, list):
        return [_put_away(item, _below(paths, "*"), put_away) for item in cast("list[object]", value)]
    return value


def _below(paths: Sequence[tuple[str, ...]], step: str) -> list[tuple[str, ...]]:
    return [path[1:] for path in paths if path and path[0] in {"*", step}]


@cache
def _secret_paths() -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(setting.path.split(".")) for setting in SETTINGS if setting.secret)
