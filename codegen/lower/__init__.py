"""Specs to the middle, one module per kind of file."""

from __future__ import annotations

from codegen.ir import Project
from codegen.link import Links
from codegen.load import Inputs
from codegen.lower.openapi import lower_api, lower_components, lower_resources
from codegen.lower.protocols import lower_modules, lower_protocols
from codegen.lower.providers import lower_providers
from codegen.lower.settings import lower_sections
from runtime.source import Diagnostics

__all__ = ["lower"]


def lower(inputs: Inputs, links: Links, diagnostics: Diagnostics) -> Project:
    """Everything that was read, as one value."""
    api = lower_api(inputs, diagnostics)
    return Project(
        modules=(
            *lower_modules(inputs.protocols, links, diagnostics),
            *lower_components(inputs.openapi, links, diagnostics),
        ),
        sections=lower_sections(inputs.sections, diagnostics),
        protocols=lower_protocols(inputs.protocols, links, diagnostics),
        providers=lower_providers(inputs.providers, diagnostics),
        api=api,
        resources=lower_resources(inputs, api, links, diagnostics),
    )
