"""What `schemas/config/<section>.yaml` may contain: the settings of one section of gateway.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

__all__ = ["RecordSpec", "SectionFile", "SettingSpec", "SettingType"]

SettingType = Literal[
    "text", "integer", "number", "boolean", "duration", "size", "usd", "secret", "choice", "list", "map", "record"
]


class SettingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One setting. Without `default` and `required` it may be absent, and absent means "not set"."""

    type: SettingType
    help: Annotated[str, Meta(min_length=1, description="What it does, in whole sentences.")]
    of: Annotated[
        str | tuple[str, ...] | None,
        Meta(description="What a list or map holds, or which record it is: type words or records' names."),
    ] = None
    choices: Annotated[
        tuple[str, ...], Meta(description="The allowed words, for a choice or a list or map of them.")
    ] = ()
    minimum: Annotated[Any, Meta(description="The least value, written as the value itself is (`1s`, `1KiB`).")] = (
        msgspec.UNSET
    )
    maximum: Annotated[Any, Meta(description="The greatest value, written as the value itself is.")] = msgspec.UNSET
    pattern: Annotated[str | None, Meta(description="A regular expression the text matches somewhere.")] = None
    names: Annotated[str | None, Meta(description="A regular expression the keys of a map match.")] = None
    min_items: int | None = None
    max_items: int | None = None
    default: Annotated[Any, Meta(description="The value when absent, written as an operator would.")] = msgspec.UNSET
    required: bool = False
    secret: Annotated[bool, Meta(description="Never shown. A `secret` is one anyway.")] = False
    reload: Annotated[
        Literal["static", "dynamic"], Meta(description="Whether a running server takes a change without a restart.")
    ] = "static"
    example: Annotated[Any, Meta(description="What an operator might write.")] = msgspec.UNSET


class RecordSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named group of settings that settings refer to by `of`."""

    help: Annotated[str, Meta(min_length=1)]
    settings: dict[str, SettingSpec]


class SectionFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One section of gateway.yaml."""

    version: Annotated[int, Meta(description="The version of this kind of file.")]
    section: Annotated[str, Meta(description="The key in gateway.yaml; equal to the file's name.")]
    help: Annotated[str, Meta(min_length=1, description="What the section is for, in whole sentences.")]
    struct: Annotated[str | None, Meta(description="The Python class of the section, or of one entry of it.")] = None
    of: Annotated[str | None, Meta(description="The type word of the entries, where they are no records.")] = None
    shape: Annotated[
        Literal["record", "map", "list"],
        Meta(description="One record; a map from names the operator chooses; a list."),
    ] = "record"
    names: Annotated[str | None, Meta(description="A regular expression the names of a map match.")] = None
    order: Annotated[
        int, Meta(description="Where it stands among the sections; the alphabet decides between equals.")
    ] = 100
    settings: dict[str, SettingSpec] = {}
    records: dict[str, RecordSpec] = {}
    example: Annotated[Any, Meta(description="What an operator might write.")] = msgspec.UNSET
