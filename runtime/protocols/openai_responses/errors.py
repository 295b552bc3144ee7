"""Failures on this protocol's wire, both ways: answers, events of a stream, and what a failed answer tells its client."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from generated.protocols.openai_responses import FACTS
from runtime.errors import GatewayError, UpstreamFailed, UpstreamProtocolError
from runtime.protocols.openai_error import OpenAIErrors, excerpt
from runtime.protocols.openai_responses.wire import encode

__all__ = ["broken", "error_within", "failed_error", "failure_json", "read_error", "write_error"]

_CODES: Final = frozenset({
    "server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy",
    "misalignment_policy_violation", "vector_store_timeout", "invalid_image", "invalid_image_format",
    "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small", "image_parse_error",
    "image_content_policy_violation", "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type",
    "empty_image_file", "failed_to_download_image", "image_file_not_found", "context_length_exceeded",
})  # fmt: skip
"""What a failed answer may name. SDKs know a closed list; `context_length_exceeded` is not on it, but coding agents act on
it."""

_CODE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context_length": "context_length_exceeded",
        "rate_limit": "rate_limit_exceeded",
        "content_policy": "invalid_prompt",
        "invalid_request": "invalid_prompt",
    }
)

_OBJECT: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])
_ERRORS: Final = OpenAIErrors.of(FACTS, "output", "response")

error_within = _ERRORS.within
read_error = _ERRORS.read
write_error = _ERRORS.write


def failure_json(error: GatewayError) -> bytes:
    """The ``error`` of a failed answer. Agents read from a rate limit's words how long to wait."""
    code = error.code if error.code in _CODES else _CODE_OF.get(error.kind, "server_error")
    message = error.message
    if code == "rate_limit_exceeded" and error.retry_after_s is not None and "try again in" not in message.lower():
        message = f"{message} Please try again in {error.retry_after_s:g}s."
    return encode({"code": code, "message": message})


def failed_error(error: msgspec.Raw | msgspec.UnsetType | None) -> GatewayError:
    """The error that a failed answer tells of."""
    said: dict[str, Any] = {}
    if isinstance(error, msgspec.Raw):
        try:
            said = _OBJECT.decode(error)
        except msgspec.DecodeError:
            said = {"message": excerpt(bytes(error)) if bytes(error) != b"null" else None}
    if not said.get("message") and not said.get("code"):
        return UpstreamFailed("The provider says that its answer failed, and not why.")
    return _ERRORS.classified(said)


def broken(data: bytes, error: Exception) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The provider sent a stream event that cannot be read ({error}): {excerpt(data)}")
