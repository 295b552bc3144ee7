"""An envelope in which one vendor's opaque thinking state travels through another dialect's clients, and comes home.

A seal (a signature, an encrypted item) that belongs to the client's own protocol travels byte for byte. One of another
protocol goes to the client as ``gw1.<protocol>.<base64 of the seal>``, in the field where that dialect keeps such state,
with ``.redacted`` behind it where the vendor withheld the text; the client sends it back as it came. So a seal finds its
way to the protocol it belongs to, and to no other: what no envelope names another owner for belongs to the protocol whose
client sent it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

__all__ = ["MARK", "unwrap", "wrap"]

MARK: Final = "gw1."
"""Begins every envelope."""


_REDACTED: Final = ".redacted"


def wrap(seal: str, sealed_by: str, home: str, *, redacted: bool = False) -> str:
    """``seal`` of the protocol ``sealed_by`` as a client of the protocol ``home`` gets it."""
    if sealed_by == home and not seal.startswith(MARK):
        return seal
    return f"{MARK}{sealed_by}.{base64.b64encode(seal.encode()).decode()}{_REDACTED if redacted else ''}"


def unwrap(text: str, home: str) -> tuple[str, str, bool]:
    """The seal in ``text``, which a client of ``home`` sent, the protocol it belongs to, and whether it says `redacted`.

    A broken envelope belongs to nobody, whose name is "".
    """
    if not text.startswith(MARK):
        return text, home, False
    protocol, _, data = text.removeprefix(MARK).partition(".")
    try:
        seal = base64.b64decode(data.removesuffix(_REDACTED), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        seal = ""
    return (seal, protocol, data.endswith(_REDACTED)) if seal and protocol else (text, "", False)
