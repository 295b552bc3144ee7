"""Queries and JSON bodies of typed operations, looked at before Litestar reads them: what is declared, and each key once.

Litestar names the parameter where a body does not fit, and takes the last of two equal keys without a word. Here the fault
is named by its path in the body (`breakers.window`), which is the error's ``param``, too. Bodies of inference are not for
this: they go to their codecs byte for byte.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, cast, get_args

import msgspec

from runtime.errors import InvalidRequest, brief
from runtime.source import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request
    from litestar.datastructures import State

__all__ = ["LENIENT", "check_body", "check_json"]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"
Shape: TypeAlias = type[object]

_FAULT: Final = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\[(?P<place>\d+|\.\.\.)\]|\.?(?P<name>[^.\[]+)")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_ANY_KEY: Final = "..."
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
"""A whole number as JSON writes it, that every store can hold."""
NUL: Final = "\0"
LENIENT: Final = "lenient"
"""In a route's `opt`: what else stands in a query is left alone, as load balancers and browsers add to it."""
IN_QUERY: Final = frozenset({"key"})
"""What may stand in any query: the caller's key."""
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "str": "a text",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "object": "an object",
        "array": "an array",
    }
)


async def check_body(request: Request[object, object, State]) -> None:
    """A `before_request` of typed operations. Raises InvalidRequest."""
    for name, text in request.path_params.items():
        _demand_no_nul(text, name)
    _check_query(request)
    field = request.route_handler.parsed_data_field
    if field is None:
        return
    body = await request.body()
    if body or not field.is_optional:
        check_json(body, cast("Shape", field.annotation))


def _check_query(request: Request[object, object, State]) -> None:
    """A mistyped name must not widen what is changed, or what is shown. Raises InvalidRequest."""
    given = request.query_params.dict()
    if not given:
        return
    parameters = request.route_handler.parsed_fn_signature.parameters
    known = {
        getattr(each.kwarg_definition, "name", None) or name: cast("object", each.annotation)
        for name, each in parameters.items()
    }
    lenient = LENIENT in request.route_handler.opt
    for name, texts in given.items():
        if name in known:
            if len(texts) > 1:
                raise InvalidRequest(f"{brief(name)}: this parameter is written twice in the query", param=name)
            _demand_no_nul(texts[0], name)
            _demand_whole(texts[0], name, known[name])
        elif name not in IN_QUERY and not lenient:
            near = closest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise InvalidRequest(f"{brief(name)}: there is no such query parameter here{hint}", param=brief(name))


def _demand_no_nul(value: object, path: str) -> None:
    """No name has one, and PostgreSQL keeps no text with one. Raises InvalidRequest."""
    if isinstance(value, str) and NUL in value:
        raise InvalidRequest(f"{brief(path)}: a text must not hold the NUL character", param=path)


def _demand_whole(text: str, name: str, type_: object) -> None:
    """Litestar takes `1e3` and `5.0`, too, for an integer. Raises InvalidRequest."""
    if (type_ is int or int in get_args(type_)) and _WHOLE.fullmatch(text) is None:
        raise InvalidRequest(f"{name}: expected a whole number in digits, not {brief(text)!r}", param=name)


