"""The table of losses names real fields of canonical values, and each is told with a reason."""

from __future__ import annotations

import msgspec
import pytest

from runtime import canonical
from runtime.protocols.anthropic_messages import LOSSES

REQUEST = set(canonical.Request.__struct_fields__)
RESPONSE = set(canonical.Response.__struct_fields__)
TAGS = {
    config.tag
    for name in canonical.__all__
    if isinstance(kind := getattr(canonical, name), type) and issubclass(kind, msgspec.Struct)
    and (config := kind.__struct_config__).tag is not None
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(LOSSES))
def test_a_loss_names_a_field_of_canonical_and_says_why(path: str) -> None:
    first, _, rest = path.partition(".")

    assert first in REQUEST | RESPONSE
    assert LOSSES[path].endswith(".")
    if rest.startswith("content."):
        kind = rest.removeprefix("content.").partition(".")[0]
        assert kind in TAGS | {"search_result"}


def test_every_sampling_field_is_either_said_or_a_loss() -> None:
    said = {"temperature", "top_p", "top_k"}
    lost = {path.removeprefix("sampling.") for path in LOSSES if path.startswith("sampling.")}

    assert set(canonical.Sampling.__struct_fields__) == said | lost
