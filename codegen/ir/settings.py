"""The settings of gateway.yaml, of the middle: sections, their records, and what a setting holds."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from codegen.ir.types import Node
from runtime.source import Span

__all__ = ["AnyItem", "Item", "ListItem", "MapItem", "Plain", "RecordItem", "Section", "Setting", "SettingRecord"]

PlainWord = Literal["text", "integer", "number", "boolean", "duration", "size", "usd", "secret", "choice"]


class Plain(Node, frozen=True, kw_only=True, tag_field="is", tag="plain"):
    """A leaf. ``minimum`` and ``maximum`` are in the smallest unit (ms, bytes, nano-dollars)."""

    word: PlainWord
    choices: tuple[str, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    pattern: str | None = None


class ListItem(Node, frozen=True, kw_only=True, tag_field="is", tag="list"):
    item: Item
    min_items: int | None = None
    max_items: int | None = None


class MapItem(Node, frozen=True, kw_only=True, tag_field="is", tag="map"):
    """From names that the operator chooses; ``names`` is the pattern they match."""

    item: Item
    names: str | None = None


class RecordItem(Node, frozen=True, kw_only=True, tag_field="is", tag="record"):
    """A record by name. ``complete``: it can be built from defaults alone."""

    name: str
    complete: bool = False


class AnyItem(Node, frozen=True, kw_only=True, tag_field="is", tag="any"):
    """Any one of several, told apart by their JSON types."""

    items: tuple[Item, ...]


Item: TypeAlias = Plain | ListItem | MapItem | RecordItem | AnyItem


class Setting(Node, frozen=True, kw_only=True):
    """One setting. ``default`` is in the smallest unit, UNSET if there is none; ``written`` as an operator writes it."""

    key: str
    name: str
    item: Item
    required: bool = False
    default: Any = msgspec.UNSET
    written: str | None = None
    help: str
    secret: bool = False
    reload: Literal["static", "dynamic"]
    example: Any = msgspec.UNSET
    span: Span


class SettingRecord(Node, frozen=True, kw_only=True):
    name: str
    help: str
    settings: tuple[Setting, ...]
    span: Span


class Section(Node, frozen=True, kw_only=True):
    """One top-level key of gateway.yaml. ``item`` is the section, or one entry of it if the shape is a map or a list.

    ``records`` stand in an order in which defaults can be built: what is used comes first.
    """

    key: str
    name: str
    help: str
    shape: Literal["record", "map", "list"]
    names: str | None = None
    item: Item
    records: tuple[SettingRecord, ...]
    example: Any = msgspec.UNSET
    source: str
    span: Span
