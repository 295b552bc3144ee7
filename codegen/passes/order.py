"""Move aliases behind what they are made of: classes name each other freely, an alias is evaluated where it stands."""

from __future__ import annotations

from msgspec.structs import replace

from codegen.ir import Alias, Declaration, Module, Project
from codegen.passes.rewrite import references
from runtime.source import Diagnostics

__all__ = ["order"]


def order(project: Project, diagnostics: Diagnostics) -> Project:
    """Keep the author's order, but for aliases."""
    return replace(project, modules=tuple(_ordered(module, diagnostics) for module in project.modules))


def _ordered(module: Module, diagnostics: Diagnostics) -> Module:
    waiting = list(module.declarations)
    names = {item.name for item in waiting}
    done: dict[str, Declaration] = {}
    while waiting:
        ready = next((item for item in waiting if _needs(item, module.name, names) <= done.keys()), None)
        if ready is None:
            ready = _report_cycle(waiting, module.name, diagnostics)
        waiting.remove(ready)
        done[ready.name] = ready
        # An alias that waited comes right behind the last thing it waited for: start again from the front.
    return replace(module, declarations=tuple(done.values()))


def _report_cycle(waiting: list[Declaration], module: str, diagnostics: Diagnostics) -> Declaration:
    """Follow what cannot be placed to where it comes back to itself; one of the cycle."""
    by_name = {item.name: item for item in waiting}
    path: list[str] = []
    name = next(item.name for item in waiting if isinstance(item, Alias))
    while name not in path:
        path.append(name)
        name = min(_needs(by_name[name], module, set(by_name)))
    cycle = path[path.index(name) :]
    message = f"{' and '.join(cycle)} contain one another" if len(cycle) > 1 else f"{name} contains itself"
    diagnostics.error(
        "alias-cycle", by_name[name].span, f"{message} without an object between", "make one of them an object"
    )
    return by_name[name]


def _needs(item: Declaration, module: str, names: set[str]) -> set[str]:
    """The names of the module that must be there first."""
    if not isinstance(item, Alias):
        return set()
    return {found.name for found in references(item.type) if found.module == module and found.name in names}
