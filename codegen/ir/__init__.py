"""The middle of the compiler: frozen values without behaviour. `python -m codegen dump` prints it."""

from codegen.ir.project import Project, ProtocolDef, ProviderDef
from codegen.ir.settings import AnyItem, Item, ListItem, MapItem, Plain, RecordItem, Section, Setting, SettingRecord
from codegen.ir.types import (
    Alias,
    Boolean,
    Choice,
    Declaration,
    Field,
    Inline,
    Integer,
    ListOf,
    MapOf,
    Module,
    Null,
    Number,
    OneOf,
    Raw,
    Record,
    Reference,
    Tag,
    Text,
    Type,
)  # fmt: skip

__all__ = [
    "Alias", "AnyItem", "Boolean", "Choice", "Declaration", "Field", "Inline", "Integer", "Item", "ListItem", "ListOf", "MapItem", "MapOf",
    "Module", "Null", "Number", "OneOf", "Plain", "Project", "ProtocolDef", "ProviderDef", "Raw", "Record", "RecordItem",
    "Reference", "Section", "Setting", "SettingRecord", "Tag", "Text", "Type",
]  # fmt: skip
