"""JSON objects changed at their top level while every other byte stays: what pass-through is made of.

An object is read as ``dict[str, msgspec.Raw]``: names in order, values as they came. Not for looking inside values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from runtime.catalog import ParameterRules, Range
from runtime.errors import InvalidRequest
from runtime.protocols.base import Asked, Envelope, Target

__all__ = ["Fields", "apply", "join", "peek", "raw", "renamed", "replace", "rewrite"]

Fields = dict[str, msgspec.Raw]

_FIELDS: Final = msgspec.json.Decoder(Fields)
_NUMBER: Final = msgspec.json.Decoder(int | float)
_TEXT: Final = msgspec.json.Decoder(str)
_BACKSLASH: Final = 92
_AT_BYTE: Final = re.compile(r"^(?:JSON is malformed: )?(?P<what>.*?) \(byte (?P<byte>\d+)\)$")
_KEY: Final = re.compile(rb'[ \t\r\n,]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\r\n]*:[ \t\r\n]*')
"""Behind a value, and its comma, of what is known to be JSON."""

_END: Final = re.compile(rb"[ \t\r\n]*\}")
_SPACED: Final = b'": '
_MODEL_FIRST: Final = b'{"model": '
_AGAIN_BYTES: Final = len(b'"":0,')
"""What a member takes at the least, beside its name."""

_NAME: Final = b'"model"'
_MODEL: Final = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')
_KINDS: Final = {"{": "an object", "[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}


def peek(body: bytes, asked: Asked = Asked(), *, streams: bool = False) -> Envelope:
    """Read a request's model and whether it wants a stream, no deeper; what ``asked`` says is not looked for.

    ``streams`` is what the protocol takes where nobody says whether to stream.

    Raises:
        InvalidRequest: the body is not UTF-8, not JSON, not an object, nested too deeply, or ``model`` or ``stream`` is not
            usable; the message says what was found and where.
    """
    fields = _read_request(body)
    name = _model(fields) if asked.model is None else asked.model
    if not name:
        raise InvalidRequest("The field 'model' must not be empty.", param="model", code="invalid_value")
    streamed = asked.stream
    if streamed is None:
        streamed = _streamed(fields["stream"], streams) if "stream" in fields else streams
    return Envelope(name, streamed, fields, body, asked.variant)


def rewrite(envelope: Envelope, target: Target, fields: Fields | None = None) -> bytes:
    """The request for ``target``: its model's name, its parameter rules applied. ``fields`` are the envelope's, edited."""
    before = envelope.fields
    if target.rules or (fields is not None and fields is not before):
        after = {**(before if fields is None else fields), "model": msgspec.Raw(target.named)}
        return join(envelope.body, before, apply(target.rules, after))
    return _readdressed(envelope.body, before, target.named)


def apply(rules: tuple[ParameterRules, ...], fields: Fields) -> Fields:
    """``fields`` as ``rules`` want them; the same object when there are none."""
    for rule in rules:
        fields = {rule.rename.get(name, name): value for name, value in _renamable(rule, fields)}
        for name, bounds in rule.range.items():
            if name in fields:
                fields[name] = _clamped(fields[name], bounds)
        for name, text in rule.add.items():
            fields.setdefault(name, msgspec.Raw(text.encode()))
        for group in rule.exclusive:
            for name in [name for name in group if name in fields][1:]:
                del fields[name]
    return fields


def replace(body: bytes, path: tuple[str, ...], value: msgspec.Raw) -> bytes:
    """``body`` with the member at ``path`` replaced; ``body`` itself when it has none. Raises msgspec.DecodeError."""
    fields = _FIELDS.decode(body)
    old = fields.get(path[0])
    if old is None:
        return body
    new = value if len(path) == 1 else msgspec.Raw(replace(bytes(old), path[1:], value))
    return join(body, fields, {**fields, path[0]: new})


def join(body: bytes, before: Mapping[str, msgspec.Raw], after: Fields) -> bytes:
    """The object ``after``, laid out as ``body`` was, of which ``before`` was read.

    White space between members survives when only values changed; members' own bytes survive always.
    """
    return _spliced(body, before, after) if list(before) == list(after) else msgspec.json.encode(after)


def renamed(body: bytes, model: str) -> bytes:
    """`replace` of the member ``model``, which ``body`` is known to have: where it is unmistakable, no other is looked at."""
    spelt_out = _BACKSLASH not in body or body.find(b"\\u00") < 0  # no name hides in escapes
    if spelt_out and body.count(_NAME) == 1:
        found = _MODEL.search(body)
        if found is not None:
            start, end = found.span(1)
            return body[:start] + msgspec.json.encode(model) + body[end:]
    return replace(body, ("model",), raw(model))


def raw(value: str | float | bool | None) -> msgspec.Raw:
    """``value`` as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))


def _model(fields: Fields) -> str:
    model = fields.get("model")
    if model is None:
        raise InvalidRequest("The field 'model' is required.", param="model", code="missing_required_parameter")
    return _text(model, "model")


