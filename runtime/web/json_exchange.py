"""JSON in and out of operations that are served raw and are no vendor's, such as those that set a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from runtime.errors import InvalidRequest, UnsupportedMedia
from runtime.web.header import KEPT_BY_NOBODY
from runtime.web.json_body import check_json

if TYPE_CHECKING:
    from runtime.web.exchange import Exchange

__all__ = ["read_json", "respond_json"]

BODY_BYTES: Final = 16 << 10
BODY_S: Final = 10.0

T = TypeVar("T", bound=msgspec.Struct)


async def read_json(exchange: Exchange, type_: type[T]) -> T:
    """The JSON body, of fields that ``type_`` has. Raises InvalidRequest with the field, or UnsupportedMedia."""
    media_type = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("send the body as `application/json`")
    raw = await exchange.read_body(BODY_BYTES, BODY_S)
    check_json(raw, type_, strict=True)
    found, given = msgspec.json.decode(raw, type=type_), msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    known = {field.encode_name for field in msgspec.structs.fields(type_)}
    for name in given:
        if name not in known:
            raise InvalidRequest(f"there is no field {name[:100]!r} here", param=name[:100])
    return found


async def respond_json(exchange: Exchange, answer: msgspec.Struct, cookie: str | None = None) -> None:
    """Answer 200 with ``answer``, which nobody keeps; ``cookie`` is set. Raises ClientClosed."""
    headers = [
        ("content-type", "application/json"),
        KEPT_BY_NOBODY,
        ("x-request-id", exchange.request_id),
    ]
    if cookie is not None:
        headers.append(("set-cookie", cookie))
    await exchange.respond(200, headers, msgspec.json.encode(answer))
