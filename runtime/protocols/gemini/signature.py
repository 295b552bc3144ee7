"""The vendor's opaque thinking state: `thoughtSignature`, which may stand on any part, and canonical's seals.

Canonical keeps a signature as a `Reasoning` part whose seal says where it stood: `thought.` on the thinking itself,
`call.` on the call behind it, `text.` on the text before it, `data.` on the picture before it. Other vendors' seals travel
to clients of this protocol in the envelope of `runtime.protocols.seal`, in base64 once more, since clients decode the
field; text of theirs that the client did not ask to see goes along inside, because its owner wants both back.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from runtime.canonical import Reasoning
from runtime.protocols.gemini.wire import PROTOCOL
from runtime.protocols.seal import MARK, unwrap, wrap

__all__ = ["DUMMY", "FOREIGN", "Kind", "foreign_signature", "is_foreign", "kind_of", "own", "said_in", "unsealed"]

DUMMY: Final = "skip_thought_signature_validator"
"""What the vendor documents for a call that none of its models signed."""

_DUMMIES: Final = frozenset({"", DUMMY, base64.b64encode(DUMMY.encode()).decode()})

FOREIGN: Final = b"Z3cx"
"""How the envelope's first letters look in base64."""

Kind = str
_KINDS: Final = ("thought", "call", "text", "data")


def own(kind: Kind, signature: str) -> Reasoning:
    """A signature of the vendor's that stood on a part of ``kind``, as the part of canonical that carries it."""
    return Reasoning(seal=f"{kind}.{signature}", sealed_by=PROTOCOL)


def kind_of(part: Reasoning) -> tuple[Kind, str]:
    """Where the vendor's own signature in ``part`` stood, and the signature; ("", "") for a part without one."""
    if part.seal is None or part.sealed_by != PROTOCOL:
        return "", ""
    kind, dot, signature = part.seal.partition(".")
    return (kind, signature) if dot and kind in _KINDS else ("thought", part.seal)


def foreign_signature(part: Reasoning, *, hidden: str = "") -> str:
    """The signature field for a seal of another protocol. ``hidden`` is text that is not shown beside it."""
    envelope = wrap(part.seal or "", part.sealed_by or "", PROTOCOL, redacted=part.redacted)
    return base64.b64encode((envelope + ("\n" + hidden if hidden else "")).encode("utf-8", "replace")).decode()


def said_in(signature: str | None) -> str:
    """A client's signature; "" for none, and for the stand-in, which says nothing."""
    return "" if signature is None or signature in _DUMMIES else signature


def is_foreign(signature: str) -> bool:
    return _envelope(signature) is not None


def unsealed(signature: str, kind: Kind, text: str = "") -> Reasoning:
    """What a client's ``signature`` on a part of ``kind`` carries; ``text`` is the thinking beside it."""
    envelope = _envelope(signature)
    if envelope is None:
        return Reasoning(text=text, seal=f"{kind}.{signature}", sealed_by=PROTOCOL)
    head, _, hidden = envelope.partition("\n")
    seal, owner, redacted = unwrap(head, PROTOCOL)
    return Reasoning(text=text or hidden, seal=seal, sealed_by=owner, redacted=redacted)


def _envelope(signature: str) -> str | None:
    """The envelope in a signature, None for one of the vendor's own."""
    if not signature.startswith("Z3cx"):
        return None
    try:
        text = base64.b64decode(signature.replace("-", "+").replace("_", "/") + "=" * (-len(signature) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    owner = unwrap(text.partition("\n")[0], PROTOCOL)[1] if text.startswith(MARK) else PROTOCOL
    return text if owner != PROTOCOL else None
