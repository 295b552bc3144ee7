"""What the simulated provider says no with: the vendor's error envelope, and the words for requests of a wrong shape."""

from __future__ import annotations

import re
from types import MappingProxyType

import msgspec

__all__ = ["Refused", "envelope", "refused_shape"]


class Refused(Exception):  # noqa: N818 — an answer like any other, not a failure of ours
    """``headers`` are those of the answer beside the content type."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        *,
        type_: str = "invalid_request_error",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.type = type_
        self.headers = headers


def envelope(refused: Refused) -> bytes:
    error = {"message": refused.message, "type": refused.type, "param": refused.param, "code": refused.code}
    return msgspec.json.format(msgspec.json.encode({"error": error}), indent=2)


PLACE = re.compile(r" - at `\$\.?(?P<path>.*)`$")
UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
TYPE = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
LENGTH = re.compile(r"Expected `(?P<what>\w+)` of length (?P<limit>.*)")
PATTERN = re.compile(r"Expected `str` matching regex (?P<pattern>.*)")
RANGE = re.compile(r"Expected `(?P<what>int|float)` (?P<limit>[<>]=? .*)")
VALUE = re.compile(r"Invalid (?:enum )?value (?P<value>.*)")

TYPES = MappingProxyType({
    "str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean", "array": "an array",
    "object": "an object", "null": "null",
})  # fmt: skip


def refused_shape(found: str) -> Refused:
    """The vendor's refusal for what the decoder ``found``, an error text of msgspec's with a path at its end."""
    place = PLACE.search(found)
    path = "" if place is None else place["path"]
    found = found if place is None else found[: place.start()]
    if (match := UNKNOWN.fullmatch(found)) or (match := MISSING.fullmatch(found)):
        param = f"{path}.{match['name']}" if path else match["name"]
        if match.re is UNKNOWN:
            return Refused(400, f"Unknown parameter: '{param}'.", param, "unknown_parameter")
        return Refused(400, f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    return Refused(400, *_wrong_value(path, found))


def _wrong_value(path: str, found: str) -> tuple[str, str, str]:
    """Message, param and code."""
    if match := TYPE.fullmatch(found):
        wanted = " or ".join(TYPES.get(word.strip(), word.strip()) for word in match["wanted"].split("|"))
        got = TYPES.get(match["got"], match["got"])
        return f"Invalid type for '{path}': expected {wanted}, but got {got} instead.", path, "invalid_type"
    if match := LENGTH.fullmatch(found):
        what = "array" if match["what"] == "array" else "string" if match["what"] == "str" else "object"
        side = "below_min" if match["limit"].startswith(">") else "above_max"
        return f"Invalid '{path}': expected a length {match['limit']}.", path, f"{what}_{side}_length"
    if match := PATTERN.fullmatch(found):
        return f"Invalid '{path}': it does not match the pattern {match['pattern']}.", path, "invalid_value"
    if match := RANGE.fullmatch(found):
        what = "integer" if match["what"] == "int" else "decimal"
        side = "below_min" if match["limit"].startswith(">") else "above_max"
        return f"Invalid '{path}': expected a value {match['limit']}.", path, f"{what}_{side}_value"
    if match := VALUE.fullmatch(found):
        return f"Invalid value for '{path}': {match['value']}.", path, "invalid_value"
    return f"Invalid '{path}': {found}.", path, "invalid_value"
