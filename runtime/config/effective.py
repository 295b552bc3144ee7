"""What is in force: the files' configuration with the overrides laid over it, compiled, and the secrets it refers to.

Pure but for looking secrets up. Used at the start, for every change before it is made, and by every worker that hears of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import cast

import msgspec

from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import Source
from runtime.config.load import load
from runtime.config.override import Held, Override, json_path
from runtime.config.plan import Artefact
from runtime.config.secrets import Lookup, Secrets, check_secrets, resolve_secrets, with_stored
from runtime.errors import Fault
from runtime.source import Diagnostic, Diagnostics, Severity, plain

__all__ = ["Base", "Effective", "Outcome", "built", "effective", "faults"]


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What overrides are laid over: the files that were built, the catalogue, and where secrets are looked up."""

    sources: tuple[Source, ...]
    catalog: Catalog
    look_up: Lookup


class Effective(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """``overrides`` are those that the artefact was compiled with, over ``base``."""

    artefact: Artefact
    secrets: Secrets
    overrides: tuple[Override, ...]
    base: Base

    @cached_property
    def config(self) -> Mapping[str, object]:
        """Sections as plain data, as they were written; `version` too."""
        loaded = load(self.base.sources, Diagnostics(), self.overrides)
        return cast("Mapping[str, object]", plain(loaded.root)) if loaded is not None else {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``effective`` is None when a diagnostic is an error."""

    effective: Effective | None
    diagnostics: tuple[Diagnostic, ...]


def built(base: Base, artefact: Artefact, stored: Mapping[str, str]) -> Effective:
    """What is in force without overrides: ``artefact``, which ``base`` was compiled to. Secrets may be missing."""
    secrets = resolve_secrets(artefact.plan, with_stored(base.look_up, stored))
    return Effective(artefact=artefact, secrets=secrets, overrides=(), base=base)


def effective(
    base: Base, overrides: Sequence[Override], stored: Mapping[str, str], held: Held | None = None
) -> Outcome:
    """Compile ``base`` with ``overrides``. ``stored`` maps the ids of stored secrets to the secrets; ``held`` as in `compile_plan`."""
    compiled = compile_plan(base.sources, base.catalog, overrides, held)
    artefact = compiled.artefact
    if artefact is None:
        return Outcome(effective=None, diagnostics=compiled.diagnostics)
    look_up = with_stored(base.look_up, stored)
    missing = check_secrets(artefact.plan, artefact.origins, look_up, Severity.ERROR)
    diagnostics = (*compiled.diagnostics, *missing)
    if missing:
        return Outcome(effective=None, diagnostics=diagnostics)
    secrets = resolve_secrets(artefact.plan, look_up)
    found = Effective(artefact=artefact, secrets=secrets, overrides=tuple(overrides), base=base)
    return Outcome(effective=found, diagnostics=diagnostics)


def faults(diagnostics: Iterable[Diagnostic], overrides: Iterable[Override]) -> tuple[Fault, ...]:
    """``diagnostics`` as clients are told them: with a path into what they sent, where it is about that."""
    by_path = {override.path: override for override in overrides}
    return tuple(_fault(item, by_path.get(item.span.file)) for item in diagnostics)


def _fault(item: Diagnostic, override: Override | None) -> Fault:
    return Fault(
        severity=item.severity.value,
        code=item.code,
        message=item.message,
        position=str(item.span),
        path=None if override is None else json_path(override, item.span),
        hint=item.hint,
    )
