"""The whole of the middle: everything that `schemas/` says, linked and named, ready to be written out."""

from __future__ import annotations

from codegen.ir.operations import Api, Resource
from codegen.ir.settings import Section
from codegen.ir.types import Module, Node
from runtime.catalog import Provider, WireProtocol
from runtime.source import Span

__all__ = ["Project", "ProtocolDef", "ProviderDef"]


class ProtocolDef(Node, frozen=True, kw_only=True):
    """The facts of a wire protocol; its types are the `Module` of the same name."""

    module: str
    facts: WireProtocol
    source: str
    span: Span


class ProviderDef(Node, frozen=True, kw_only=True):
    """A provider with its models. ``module`` is the Python module that will hold it."""

    module: str
    provider: Provider
    source: str
    span: Span


class Project(Node, frozen=True, kw_only=True):
    modules: tuple[Module, ...] = ()
    sections: tuple[Section, ...] = ()
    protocols: tuple[ProtocolDef, ...] = ()
    providers: tuple[ProviderDef, ...] = ()
    api: Api | None = None
    resources: tuple[Resource, ...] = ()
