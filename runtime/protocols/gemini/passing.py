"""Requests that pass through: this protocol in, this protocol out, byte for byte.

The model and whether to stream are in the path, so the body stays as it is. Parameter rules are about its top-level fields;
what is inside `generationConfig` is the client's. Two things are put right, because the vendor would refuse the request:
other vendors' thinking state is taken out, and a call that is signed by nobody gets the documented stand-in where the model
demands a signature.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from runtime.protocols.base import Envelope, Outgoing, Target
from runtime.protocols.gemini.encode_request import HEADERS, path_of
from runtime.protocols.gemini.signature import DUMMY, FOREIGN, is_foreign
from runtime.protocols.gemini.spelling import camel
from runtime.protocols.gemini.wire import Fields, generation, pure, raw_of
from runtime.protocols.splice import apply, join

__all__ = ["own_only", "pass_request"]

_SIGNED_SINCE: Final = 3
_SEAL: Final = re.compile(rb'"thought_?[sS]ignature"[ \t\r\n]*:[ \t\r\n]*"' + FOREIGN)
_CALL: Final = re.compile(rb'"function_?[cC]all"')
_COUNT: Final = re.compile(rb'"candidate_?[cC]ount"[ \t\r\n]*:[ \t\r\n]*"?(\d{1,3})')
_CONTENTS: Final = msgspec.json.Decoder(list[Fields])
_PARTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS: Final = msgspec.json.Decoder(Fields)
_TEXT: Final = msgspec.json.Decoder(str)


def pass_request(envelope: Envelope, target: Target) -> Outgoing:
    fields = dict(envelope.fields)
    contents = fields.get("contents")
    if contents is not None:
        sign = (generation(pure(target.model.id)) or 0) >= _SIGNED_SINCE
        fields["contents"] = own_only(contents, sign=sign)
    if "model" in fields:
        fields["model"] = raw_of(f"models/{pure(target.model.id)}")
    return Outgoing(
        path=path_of(target.surface.path, target, stream=envelope.stream),
        headers=HEADERS,
        body=join(envelope.body, envelope.fields, apply(target.rules, fields)),
        stream=envelope.stream,
        choices=_choices(fields),
    )


def _choices(fields: Fields) -> int:
    config = fields.get("generationConfig") or fields.get("generation_config")
    found = None if config is None else _COUNT.search(memoryview(config))
    return 1 if found is None else int(found[1])


def own_only(contents: msgspec.Raw, *, sign: bool) -> msgspec.Raw:
    """A client's ``contents`` with the vendor's own signatures only; the same object where nothing is to be done.

    ``sign``: the first call of each content must have one. What cannot be read is left to the vendor to complain of.
    """
    view = memoryview(contents)
    if not _SEAL.search(view) and not (sign and _CALL.search(view)):
        return contents
    try:
        turns = _CONTENTS.decode(contents)
        kept = [turn for turn in (_own_turn(turn, sign=sign) for turn in turns) if turn is not None]
    except (msgspec.DecodeError, RecursionError):
        return contents
    if len(kept) == len(turns) and all(new is old for new, old in zip(kept, turns, strict=True)):
        return contents
    return raw_of(kept)


def _own_turn(turn: Fields, *, sign: bool) -> Fields | None:
    raw = turn.get("parts")
    if raw is None or bytes(memoryview(raw)[:1]) != b"[":
        return turn
    view = memoryview(raw)
    if not _SEAL.search(view) and not (sign and _CALL.search(view)):
        return turn
    before = _PARTS.decode(raw)
    parts = [part for part in map(_own_part, before) if part is not None]
    if sign:
        parts = _signed(parts)
    if len(parts) == len(before) and all(new is old for new, old in zip(parts, before, strict=True)):
        return turn
    return {**turn, "parts": raw_of(parts)} if parts else None


def _own_part(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A part without a signature of another vendor's; none where it was about nothing else."""
    if not _SEAL.search(memoryview(raw)):
        return raw
    part = _FIELDS.decode(raw)
    spelt = {camel(name): name for name in part}
    name = spelt.get("thoughtSignature")
    if name is None or bytes(memoryview(part[name])[:1]) != b'"' or not is_foreign(_TEXT.decode(part[name])):
        return raw
    if bytes(part.get("thought", b"")) == b"true" or bytes(part.get("text", b"")) == b'""':
        return None
    return raw_of({key: value for key, value in part.items() if key != name})


def _signed(parts: list[msgspec.Raw]) -> list[msgspec.Raw]:
    for place, raw in enumerate(parts):
        if _CALL.search(memoryview(raw)):
            part = _FIELDS.decode(raw)
            names = {camel(name) for name in part}
            if "functionCall" in names and "thoughtSignature" not in names:
                return [*parts[:place], raw_of({**part, "thoughtSignature": raw_of(DUMMY)}), *parts[place + 1 :]]
            if "functionCall" in names:
                return parts
    return parts
