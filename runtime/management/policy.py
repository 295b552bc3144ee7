"""Policies as the management API has them: a name, and what gateway.yaml says of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runtime.management.body import read_body

__all__ = ["PolicyFields", "read_policy"]


class PolicyFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of a policy. What only answers say is taken and left aside."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    settings: dict[str, object] | UnsetType = UNSET
    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET


def read_policy(data: Mapping[str, object]) -> PolicyFields:
    """Raises InvalidRequest."""
    return read_body(data, PolicyFields)