def check_json(body: bytes, shape: Shape, *, strict: bool = False) -> None:
    """Raises InvalidRequest for what is no JSON, says a key twice or does not fit ``shape``.

    ``strict`` takes nothing for another type, as `msgspec.json.decode` does not; without it that is done which Litestar does.
    """
    if not body.strip():
        raise InvalidRequest("the request needs a body, in JSON")
    try:
        value = cast("Json", msgspec.json.decode(body))
        twice = _said_twice(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    if twice is not None:
        raise InvalidRequest(f"{brief(twice)}: this key is written twice in one object", param=twice)
    fault_of = partial(_fault, shape=shape, strict=strict)
    if fault := fault_of(value):
        raise _complaint(fault, value, fault_of)
    if b"\\u0000" in body:
        for path, text in _texts(value):
            _demand_no_nul(text, path)


# -- keys


def _said_twice(body: bytes) -> str | None:
    """The path of a key that its object holds twice."""
    found: list[tuple[dict[str, Json], str]] = []

    def read(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        made = dict(pairs)
        if len(made) < len(pairs):
            count = Counter(key for key, _ in pairs)
            found.append((made, next(key for key in made if count[key] > 1)))
        return made

    tree = cast("Json", json.loads(body, object_pairs_hook=read))
    if not found:
        return None
    holder, key = found[-1]  # outer objects come after those inside, so this one is not in what another one dropped
    return next(f"{path}{key}" for path, each in _objects(tree) if each is holder)


def _objects(tree: Json) -> list[tuple[str, Json]]:
    """Every object below ``tree`` with what stands before its keys in a path."""
    found: list[tuple[str, Json]] = []
    left: list[tuple[str, Json]] = [("", tree)]
    while left:
        path, node = left.pop()
        if isinstance(node, dict):
            found.append((f"{path}." if path else "", node))
            left += [(f"{path}.{key}" if path else key, each) for key, each in node.items()]
        elif isinstance(node, list):
            left += [(f"{path}[{index}]", each) for index, each in enumerate(node)]
    return found


def _texts(tree: Json) -> list[tuple[str, str]]:
    """Every text below ``tree``, and every key, with its path."""
    found: list[tuple[str, str]] = []
    left: list[tuple[str, Json]] = [("", tree)]
    while left:
        path, node = left.pop()
        if isinstance(node, str):
            found.append((path, node))
        elif isinstance(node, list):
            left += [(f"{path}[{index}]", each) for index, each in enumerate(node)]
        elif isinstance(node, dict):
            found += [(path, key) for key in node]
            left += [(f"{path}.{key}" if path else key, each) for key, each in node.items()]
    return found


# -- shapes


def _fault(value: Json, shape: Shape, *, strict: bool) -> str | None:
    """What msgspec says of ``value``."""
    try:
        msgspec.convert(value, shape, strict=strict, str_keys=True)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _complaint(fault: str, value: Json, fault_of: Callable[[Json], str | None]) -> InvalidRequest:
    found = _FAULT.fullmatch(fault)
    what, place = (found["what"], found["path"] or "") if found else (fault, "")
    path = _path(place, value, lambda: fault_of(value) == fault)
    for pattern, told in ((_MISSING, "is required"), (_UNKNOWN, "there is no such field")):
        if named := pattern.fullmatch(what):
            path = f"{path}.{named['name']}" if path else named["name"]
            return InvalidRequest(f"{brief(path)}: {told}", param=path)
    expected = re.sub(r"`([^`]*)`", lambda types: _plain(types[1]), what).replace(", got ", ", found ")
    return InvalidRequest(f"{brief(path) or 'the body'}: {expected[:1].lower()}{expected[1:]}", param=path or None)


def _path(place: str, value: Json, still_wrong: Callable[[], bool]) -> str:
    """``place`` as msgspec gives it, with the keys that it leaves out."""
    path = ""
    for step in _STEP.finditer(place):
        key = step["name"] or step["place"]
        if key == _ANY_KEY and isinstance(value, dict):
            key = _culprit(value, still_wrong)
        if isinstance(value, dict):
            value = value.get(key)
            path = f"{path}.{key}" if path else key
        elif isinstance(value, list) and key.isdigit():
            value = value[int(key)]
            path = f"{path}[{key}]"
        else:
            break
    return path


def _culprit(holder: dict[str, Json], still_wrong: Callable[[], bool]) -> str:
    """The key of ``holder`` whose value is at fault; all others are taken out of it."""
    entries = list(holder.items())
    while len(entries) > 1:
        half = entries[: len(entries) // 2]
        holder.clear()
        holder.update(half)
        entries = half if still_wrong() else entries[len(half) :]
    holder.clear()
    holder.update(entries)
    return entries[0][0]


def _plain(types: str) -> str:
    return " or ".join(_WORDS.get(word, word) for word in types.split(" | "))
