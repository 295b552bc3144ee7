"""A file that somebody sends, as the body itself or as the part `file` of a form, written down piece by piece."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from runtime.errors import InvalidRequest, TooLarge, UnsupportedMedia
from runtime.web.exchange import Exchange
from runtime.web.form import FormFile, boundary_of

__all__ = ["receive_file"]

PART: Final = "file"
IDLE_S: Final = 30.0
RAW: Final = frozenset({"application/octet-stream", "application/vnd.sqlite3", "application/x-sqlite3"})
FORM_BYTES: Final = 64 << 10
"""What a form may have besides the file."""


async def receive_file(exchange: Exchange, path: Path, limit_bytes: int) -> None:
    """Write the file that the body brings to ``path``, which is new, for its owner alone.

    Raises TooLarge beyond ``limit_bytes``, UnsupportedMedia, InvalidRequest for a form without the part, OSError.
    """
    content_type = exchange.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in RAW and media_type != "multipart/form-data":
        raise UnsupportedMedia("send the file as `application/octet-stream`, or as the part `file` of a form")
    form = None if media_type in RAW else FormFile(boundary_of(content_type), PART)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    size = 0
    with os.fdopen(descriptor, "wb") as file:
        async for piece in exchange.pieces(limit_bytes + (0 if form is None else FORM_BYTES), IDLE_S):
            for part in (piece,) if form is None else form.feed(piece):
                size += len(part)
                if size > limit_bytes:
                    raise TooLarge(f"the file is larger than {limit_bytes} bytes")
                await asyncio.to_thread(file.write, part)
        if form is not None:
            form.finish()
    if size == 0:
        raise InvalidRequest("the file is empty", param=PART)
