"""What our own OpenAPI document says: its operations, and small values that its schemas allow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["DOCUMENT", "MANAGING", "OPERATIONS", "Operation", "json_body", "sample"]

DOCUMENT: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "generated" / "openapi.json").read_text("utf-8")
)
VERBS: Final = {"get", "post", "put", "patch", "delete"}
JSON: Final = "application/json"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. ``aliases`` are its other paths; ``raw`` is the dialect it is served raw in, if it is."""

    id: str
    verb: str
    path: str
    aliases: tuple[str, ...]
    scope: str
    raw: str | None
    said: dict[str, Any]

    @property
    def manages(self) -> bool:
        """Whether it is one of our own, not of a vendor's protocol that calls models."""
        return self.raw in {None, "problem"}

    @property
    def changes(self) -> bool:
        return self.verb not in {"GET", "HEAD"}

    @property
    def in_path(self) -> tuple[str, ...]:
        """The parameters in its path."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def in_query(self) -> tuple[str, ...]:
        return tuple(one["name"] for one in self.said.get("parameters", ()) if one["in"] == "query")


def json_body(operation: dict[str, Any]) -> object | None:
    """The smallest JSON body that ``operation`` takes, or None where it takes no JSON."""
    content = operation.get("requestBody", {}).get("content", {}).get(JSON)
    return sample(content["schema"]) if content is not None else None


def sample(schema: dict[str, Any]) -> Any:
    """A value that ``schema`` allows, with nothing in it that may be left out."""
    if "$ref" in schema:
        return sample(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return sample(schema[several][0])
    if "allOf" in schema:
        return {name: value for part in schema["allOf"] for name, value in sample(part).items()}
    return _of_type(schema)


def _of_type(schema: dict[str, Any]) -> Any:
    type_ = schema.get("type")
    match type_[0] if isinstance(type_, list) else type_:
        case "object":
            properties = schema.get("properties", {})
            return {name: sample(properties[name]) for name in schema.get("required", ())}
        case "array":
            return [sample(schema["items"])] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            return "a" * max(1, schema.get("minLength", 1))
        case _:
            return {}


def _operations() -> tuple[Operation, ...]:
    return tuple(
        Operation(
            id=said["operationId"],
            verb=verb.upper(),
            path=path,
            aliases=tuple(item.get("x-aliases", ())),
            scope=said["x-scope"],
            raw=said.get("x-raw"),
            said=said,
        )
        for path, item in DOCUMENT["paths"].items()
        for verb, said in item.items()
        if verb in VERBS
    )


OPERATIONS: Final = _operations()
MANAGING: Final = tuple(one for one in OPERATIONS if one.manages)
"""Everything but the calls of models."""
