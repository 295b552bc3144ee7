"""Provider files to the middle. Their spec is the fact itself; what is added is what one file can contradict."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from codegen.ir import ProviderDef
from codegen.load import Source
from codegen.naming import module_name
from runtime.catalog import Model, ParameterRules, Provider, Surface
from runtime.catalog.path import path_complaint
from runtime.source import Diagnostics, Note, locate

__all__ = ["lower_providers"]

_DATE: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")

_ADDRESS: Final = re.compile(r"(https?|sim)://[^\s/?#@]+(/[^\s?#]*)?\Z")
_VERSION: Final = re.compile(r"[!-~]+")

Path = tuple[str | int, ...]


def lower_providers(sources: Iterable[Source[Provider]], diagnostics: Diagnostics) -> tuple[ProviderDef, ...]:
    """Every provider, in the order of its id."""
    modules: dict[str, ProviderDef] = {}
    for source in sorted(sources, key=lambda source: source.spec.id):
        checker = _Checker(source, diagnostics)
        checker.provider(source.spec)
        name = module_name(source.spec.id)
        definition = ProviderDef(module=name, provider=source.spec, source=source.path, span=source.node.span)
        earlier = modules.setdefault(name, definition)
        if earlier is not definition:
            notes = [Note(earlier.span, f"{earlier.provider.id!r} is here")]
            message = f"two providers become the module {name}"
            diagnostics.error("duplicate-name", locate(source.node, ("id",)), message, "change one id", notes)
    return tuple(modules.values())


class _Checker:
    def __init__(self, source: Source[Provider], diagnostics: Diagnostics) -> None:
        self._source = source
        self._diagnostics = diagnostics

    def provider(self, provider: Provider) -> None:
        if provider.id != self._source.stem:
            message = f"{self._source.path} describes {provider.id!r}"
            self._error("name-mismatch", ("id",), message, f"write `id: {self._source.stem}`")
        used = set(re.findall(r"\{([^{}]*)\}", provider.base_url))
        for number, variable in enumerate(provider.variables):
            if variable not in used:
                self._error("useless-keyword", ("variables", number), f"base_url has no {{{variable}}}", "remove it")
        for variable in sorted(used - set(provider.variables)):
            message = f"{{{variable}}} is not among the variables"
            self._error("unknown-name", ("base_url",), message, f"add {variable} to `variables`")
        if not _ADDRESS.match(provider.base_url):
            hint = "begin with https:// and the host"
            self._error("bad-url", ("base_url",), f"{provider.base_url!r} is no address", hint)
        for protocol, surface in provider.surfaces.items():
            self._surface(surface, ("surfaces", protocol))
        self._parameters(provider.parameters, ("parameters",))
        seen: dict[str, int] = {}
        for number, model in enumerate(provider.models):
            if seen.setdefault(model.id, number) != number:
                notes = [Note(locate(self._source.node, ("models", seen[model.id])), "here")]
                span = locate(self._source.node, ("models", number, "id"))
                message = f"the model {model.id!r} stands here twice"
                self._diagnostics.error("duplicate-name", span, message, "keep one", notes)
            self._model(model, ("models", number))

    def _surface(self, surface: Surface, path: Path) -> None:
        for name, written in (("path", surface.path), ("count_tokens", surface.count_tokens)):
            if written is not None and (complaint := path_complaint(written)) is not None:
                self._error("bad-url", (*path, name), *complaint)
        if surface.version is not None and not _VERSION.fullmatch(surface.version):
            message = f"no header can carry {surface.version!r}"
            self._error("bad-header", (*path, "version"), message, "use printable ASCII, such as `2023-06-01`")
        if surface.max_inputs is not None and surface.max_inputs < 1:
            message = f"max_inputs: {surface.max_inputs} would send nothing"
            self._error("invalid-value", (*path, "max_inputs"), message, "write 1 or more, or remove it")
        self._parameters(surface.parameters, (*path, "parameters"))

    def _model(self, model: Model, path: Path) -> None:
        for number, capability in enumerate(model.lacks):
            if capability in model.has:
                message = f"{model.id} both has and lacks {capability}"
                self._error("contradiction", (*path, "lacks", number), message, "remove one of the two")
        if model.prices is not None:
            self._date(model.prices.date, (*path, "prices", "date"))
            if (complaint := model.prices.complaint) is not None:
                self._error("contradiction", (*path, "prices"), complaint, "say both, or neither")
        if model.released is not None and len(model.released) == len("2025-01-01"):
            self._date(model.released, (*path, "released"))
        self._parameters(model.parameters, (*path, "parameters"))

    def _date(self, date: str, path: Path) -> None:
        if not _DATE.fullmatch(date):
            self._error("invalid-value", path, f"{date!r} is not a date", 'write it as "2026-01-31"')

    def _parameters(self, rules: ParameterRules, path: Path) -> None:
        for name, range_ in rules.range.items():
            if range_.min is not None and range_.max is not None and range_.min > range_.max:
                message = f"the range of {name} ends before it begins"
                self._error("contradiction", (*path, "range", name), message, "exchange the two")
        for name, text in rules.add.items():
            try:
                json.loads(text)
            except ValueError:
                message = f"{text!r} is not JSON"
                self._error("invalid-value", (*path, "add", name), message, f"write '\"{text}\"' for a text")

    def _error(self, code: str, path: Path, message: str, hint: str) -> None:
        self._diagnostics.error(code, locate(self._source.node, path), message, hint)
