"""IR to IR, one function per file, in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from codegen.ir import Project
from codegen.passes.check_defaults import check_defaults
from codegen.passes.flatten_objects import flatten_objects
from codegen.passes.flatten_unions import flatten_unions
from codegen.passes.order import order
from codegen.passes.python_names import python_names
from codegen.passes.tag_unions import tag_unions
from runtime.source import Diagnostics

__all__ = ["ORDER", "Pass", "apply"]

Pass = Callable[[Project, Diagnostics], Project]

ORDER: Final[tuple[Pass, ...]] = (flatten_objects, flatten_unions, tag_unions, check_defaults, python_names, order)


def apply(project: Project, diagnostics: Diagnostics) -> Project:
    """Run all passes; each may add diagnostics, none stops the next."""
    for run in ORDER:
        project = run(project, diagnostics)
    return project