def _streamed(stream: msgspec.Raw, default: bool) -> bool:
    match bytes(stream):
        case b"null":
            return default
        case b"false":
            return False
        case b"true":
            return True
        case other:
            raise _wrong_type("stream", "a boolean", other)


def _readdressed(body: bytes, fields: Fields, model: bytes) -> bytes:
    """`join` where only the ``model`` is another one.

    What stands behind one that comes first is not looked at, where it has no room for any member that comes twice.
    """
    old, spare = fields.get("model"), len(body) - _least(fields)
    if old is not None and spare > 0:
        lead = _MODEL_FIRST + old
        if body[: len(lead)] == lead and spare < _AGAIN_BYTES + min(map(len, fields)):
            return b"".join((_MODEL_FIRST, model, memoryview(body)[len(lead) :]))
        return _spliced(body, fields, {**fields, "model": msgspec.Raw(model)})
    return msgspec.json.encode({**fields, "model": msgspec.Raw(model)})


def _spliced(body: bytes, before: Mapping[str, msgspec.Raw], after: Fields) -> bytes:
    """`join` where both have the same names, in the same order."""
    if not body or len(body) == _least(before):
        return msgspec.json.encode(after)
    spliced = _laid_out(body, before, after)
    return msgspec.json.encode(after) if spliced is None else spliced


def _least(fields: Mapping[str, msgspec.Raw]) -> int:
    """How long an object of ``fields`` is without white space, with no name in escapes and none that comes twice."""
    least = 1
    for name, value in fields.items():
        least += len(name) + len(value) + 4  # quotes, a colon, and a comma or brace
    return least


def _laid_out(body: bytes, before: Mapping[str, msgspec.Raw], after: Fields) -> bytes | None:
    """``body`` with the values of ``after`` in their places; None when a name occurs twice, which ``before`` cannot tell."""
    pieces: list[bytes | memoryview | msgspec.Raw] = []
    seen = memoryview(body)
    copied = 0
    position = body.find(b"{") + 1
    ahead = b'"'
    for name, value in before.items():
        usual = ahead + name.encode() + _SPACED
        start = position + len(usual)
        if not (body.startswith(usual, position) and body.startswith(value, start)):
            start = _behind_key(body, position, name)
            if not start or not body.startswith(value, start):
                return None
        position = start + len(value)
        new = after[name]
        if new is not value:
            pieces += (seen[copied:start], new)
            copied = position
        ahead = b', "'
    if body[position:] != b"}" and _END.match(body, position) is None:
        return None
    pieces.append(seen[copied:])
    return b"".join(pieces)


def _behind_key(body: bytes, position: int, name: str) -> int:
    """Where the value begins of the member at ``position``, if it is called ``name``; 0 where it is not."""
    key = _KEY.match(body, position)
    if key is None or (key[1] != name.encode() and msgspec.json.decode(b'"' + key[1] + b'"') != name):
        return 0
    return key.end()


def _renamable(rule: ParameterRules, fields: Fields) -> list[tuple[str, msgspec.Raw]]:
    """The members that stay. An old name goes where the new one is there too: what was said outright counts."""
    return [
        (name, value)
        for name, value in fields.items()
        if name not in rule.drop and not (name in rule.rename and rule.rename[name] in fields)
    ]


def _clamped(value: msgspec.Raw, bounds: Range) -> msgspec.Raw:
    try:
        number = _NUMBER.decode(value)
    except msgspec.DecodeError:
        return value  # not a number: the provider says so better than we could
    if bounds.min is not None and number < bounds.min:
        return raw(_plain(bounds.min))
    if bounds.max is not None and number > bounds.max:
        return raw(_plain(bounds.max))
    return value


def _plain(bound: float) -> float:
    """A whole bound as an integer: a count must not become `1.0`."""
    return int(bound) if bound.is_integer() else bound


def _read_request(body: bytes) -> Fields:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The request body is not valid UTF-8: byte {error.start} is not.") from None
    try:
        return _FIELDS.decode(body)
    except msgspec.ValidationError:
        kind = _kind(body.lstrip()[:1].decode("ascii", "replace"))
        raise InvalidRequest(f"The request body must be a JSON object, not {kind}.") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {_reason(str(error), body)}.") from None
    except RecursionError:
        raise InvalidRequest("The request body is nested too deeply.") from None


def _reason(error: str, body: bytes) -> str:
    if not body.strip():
        return "it is empty"
    found = _AT_BYTE.match(error)
    if found is None:
        return f"it ends too early, at byte {len(body)}"
    return f"{found['what']} at byte {found['byte']}"


def _text(value: msgspec.Raw, name: str) -> str:
    try:
        return _TEXT.decode(value)
    except msgspec.ValidationError:
        raise _wrong_type(name, "a string", bytes(value)) from None


def _wrong_type(name: str, expected: str, found: bytes) -> InvalidRequest:
    kind = _kind(found[:1].decode("ascii", "replace"))
    return InvalidRequest(f"The field '{name}' must be {expected}, not {kind}.", param=name, code="invalid_type")


def _kind(first: str) -> str:
    return _KINDS.get(first, "a number")
