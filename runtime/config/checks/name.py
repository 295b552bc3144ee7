"""Public names: well formed, with a star only where one can stand for something, and each given once."""

from __future__ import annotations

import re
from typing import Final

from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.config.wildcard import overlap
from runtime.source import Note

__all__ = ["check_names"]

_MODEL: Final = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_NAME: Final = re.compile(r"[A-Za-z0-9@*][A-Za-z0-9@*._:/+-]{0,199}")


def check_names(scope: Scope, draft: Draft) -> None:
    """Check the names of aliases, combos, models, tenants and meters."""
    _check_models(scope)
    _check_plain(scope)
    for section, names in (("aliases", scope.config.aliases), ("combos", scope.config.combos)):
        for name in names:
            _check_form(scope, section, name)
            if name in draft.models and name in draft.names.models:
                message = f"{section[:-2] if section == 'aliases' else 'combo'} {name!r} has the name of a model"
                scope.diagnostics.error("name-collision", scope.at.key(section, name), message, "choose another name")
    for name in scope.config.combos:
        if name in scope.config.aliases:
            note = Note(scope.at.key("aliases", name), "the alias")
            message = f"combo {name!r} has the name of an alias"
            scope.diagnostics.error("name-collision", scope.at.key("combos", name), message, "rename one", [note])
    for name, target in scope.config.aliases.items():
        _check_stars(scope, name, target)
    _check_rivals(scope)
    for name, combo in scope.config.combos.items():
        for index, item in enumerate(combo.targets):
            if "*" in (item if isinstance(item, str) else item.model):
                span = scope.at.value("combos", name, "targets", index)
                scope.diagnostics.error("bad-pattern", span, "a target cannot hold `*`", "name one model")


def _check_models(scope: Scope) -> None:
    for id_, provider in scope.config.providers.items():
        for name in provider.models:
            if not _MODEL.fullmatch(name) or "*" in name:
                hint = "use printable ASCII without `*`, at most 200"
                message = f"{name!r} cannot be a model's name"
                scope.diagnostics.error("invalid-name", scope.at.key("providers", id_, "models", name), message, hint)


def _check_plain(scope: Scope) -> None:
    """Names that stand in settings, reports and commands."""
    for section, names in (("tenants", scope.config.tenants), ("meters", scope.config.meters)):
        for name in names:
            if not _PLAIN.fullmatch(name):
                hint = "use letters, digits, `.`, `_` and `-`, at most 64, and begin with a letter or digit"
                message = f"{name!r} cannot be a {section[:-1]}'s name"
                scope.diagnostics.error("invalid-name", scope.at.key(section, name), message, hint)


def _check_form(scope: Scope, section: str, name: str) -> None:
    span = scope.at.key(section, name)
    if not _NAME.fullmatch(name) or name.endswith("/"):
        hint = "use letters, digits and `._:/@+-`, at most 200, and begin with a letter or digit"
        scope.diagnostics.error("invalid-name", span, f"{name!r} cannot be a public name", hint)
    elif section == "combos" and "*" in name:
        hint = "give the combo a plain name and write an alias with the `*`"
        scope.diagnostics.error("bad-pattern", span, f"combo {name!r} holds a `*`", hint)


def _check_stars(scope: Scope, name: str, target: str) -> None:
    if name.count("*") > 1:
        message = f"alias {name!r} holds two `*`"
        scope.diagnostics.error("bad-pattern", scope.at.key("aliases", name), message, "one `*` is understood")
    elif target.count("*") > 1 or ("*" in target and "*" not in name):
        span = scope.at.value("aliases", name)
        hint = "a target's `*` stands for what the alias's own one matched"
        scope.diagnostics.error("bad-pattern", span, f"the target {target!r} has a `*` too many", hint)


def _check_rivals(scope: Scope) -> None:
    """Wildcards of which neither is more specific, so that only their spelling would decide where a name goes."""
    rivals: dict[int, list[str]] = {}
    for name in (name for name in scope.config.aliases if name.count("*") == 1):
        length = len(name)
        other = next((each for each in rivals.get(length, ()) if _compete(scope, name, each)), None)
        rivals.setdefault(length, []).append(name)
        if other is not None:
            note = Note(scope.at.key("aliases", other), f"as specific, and it leads to {scope.config.aliases[other]}")
            message = f"names may fit {name!r} and {other!r} alike"
            hint = "make one of them longer, or name their targets in plain aliases"
            scope.diagnostics.error("ambiguous-name", scope.at.key("aliases", name), message, hint, [note])


def _compete(scope: Scope, name: str, other: str) -> bool:
    """Whether some name fits both and they lead it to different places."""
    aliases = scope.config.aliases
    return overlap(name, other) and ("*" in aliases[name] or aliases[name] != aliases[other])
