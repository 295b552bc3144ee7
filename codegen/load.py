"""Files to linked specs, first half: read every schema file, check its kind and version, decode it to its spec.

Touches the disk, and only below ``root/schemas``. A file that is faulty is reported and left out; the rest goes on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from codegen.spec import OpenApiFile, ProtocolFile, SectionFile
from runtime.catalog import Provider
from runtime.source import Diagnostics, MappingNode, Node, ScalarNode, Span, closest, decode, parse

__all__ = ["VERSION", "Inputs", "Kind", "Source", "load"]

VERSION: Final = 1
"""The version of every kind of schema file that this compiler reads."""

Spec = TypeVar("Spec")


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A folder below `schemas/` and the spec of the files in it. ``versioned``: the spec has a field for `version`."""

    name: str
    folder: str
    noun: str
    spec: type[Any]
    versioned: bool = True


KINDS: Final = (
    Kind(name="sections", folder="schemas/config", noun="section", spec=SectionFile),
    Kind(name="protocols", folder="schemas/protocols", noun="protocol", spec=ProtocolFile),
    Kind(name="providers", folder="schemas/providers", noun="provider", spec=Provider, versioned=False),
    Kind(name="openapi", folder="schemas/openapi", noun="OpenAPI file", spec=OpenApiFile),
)


_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""File names become ids, module names and headers."""


class Source(msgspec.Struct, Generic[Spec], frozen=True, kw_only=True):
    """One file: where it is, its nodes (for positions) and its spec."""

    path: str
    node: MappingNode
    spec: Spec

    @property
    def stem(self) -> str:
        return Path(self.path).stem


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read. ``nodes`` holds each file that is YAML at all; ``hashes`` each file's sha256."""

    nodes: Mapping[str, Node]
    hashes: Mapping[str, str]
    sections: tuple[Source[SectionFile], ...] = ()
    protocols: tuple[Source[ProtocolFile], ...] = ()
    providers: tuple[Source[Provider], ...] = ()
    openapi: tuple[Source[OpenApiFile], ...] = ()


def load(root: Path, diagnostics: Diagnostics) -> Inputs:
    """Read every YAML file below ``root/schemas``, in the order of its name."""
    nodes: dict[str, Node] = {}
    hashes: dict[str, str] = {}
    sources: dict[str, list[Source[Any]]] = {kind.name: [] for kind in KINDS}
    for path in _yaml_files(root):
        kind = _kind(path, diagnostics)
        data = (root / path).read_bytes()
        hashes[path] = hashlib.sha256(data).hexdigest()
        node = parse(data, path, diagnostics)
        if node is None or kind is None:
            continue
        nodes[path] = node
        if isinstance(node, MappingNode) and not _version_is_known(node, diagnostics):
            continue
        spec = decode(node if kind.versioned else _without_version(node), kind.spec, diagnostics, kind.noun)
        if spec is not None and isinstance(node, MappingNode):
            sources[kind.name].append(Source(path=path, node=node, spec=spec))
    return Inputs(
        nodes=nodes,
        hashes=hashes,
        sections=tuple(sources["sections"]),
        protocols=tuple(sources["protocols"]),
        providers=tuple(sources["providers"]),
        openapi=tuple(sources["openapi"]),
    )


def _yaml_files(root: Path) -> list[str]:
    found = [path for path in (root / "schemas").rglob("*") if path.suffix in {".yaml", ".yml"} and path.is_file()]
    return sorted(path.relative_to(root).as_posix() for path in found)


def _kind(path: str, diagnostics: Diagnostics) -> Kind | None:
    folder, _, name = path.rpartition("/")
    if not _NAME.fullmatch(name.rpartition(".")[0]):
        hint = "use lower-case letters, digits, `-`, `_` and `.`"
        diagnostics.error("bad-name", Span(path, 1, 1), f"{name!r} cannot be the name of a schema file", hint)
        return None
    if path.endswith(".yml"):
        diagnostics.error("unknown-file", Span(path, 1, 1), "schema files end in .yaml", "rename it to .yaml")
        return None
    for kind in KINDS:
        if folder == kind.folder or (kind.name == "openapi" and folder.startswith(f"{kind.folder}/")):
            return kind
    near = closest(folder, [kind.folder for kind in KINDS])
    known = ", ".join(kind.folder for kind in KINDS)
    hint = f"did you mean {near}/?" if near else f"schema files live in {known}"
    diagnostics.error("unknown-file", Span(path, 1, 1), f"no kind of schema lives in {folder}/", hint)
    return None


def _version_is_known(node: MappingNode, diagnostics: Diagnostics) -> bool:
    first = node.entries[0] if node.entries else None
    version = node.get("version")
    if first is None or version is None or first.key != "version":
        span = node.span if first is None else first.span
        diagnostics.error("missing-version", span, "the first key is not `version`", f"begin with `version: {VERSION}`")
        return version is not None
    found = version.value if isinstance(version, ScalarNode) else None
    if found != VERSION or isinstance(found, bool):
        newer = isinstance(found, int) and found > VERSION
        hint = "a newer gatewright reads it" if newer else f"write `version: {VERSION}`"
        diagnostics.error("unsupported-version", version.span, f"this compiler reads version {VERSION}", hint)
        return False
    return True


def _without_version(node: Node) -> Node:
    if not isinstance(node, MappingNode):
        return node
    return MappingNode(tuple(entry for entry in node.entries if entry.key != "version"), node.span)
