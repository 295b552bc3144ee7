"""The errors a fake provider can be asked for by a model's name, in the envelope of every protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["FAULTS", "KEY", "Fault", "envelope", "refusal"]

KEY = "sk-vendor-secret-0123456789abcdef"


class Fault(NamedTuple):
    """An error as vendors give it. ``status_name`` is Google's word for it; ``retry_s`` how long to wait, if it says."""

    status: int
    openai: Mapping[str, Any]
    anthropic: Mapping[str, Any]
    status_name: str = "INVALID_ARGUMENT"
    retry_s: int | None = None


FAULTS = {
    "fault-400": Fault(
        400,
        {"message": "Invalid 'seed'", "type": "invalid_request_error", "param": "seed", "code": "invalid_value"},
        {"type": "invalid_request_error", "message": "seed: invalid"},
    ),
    "fault-401": Fault(
        401,
        {
            "message": f"Incorrect API key provided: {KEY[:6]}",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        },
        {"type": "authentication_error", "message": "invalid x-api-key"},
        "UNAUTHENTICATED",
    ),
    "fault-404": Fault(
        404,
        {"message": "The model does not exist", "type": "invalid_request_error", "code": "model_not_found"},
        {"type": "not_found_error", "message": "model: fault-404"},
        "NOT_FOUND",
    ),
    "fault-413": Fault(
        413,
        {"message": "Request too large", "type": "invalid_request_error", "code": None},
        {"type": "request_too_large", "message": "Request exceeds the maximum size"},
    ),
    "fault-429": Fault(
        429,
        {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"},
        {"type": "rate_limit_error", "message": "Number of requests has exceeded your rate limit"},
        "RESOURCE_EXHAUSTED",
        7,
    ),
    "fault-500": Fault(
        500,
        {"message": "The server had an error", "type": "server_error", "code": None},
        {"type": "api_error", "message": "Internal server error"},
        "INTERNAL",
    ),
    "fault-529": Fault(
        529,
        {"message": "Overloaded", "type": "server_error", "code": "server_is_overloaded"},
        {"type": "overloaded_error", "message": "Overloaded"},
        "UNAVAILABLE",
    ),
}


def refusal(message: str) -> Fault:
    """The 400 that a bad request gets."""
    kind = {"type": "invalid_request_error", "message": message}
    return Fault(400, kind | {"code": None}, kind)


def envelope(protocol: str, fault: Fault) -> tuple[bytes, tuple[str, ...]]:
    """The body that says ``fault``, and the headers beside it. Google says in the body how long to wait."""
    message = fault.openai["message"]
    waits = () if fault.retry_s is None else (f"retry-after: {fault.retry_s}",)
    if protocol == "anthropic_messages":
        return _json({"type": "error", "error": dict(fault.anthropic), "request_id": "req_vendor"}), waits
    if protocol == "gemini":
        error: dict[str, Any] = {"code": fault.status, "message": message, "status": fault.status_name}
        if fault.retry_s is not None:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{fault.retry_s}s"}
            error["details"] = [retry]
        return _json({"error": error}), ()
    if protocol == "ollama_chat":
        return _json({"error": message}), waits
    return _json({"error": {"param": None, **fault.openai}}), waits


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
