"""Content codings undone piece by piece: a small body that unpacks to a large one costs no more memory than is taken."""

from __future__ import annotations

import importlib
import zlib
from types import ModuleType
from typing import Final, Protocol

from runtime.errors import UpstreamProtocolError

__all__ = ["CODINGS", "Decoding", "decoding_of"]

CODINGS: Final = frozenset({"gzip", "deflate", "br", "zstd"})
PIECE_BYTES: Final = 256 * 1024
ZSTD_BYTES: Final = 256
"""Of zstd, whose library knows no limit on what it gives, so little at a time."""


class Decoding(Protocol):
    """One body. What was pushed is taken in pieces of at most about PIECE_BYTES; nothing means that more must be pushed."""

    def push(self, data: bytes) -> None: ...

    def take(self) -> bytes:
        """Raises UpstreamProtocolError for what is not compressed as it was said to be."""
        ...

    def finish(self) -> None:
        """At the body's end. Raises UpstreamProtocolError when it ended too early."""
        ...


def decoding_of(name: str) -> Decoding:
    """``name`` is one of CODINGS. Raises UpstreamProtocolError where its module is not installed."""
    match name:
        case "gzip":
            return _Zlib(31)
        case "deflate":
            return _Zlib(0)
        case "br":
            return _Brotli()
        case _:
            return _Zstd()


class _Zlib:
    """``wbits`` 0: a zlib stream, as the standard says, or a bare one, as some servers send."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits=wbits) if wbits else None
        self._left = b""

    def push(self, data: bytes) -> None:
        self._left += data

    def take(self) -> bytes:
        while self._left:
            if self._stream is None:
                bare = self._left[0] & 0x0F != 8
                self._stream = zlib.decompressobj(wbits=-15 if bare else 15)
            if self._stream.eof:
                if not self._wbits:
                    raise broken()
                self._stream = zlib.decompressobj(wbits=self._wbits)  # gzip allows one member after another
            try:
                out = self._stream.decompress(self._left, PIECE_BYTES)
            except zlib.error:
                raise broken() from None
            self._left = self._stream.unconsumed_tail or self._stream.unused_data
            if out:
                return out
        return b""

    def finish(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise broken()


class _Brotli:
    def __init__(self) -> None:
        self._module = _module("brotli")
        self._stream = self._module.Decompressor()
        self._left = b""

    def push(self, data: bytes) -> None:
        self._left += data

    def take(self) -> bytes:
        while self._left or not self._stream.can_accept_more_data():
            data = self._left if self._stream.can_accept_more_data() else b""
            try:
                out: bytes = self._stream.process(data, output_buffer_limit=PIECE_BYTES)
            except self._module.error:
                raise broken() from None
            if data:
                self._left = b""
            if out:
                return out
            if self._stream.is_finished():
                if self._left:
                    raise broken()
                return b""
        return b""

    def finish(self) -> None:
        if not self._stream.is_finished():
            raise broken()


class _Zstd:
    def __init__(self) -> None:
        self._module = _module("zstandard")
        self._stream = self._module.ZstdDecompressor(max_window_size=128 << 20).decompressobj()
        self._left = b""

    def push(self, data: bytes) -> None:
        self._left += data

    def take(self) -> bytes:
        while self._left:
            if self._stream.eof:
                self._stream = self._module.ZstdDecompressor(max_window_size=128 << 20).decompressobj()
            data, self._left = self._left[:ZSTD_BYTES], self._left[ZSTD_BYTES:]
            try:
                out: bytes = self._stream.decompress(data)
            except self._module.ZstdError:
                raise broken() from None
            self._left = self._stream.unused_data + self._left
            if out:
                return out
        return b""

    def finish(self) -> None:
        if not self._stream.eof:
            raise broken()


def broken() -> UpstreamProtocolError:
    return UpstreamProtocolError("the body of the provider's answer is broken: it cannot be decompressed")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise broken() from None
