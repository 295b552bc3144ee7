"""A reasoning item and canonical thinking, both ways; and what of it may pass to the vendor.

The vendor wants a reasoning item back as it was, in its place: ``encrypted_content`` is bound to the item's id. So the
seal of this protocol is a JSON text of what canonical text cannot carry: the id, ``encrypted_content``, which of the two
lists the text stood in (``shown``), and the lists themselves where the text alone would not give them back. It begins with the
id, which a stream tells first; the rest is its end. Items that were made here, for thinking of other protocols, have ids that
begin with `MADE`; they mean nothing to the vendor.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from generated.types.openai_responses import InputItem, ItemText, OutputItem, OutputPart
from runtime.canonical import Reasoning
from runtime.protocols.absent import present
from runtime.protocols.openai_responses.wire import PROTOCOL, encode, read
from runtime.protocols.seal import unwrap, wrap

__all__ = [
    "MADE",
    "Sealed",
    "head_of",
    "item_of",
    "own_item",
    "own_only",
    "read_client",
    "seal_of",
    "shown_in",
    "start_of",
    "write_reasoning",
]

MADE: Final = "rs_gw1_"
_BREAK: Final = "\n\n"

_FOREIGN: Final = re.compile(rb'"encrypted_content"[ \t\r\n]*:[ \t\r\n]*"gw1\.|"id"[ \t\r\n]*:[ \t\r\n]*"rs_gw1_')
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TEXTS: Final = msgspec.json.Decoder(list[ItemText])
_HEAD: Final = re.compile(r'^\{(?:"shown":"content",?)?(?:"id":("(?:[^"\\]|\\.)*"))?')


class _Kind(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    encrypted_content: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)


class Sealed(msgspec.Struct, omit_defaults=True):
    """What a seal holds. ``summary`` and ``content`` are there where the canonical text does not give them back."""

    shown: Literal["summary", "content"] = "summary"
    id: str | None = None
    encrypted_content: str | None = None
    summary: list[str] | None = None
    content: list[str] | None = None


_SEALED: Final = msgspec.json.Decoder(Sealed)


def shown_in(content: list[str]) -> Literal["summary", "content"]:
    """The list whose texts are the thinking: what open models show outright, else the summary."""
    return "content" if content else "summary"


def head_of(item_id: str | None, shown: Literal["summary", "content"]) -> str:
    """How the seal of an item begins, of which no more is known; "" where that says nothing."""
    if not item_id or item_id.startswith(MADE):
        return ""
    return encode(Sealed(shown=shown, id=item_id)).decode().removesuffix("}")


def seal_of(item: OutputItem | InputItem, summary: list[str], content: list[str], shown: str) -> str | None:
    """The whole seal; None when the item has nothing that the vendor could want back."""
    encrypted, id_ = present(item.encrypted_content), present(item.id)
    if not encrypted and (not id_ or id_.startswith(MADE)):
        return None
    sealed = Sealed(shown="content" if shown == "content" else "summary", id=id_, encrypted_content=encrypted)
    sealed.summary = _needed(summary, told=shown == "summary")
    sealed.content = _needed(content, told=shown == "content")
    return encode(sealed).decode()


def item_of(item: OutputItem) -> tuple[list[str], list[str]]:
    """The texts of an answer's reasoning item: of its summary, and of its content."""
    return _of_texts(present(item.summary)), _of_parts(present(item.content))


def read_client(item: InputItem, path: str) -> Reasoning | None:
    """A reasoning item that a client sent back; None when it says nothing."""
    raw = present(item.content)
    summary = _of_texts(present(item.summary))
    content = _of_texts(read(_TEXTS, raw, f"{path}.content")) if raw is not None else []
    shown = shown_in(content)
    text = _BREAK.join(content or summary)
    seal, owner, redacted = unwrap(present(item.encrypted_content) or "", PROTOCOL)
    if owner != PROTOCOL:
        return Reasoning(text=text, seal=seal, sealed_by=owner, redacted=redacted)
    own = seal_of(item, summary, content, shown)
    if own is None and not text:
        return None
    return Reasoning(text=text, seal=own, sealed_by=PROTOCOL if own else None)


def own_item(part: Reasoning) -> tuple[str | None, dict[str, Any]] | None:
    """The id and the members of the item that a seal of this protocol stands for; None for another's, or a broken one."""
    if part.seal is None or part.sealed_by != PROTOCOL:
        return None
    try:
        sealed = _SEALED.decode(part.seal)
    except msgspec.DecodeError:
        return None
    told = [part.text] if part.text else []
    summary = sealed.summary if sealed.summary is not None else told if sealed.shown == "summary" else []
    content = sealed.content if sealed.content is not None else told if sealed.shown == "content" else []
    members: dict[str, Any] = {"summary": [{"type": "summary_text", "text": text} for text in summary]}
    if content:
        members["content"] = [{"type": "reasoning_text", "text": text} for text in content]
    if sealed.encrypted_content is not None:
        members["encrypted_content"] = sealed.encrypted_content
    return sealed.id, members


def start_of(part: Reasoning) -> tuple[str | None, bool]:
    """The item's id in a seal, whole or only its beginning, and whether its text stands in the content."""
    if part.seal is None or part.sealed_by != PROTOCOL:
        return None, False
    found = _HEAD.match(part.seal)
    id_ = msgspec.json.decode(found[1], type=str) if found and found[1] else None
    return id_, part.seal.startswith('{"shown":"content"')


def write_reasoning(part: Reasoning, id_: str) -> dict[str, Any]:
    """The item that a client gets. ``id_`` is what it is called already."""
    own = own_item(part)
    if own is not None:
        return {"id": id_, "type": "reasoning", **own[1]}
    item: dict[str, Any] = {"id": id_, "type": "reasoning", "summary": []}
    if part.text:
        item["summary"] = [{"type": "summary_text", "text": part.text}]
    if part.seal is not None and part.sealed_by is not None and part.sealed_by != PROTOCOL:
        item["encrypted_content"] = wrap(part.seal, part.sealed_by, PROTOCOL, redacted=part.redacted)
    return item


def own_only(items: msgspec.Raw) -> msgspec.Raw:
    """A client's ``input`` without thinking that the vendor did not seal; the same object where there is none."""
    if not _FOREIGN.search(memoryview(items)) or bytes(memoryview(items)[:1]) != b"[":
        return items
    try:
        raws = _ITEMS.decode(items)
        kept = [raw for raw in raws if not _is_foreign(raw)]
    except (msgspec.DecodeError, RecursionError):
        return items  # what cannot be read is left to the vendor to complain of
    return items if len(kept) == len(raws) else msgspec.Raw(encode(kept))


def _is_foreign(raw: msgspec.Raw) -> bool:
    if not _FOREIGN.search(memoryview(raw)):
        return False
    item = _KIND.decode(raw)
    return item.type == "reasoning" and (
        (item.encrypted_content or "").startswith("gw1.")
        or ((item.id or "").startswith(MADE) and not item.encrypted_content)
    )


def _needed(texts: list[str], *, told: bool) -> list[str] | None:
    """None where the canonical text is all there is to say."""
    return None if len(texts) == told or not texts else texts


def _of_texts(texts: list[ItemText] | None) -> list[str]:
    return [piece.text for piece in texts or () if piece.text]


def _of_parts(parts: list[OutputPart] | None) -> list[str]:
    return [part.text for part in parts or () if part.text]
