"""What a request to `/v1/responses` asks beside the model: what to keep, what to continue, whether to wait.

Fills in what the gateway keeps for it: the conversation of `previous_response_id` stands before its `input` afterwards, and
items stand where references were. What is left is a request like any other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec

from runtime.errors import InvalidRequest, RouteUnavailable, TooLarge
from runtime.protocols.base import Envelope
from runtime.protocols.splice import Fields, raw
from runtime.services.response_object import name_items
from runtime.services.runs import Runs
from runtime.stores.base import RUNNING, Item, ResponseStore, StoreError

__all__ = ["Asking", "Reader", "stored_responses"]

_V = TypeVar("_V", str, bool)

MAX_ID_BYTES: Final = 1000
"""Of an item that is kept: every store can hold it, and find it again."""

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """``envelope`` is what goes on; ``context`` all items that are answered, in order."""

    envelope: Envelope
    context: tuple[Item, ...]
    previous: str | None
    keep: bool
    background: bool


class _Shape(msgspec.Struct, frozen=True):
    """Enough of an item to tell a reference, which may go without its type."""

    id: str | None = None
    type: str | None = None
    role: str | None = None

    @property
    def refers(self) -> bool:
        return self.type == "item_reference" or (self.type is None and self.role is None and self.id is not None)


_SHAPE: Final = msgspec.json.Decoder(_Shape)


@asynccontextmanager
async def stored_responses() -> AsyncGenerator[None, None]:
    """What needs the store of responses, and cannot go on without it. Raises RouteUnavailable."""
    try:
        yield
    except StoreError as error:
        raise RouteUnavailable("the store of responses cannot be reached now", retry_after_s=1) from error


class Reader:
    """Reads requests against a store; without one nothing is kept, and there is nothing to continue.

    ``runs`` knows how the store's responses stand, and is None where there is none.
    """

    def __init__(
        self, store: ResponseStore | None, runs: Runs | None, new_id: Callable[[], str], max_bytes: int
    ) -> None:
        self._store = store
        self._runs = runs
        self._new_id = new_id
        self._max_bytes = max_bytes

    async def read(self, envelope: Envelope, owner: str) -> Asking:
        """Raises InvalidRequest, naming the field, and TooLarge for a conversation beyond the limit of a body."""
        fields = envelope.fields
        previous = _previous(fields)
        keep = _flag(fields, "store", default=True) and self._store is not None
        background = _flag(fields, "background", default=False)
        if background:
            _check_background(envelope, keep=keep)
        earlier = await self._earlier(owner, previous)
        given = _given(fields)
        items = await self._resolved(owner, given, self._max_bytes - _size(earlier), keep=keep)
        context = earlier + name_items(items, self._new_id)
        edits: dict[str, msgspec.Raw] = {}
        if previous is not None or any(new is not old for new, old in zip(items, given, strict=True)):
            edits["input"] = self._joined(context)
        if self._store is None and _flag(fields, "store", default=True):
            edits["store"] = raw(value=False)
        dropped = {"previous_response_id"} if previous is not None else set[str]()
        if background:
            dropped |= {"background", "stream", "stream_options"}
        return Asking(
            envelope=_edited(envelope, edits, dropped),
            context=context,
            previous=previous,
            keep=keep,
            background=background,
        )

    async def _earlier(self, owner: str, previous: str | None) -> tuple[Item, ...]:
        if previous is None:
            return ()
        found = await self._runs.standing((owner, previous)) if self._runs is not None else None
        items = await self._store.conversation((owner, previous)) if self._store is not None else None
        if found is None or items is None:
            raise InvalidRequest(
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if found.status in RUNNING:
            raise InvalidRequest(
                f"Previous response with id '{previous}' is still {found.status}; wait until it has ended.",
                param="previous_response_id",
            )
        return items

    async def _resolved(
        self, owner: str, given: Sequence[msgspec.Raw], left_bytes: int, *, keep: bool
    ) -> list[msgspec.Raw]:
        """The items, with those that are kept in place of references to them.

        Each is read once, and none after those before it took more than ``left_bytes``: a reference is a few bytes, and
        what it stands for may be as large as a body.
        """
        items: list[msgspec.Raw] = []
        known: dict[str | None, msgspec.Raw] = {}
        for place, item in enumerate(given):
            try:
                shape = _SHAPE.decode(item)
            except msgspec.DecodeError:
                raise InvalidRequest(
                    f"Invalid type for 'input[{place}]': expected an input item.",
                    param=f"input[{place}]",
                    code="invalid_type",
                ) from None
            kept = item
            if keep and shape.id is not None and not _may_be_kept(shape.id):
                raise InvalidRequest(
                    f"Invalid 'input[{place}].id': an id has no NUL character, and {MAX_ID_BYTES} bytes at most.",
                    param=f"input[{place}].id",
                    code="invalid_value",
                )
            if shape.refers:
                kept = known.get(shape.id) or await self._kept(owner, shape.id, place)
                known[shape.id] = kept
                if len(kept) > left_bytes:
                    raise self._too_large()
            items.append(kept)
            left_bytes -= len(kept)
        return items

    async def _kept(self, owner: str, item_id: str | None, place: int) -> msgspec.Raw:
        found = await self._store.item(owner, item_id) if self._store is not None and item_id is not None else None
        if found is None:
            raise InvalidRequest(f"Item with id '{item_id}' not found.", param=f"input[{place}]")
        return msgspec.Raw(found.body)

    def _joined(self, context: Sequence[Item]) -> msgspec.Raw:
        if _size(context) > self._max_bytes:
            raise self._too_large()
        return msgspec.Raw(b"[" + b",".join(item.body for item in context) + b"]")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the conversation is larger than {self._max_bytes} bytes")


def _may_be_kept(item_id: str) -> bool:
    return "\0" not in item_id and len(item_id.encode()) <= MAX_ID_BYTES


def _size(items: Sequence[Item]) -> int:
    return sum(len(item.body) for item in items)


def _edited(envelope: Envelope, edits: Mapping[str, msgspec.Raw], dropped: set[str]) -> Envelope:
    """The same envelope where nothing changes, so that pass-through stays byte for byte."""
    if not edits and not dropped & envelope.fields.keys():
        return envelope
    fields = {name: edits.get(name, each) for name, each in envelope.fields.items() if name not in dropped}
    fields |= {name: each for name, each in edits.items() if name not in fields}
    return Envelope(envelope.model, envelope.stream, fields, msgspec.json.encode(fields), envelope.variant)


def _previous(fields: Fields) -> str | None:
    previous = _read(fields, "previous_response_id", str)
    if bytes(fields.get("conversation", b"null")) != b"null":
        if previous is not None:
            raise InvalidRequest(
                "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Provide only one of them.",
                param="conversation",
                code="mutually_exclusive_parameters",
            )
        raise InvalidRequest(
            "Unsupported parameter: 'conversation'. Continue a response with 'previous_response_id' instead.",
            param="conversation",
            code="unsupported_parameter",
        )
    return previous


def _check_background(envelope: Envelope, *, keep: bool) -> None:
    if envelope.stream:
        raise InvalidRequest(
            "Unsupported parameter: 'stream' cannot be used together with 'background'.",
            param="stream",
            code="unsupported_parameter",
        )
    if not keep:
        raise InvalidRequest(
            "A background response has to be stored: 'background' requires 'store' to be true.", param="background"
        )


def _given(fields: Fields) -> list[msgspec.Raw]:
    """The items of `input`: a text is a message of the user's, and an item by itself a list of one."""
    given = fields.get("input")
    first = bytes(given)[:1] if given is not None else b""
    if given is None or first == b"n":
        return []
    if first == b'"':
        part = {"type": "input_text", "text": given}
        return [msgspec.Raw(msgspec.json.encode({"type": "message", "role": "user", "content": [part]}))]
    if first == b"{":
        return [given]
    try:
        return _ITEMS.decode(given)
    except msgspec.DecodeError:
        raise InvalidRequest(
            "Invalid type for 'input': expected a string or an array of input items.",
            param="input",
            code="invalid_type",
        ) from None


def _flag(fields: Fields, name: str, *, default: bool) -> bool:
    value = _read(fields, name, bool)
    return default if value is None else value


def _read(fields: Fields, name: str, type_: type[_V]) -> _V | None:
    given = fields.get(name)
    if given is None:
        return None
    try:
        return msgspec.json.decode(given, type=type_ | None)
    except msgspec.ValidationError:
        kind = {str: "a string", bool: "a boolean"}[type_]
        raise InvalidRequest(f"Invalid type for '{name}': expected {kind}.", param=name, code="invalid_type") from None
