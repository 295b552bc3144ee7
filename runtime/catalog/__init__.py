"""Facts about providers and models as values; `generated.catalog` fills them from `schemas/providers`."""

from runtime.catalog.capability import Capability, Certainty, Endpoint
from runtime.catalog.model import Limits, Model, ParameterRules, Prices, Range, ReasoningFacts, Tier
from runtime.catalog.protocol import ErrorRule, ErrorShape, WireProtocol
from runtime.catalog.provider import Auth, Provider, Quirks, Surface

__all__ = [
    "Auth", "Capability", "Certainty", "Endpoint", "ErrorRule", "ErrorShape", "Limits", "Model", "ParameterRules", "Prices", "Provider", "Quirks", "Range",
    "ReasoningFacts", "Surface", "Tier", "WireProtocol",
]  # fmt: skip
