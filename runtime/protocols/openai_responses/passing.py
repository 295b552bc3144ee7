"""Requests that pass through: the model's name and the parameter rules change, and what the vendor did not seal is left out."""

from __future__ import annotations

from runtime.protocols.base import Envelope, Outgoing, Target
from runtime.protocols.openai_responses.outgoing import head
from runtime.protocols.openai_responses.seal import own_only
from runtime.protocols.splice import rewrite

__all__ = ["pass_request"]


def pass_request(envelope: Envelope, target: Target) -> Outgoing:
    fields = envelope.fields
    items = fields.get("input")
    if items is not None and (own := own_only(items)) is not items:
        fields = {**fields, "input": own}
    return Outgoing(*head(target, stream=envelope.stream), rewrite(envelope, target, fields), envelope.stream)
