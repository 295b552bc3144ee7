"""The whole compiler on one page: load, link, lower, passes, emit.

A pure function of the files below ``root/schemas``: it prints nothing, writes nothing, and does not look at clock,
locale or environment. Writing is `codegen.writer`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from codegen import passes
from codegen.emit import Output, emit
from codegen.ir import Project
from codegen.link import link
from codegen.load import load
from codegen.lower import lower
from codegen.manifest import manifest
from runtime.source import Diagnostic, Diagnostics, Severity

__all__ = ["Compilation", "compile_schemas"]


class Compilation(msgspec.Struct, frozen=True, kw_only=True):
    """What came out. ``files`` maps a path to its text and holds nothing that a faulty file went into.

    When ``failed``, ``files`` is incomplete: write it only while you are still mending the rest.
    """

    files: Mapping[str, str]
    ir: Project
    diagnostics: tuple[Diagnostic, ...]
    inputs: Mapping[str, str]

    @property
    def failed(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self.diagnostics)


def compile_schemas(root: Path) -> Compilation:
    """Compile everything below ``root/schemas``, reporting all faults of all files."""
    diagnostics = Diagnostics()
    inputs = load(root, diagnostics)
    links = link(inputs, diagnostics)
    lowered = lower(inputs, links, diagnostics)
    project = passes.apply(lowered, diagnostics)
    faulty = {item.span.file for item in diagnostics if item.severity is Severity.ERROR}
    outputs = [output for output in emit(_sound(project, faulty)) if not _depends(output, faulty)]
    files = {output.path: output.text for output in outputs}
    if not faulty:
        files |= manifest(inputs.hashes, files)
    return Compilation(files=files, ir=project, diagnostics=tuple(diagnostics), inputs=inputs.hashes)


def _sound(project: Project, faulty: set[str]) -> Project:
    """The project without what came from faulty files: later stages may rely on what the earlier ones refuse."""
    return replace(
        project,
        modules=tuple(module for module in project.modules if module.source not in faulty),
        sections=tuple(section for section in project.sections if section.source not in faulty),
        protocols=tuple(protocol for protocol in project.protocols if protocol.source not in faulty),
        providers=tuple(provider for provider in project.providers if provider.source not in faulty),
        resources=tuple(resource for resource in project.resources if resource.source not in faulty),
    )


def _depends(output: Output, faulty: set[str]) -> bool:
    """Whether a faulty file is among the sources of ``output``, or in a folder that is."""
    return any(
        file == source or (source.endswith("/") and file.startswith(source))
        for source in output.sources
        for file in faulty
    )
