"""A project directory, compiled: the schemas where there are any, then `gateway.yaml` against the catalogue they give.

Reads files and writes none. Both compilers run even when the first one finds faults, so that one run reports everything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from generated.config import ServerSettings
from runtime.catalog import Provider
from runtime.cli.lookup import look_up_below
from runtime.cli.report import as_text, summary
from runtime.cli.terminal import FAULT, Stop, note
from runtime.config.catalog import Catalog
from runtime.config.compile import Compiled, compile_plan
from runtime.config.files import MAIN, Source, read_sources, unread_names
from runtime.config.load import load
from runtime.config.lock import artefact_files
from runtime.config.plan import Artefact
from runtime.config.secrets import check_secrets
from runtime.source import Diagnostic, Diagnostics, Severity, Span, closest

__all__ = ["Outcome", "compile_project", "data_dir", "project_sources", "server_settings", "sound_artefact"]

SCHEMAS: Final = "schemas"
OWN_FOLDERS: Final = ("config", "protocols", "providers")
"""What tells schemas of ours from a directory of the same name that is the project's own: one of them holds a file."""

EDITOR_SCHEMA: Final = "generated/jsonschema/gateway.json"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a project. ``pages`` are the files made of `schemas/`, None where there are no schemas."""

    diagnostics: tuple[Diagnostic, ...]
    pages: Mapping[str, str] | None
    schemas_failed: bool
    compiled: Compiled
    sources: tuple[Source, ...]

    @property
    def failed(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self.diagnostics)

    def artefacts(self) -> dict[str, bytes]:
        """The plan and its lock, by path; empty when there is no plan.

        Where no schemas are, also the JSON Schema that editors check `gateway.yaml` against.
        """
        if self.compiled.artefact is None:
            return {}
        made = artefact_files(self.compiled.artefact, self.sources)
        if self.pages is None:
            made[EDITOR_SCHEMA] = files("generated").joinpath("jsonschema", "gateway.json").read_bytes()
        return made


class _Schemas(msgspec.Struct, frozen=True, kw_only=True):
    pages: Mapping[str, str] | None = None
    providers: tuple[Provider, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    failed: bool = False


def compile_project(
    root: Path, *, sources: tuple[Source, ...] | None = None, look_for_secrets: bool = False
) -> Outcome:
    """Compile everything below ``root``; ``sources`` take the place of its configuration files."""
    given = project_sources(root) if sources is None else sources
    schemas = _compile_schemas(root)
    compiled = compile_plan(given, _catalog(schemas))
    found = [*schemas.diagnostics, *compiled.diagnostics, *_unread(root)]
    if look_for_secrets and compiled.artefact is not None:
        artefact = compiled.artefact
        found += check_secrets(artefact.plan, artefact.origins, look_up_below(root, artefact.plan))
    return Outcome(
        diagnostics=tuple(found),
        pages=schemas.pages,
        schemas_failed=schemas.failed,
        compiled=compiled,
        sources=given,
    )


def sound_artefact(root: Path) -> Artefact:
    """What the sources below ``root`` compile to now. Raises Stop, with every fault, when they do not."""
    outcome = compile_project(root)
    if outcome.compiled.artefact is None or outcome.failed:
        note(as_text(outcome.diagnostics))
        raise Stop(FAULT, f"{summary(outcome.diagnostics)} in the sources")
    return outcome.compiled.artefact


def project_sources(root: Path) -> tuple[Source, ...]:
    """The configuration files below ``root``. Raises Stop when there is no `gateway.yaml`, ConfigError as `read_sources` does."""
    if not os.path.lexists(root / MAIN):
        raise Stop(FAULT, f"there is no {MAIN} in {root.absolute()}; `gatewright init` writes one")
    return read_sources(root)


def data_dir(root: Path) -> Path:
    """The data directory that the configuration names."""
    return root / server_settings(root).data_dir


def server_settings(root: Path) -> ServerSettings:
    """Where the gateway listens and keeps things, however faulty the rest of its configuration is. Raises Stop."""
    loaded = load(project_sources(root), Diagnostics())
    if loaded is None:
        raise Stop(FAULT, f"{MAIN} cannot be read; see `gatewright check`")
    return loaded.config.server


def _unread(root: Path) -> Diagnostics:
    diagnostics = Diagnostics()
    for name in unread_names(root):
        hint = "call it `gateway.d/….yaml`, or move it out of that directory"
        diagnostics.warn("ignored-file", Span(name, 1, 1), "the file is not read", hint)
    return diagnostics


def _compile_schemas(root: Path) -> _Schemas:
    if not any(any((root / SCHEMAS / folder).glob("*.yaml")) for folder in OWN_FOLDERS):
        return _Schemas(diagnostics=tuple(_strange(root)))
    from codegen.pipeline import compile_schemas  # an image that only serves has no compiler

    compilation = compile_schemas(root)
    return _Schemas(
        pages=compilation.files,
        providers=tuple(item.provider for item in compilation.ir.providers),
        diagnostics=compilation.diagnostics,
        failed=compilation.failed,
    )


def _strange(root: Path) -> Diagnostics:
    """What of a directory that is not ours is called nearly as ours would be."""
    diagnostics = Diagnostics()
    for folder in sorted(path for path in (root / SCHEMAS).glob("*") if path.is_dir() and any(path.glob("*.y*ml"))):
        near = closest(folder.name, OWN_FOLDERS)
        if near is not None:
            name = f"{SCHEMAS}/{folder.name}"
            hint = f"if it is meant for Gatewright, write its files as {SCHEMAS}/{near}/<name>.yaml"
            diagnostics.warn("ignored-file", Span(name, 1, 1), f"nothing in {name} is read", hint)
    return diagnostics


def _catalog(schemas: _Schemas) -> Catalog:
    """The catalogue that the schemas describe, or the one that came with us.

    With faulty schemas the latter fills the gaps: what refers to a provider whose file is faulty is not itself at fault.
    """
    if not schemas.providers:
        return Catalog.shipped()
    if not schemas.failed:
        return Catalog.of(schemas.providers)
    shipped = Catalog.shipped()
    compiled = {provider.id for provider in schemas.providers}
    return Catalog.of([*schemas.providers, *(shipped.load(id_) for id_ in shipped.ids if id_ not in compiled)])
