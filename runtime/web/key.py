"""Client keys: who presents one, and what it may do. Secrets are kept as HMAC-SHA-256 under the server's pepper only.

Keys are 256 random bits, so a plain keyed hash is enough: there is nothing to guess, and a lookup is one dictionary
access, behind one hash for a key that is presented for the first time. What is presented stays in this process's memory as
long as the ring does, as it does in the request it came with. Any other text an operator configures as a key works too. Where it stands in a request, `credential`
knows; where the configured ones come from, `runtime.config` knows.
"""

from __future__ import annotations

import base64
import hmac
import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from typing_extensions import override

from runtime.errors import ConfigError, PermissionDenied
from runtime.window import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["ADMIN", "OPERATOR", "PUBLIC", "KeyEntry", "KeyRecord", "KeyRing", "hash_key", "mint"]

PUBLIC: Final = "public"
ADMIN: Final = "admin"
OPERATOR: Final = "default"
"""The tenant of whoever runs the gateway."""

PREFIX: Final = "gw-"
HASH_PREFIX: Final = "hmac-sha256:"
KEY_BYTES: Final = 32
MIN_PEPPER_BYTES: Final = 16
MAX_PRESENTED: Final = 4096
MAX_HASHED: Final = 1024
MAX_HASHED_CHARS: Final = 256
"""So many hashes are remembered, of keys up to this length: clients try a wrong key again and again."""

_HASH = re.compile(r"[0-9a-f]{64}")


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key. ``models`` are public names, `*` standing for any text; empty means all.

    ``pins`` are the connections that its requests may demand, written alike; empty means none. From ``expires_s`` on, in
    Unix seconds, it is not good any more. ``tenant`` is whose it is, ``limits`` how much it may use.
    """

    id: str
    scopes: frozenset[str]
    models: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    expires_s: float | None = None
    tenant: str = OPERATOR
    limits: tuple[Limit, ...] = ()

    @classmethod
    def anonymous(cls) -> KeyRecord:
        """Stands for everybody, where the operator turned authentication off."""
        return cls(id="anonymous", scopes=frozenset({ADMIN}))

    def allows(self, scope: str) -> bool:
        """Whether the key has ``scope``; `admin` has every scope, and `public` needs none."""
        return scope in self.scopes or ADMIN in self.scopes or scope == PUBLIC

    def require(self, scope: str) -> None:
        """Raises PermissionDenied when the key lacks ``scope``."""
        if not self.allows(scope):
            raise PermissionDenied(f"this key lacks the scope {scope!r}")

    @property
    def manages(self) -> bool:
        """Whether it may do what concerns all tenants: it is an operator's, with the scope `admin`."""
        return self.tenant == OPERATOR and ADMIN in self.scopes

    def require_manages(self) -> None:
        """Raises PermissionDenied when the key may not do what concerns all tenants."""
        if not self.manages:
            raise PermissionDenied("this concerns all tenants, and the key belongs to one")

    def require_operator(self) -> None:
        """Raises PermissionDenied when the key belongs to another tenant than whoever runs the gateway."""
        if self.tenant != OPERATOR:
            raise PermissionDenied("this concerns all tenants, and the key belongs to one")

    def may_see(self, tenant: str) -> bool:
        """Whether it may see what belongs to ``tenant``."""
        return tenant == self.tenant or self.manages

    def tenant_filter(self, asked: str | None = None) -> str | None:
        """Whose things are shown where a request asks for those of ``asked``, or does not say; None: everybody's.

        Raises PermissionDenied when it may not see them.
        """
        if asked is not None and not self.may_see(asked):
            raise PermissionDenied("this key sees what belongs to its own tenant only", param="company_id")
        return asked if asked is not None or self.manages else self.tenant

    def may_use(self, model: str) -> bool:
        return not self.models or _fits(self.models, model)

    def may_pin(self, connection: str) -> bool:
        """Whether its requests may demand ``connection``."""
        return ADMIN in self.scopes or any(_pattern(pattern).fullmatch(connection) for pattern in self.pins)


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A key as configured.

    ``value`` is its hash in hex, `hmac-sha256:` before it or not; or the key itself, to be hashed on load and forgotten.
    """

    record: KeyRecord
    form: Literal["hash", "plain"]
    value: str

    @override
    def __repr__(self) -> str:
        return f"KeyEntry(record={self.record!r}, form={self.form!r}, value=…)"


class KeyRing:
    """All keys that are good, found by what is presented. Immutable: a change makes a new one."""

    def __init__(self, pepper: bytes, entries: Iterable[KeyEntry]) -> None:
        """Raises ConfigError for a weak pepper, a malformed hash, an empty key, or two entries with one key."""
        if len(pepper) < MIN_PEPPER_BYTES:
            raise ConfigError(f"the key pepper has {len(pepper)} bytes; it needs {MIN_PEPPER_BYTES} at least")
        self._pepper = pepper
        self._records: dict[str, KeyRecord] = {}
        self._presented: dict[str, KeyRecord] = {}  # good keys as they came, so that each is hashed once
        self._hashed: dict[str, str] = {}  # the same for what is no key, as long as there is room
        for entry in entries:
            digest = self._digest(entry)
            if digest in self._records:
                raise ConfigError(f"the keys {self._records[digest].id!r} and {entry.record.id!r} are the same key")
            self._records[digest] = entry.record

    def __len__(self) -> int:
        return len(self._records)

    @property
    def hashes(self) -> Mapping[str, KeyRecord]:
        """Its keys by their hashes, in hex."""
        return MappingProxyType(self._records)

    def changed(self, added: Mapping[str, KeyRecord], removed: Collection[str]) -> KeyRing:
        """A new one with the keys of ``added``, without those of ``removed``; both by hash. What is here stands."""
        ring = KeyRing(self._pepper, ())
        together = {**added, **self._records}
        ring._records = {digest: record for digest, record in together.items() if digest not in removed}
        return ring

    def lookup(self, presented: str) -> KeyRecord | None:
        """Whose key this is, or None."""
        return self.recall(presented) or self.find(presented, self.digest(presented))

    def recall(self, presented: str) -> KeyRecord | None:
        """Whose key this is, if that was found before."""
        return self._presented.get(presented)

    def find(self, presented: str, digest: str) -> KeyRecord | None:
        """Whose key it is that has this hash, or None."""
        found = self._records.get(digest)
        if found is not None:
            self._presented[presented] = found
        return found

    def digest(self, presented: str) -> str:
        """The hash of what is presented; empty for what is too long to be any key."""
        digest = self._hashed.get(presented)
        if digest is not None:
            return digest
        if len(presented) > MAX_PRESENTED:
            return ""
        digest = hash_key(self._pepper, presented)
        if len(presented) <= MAX_HASHED_CHARS:
            if len(self._hashed) >= MAX_HASHED:
                self._hashed.clear()
            self._hashed[presented] = digest
        return digest

    def _digest(self, entry: KeyEntry) -> str:
        if entry.form == "plain":
            if not entry.value:
                raise ConfigError(f"the key {entry.record.id!r} is empty")
            return hash_key(self._pepper, entry.value)
        digest = entry.value.removeprefix(HASH_PREFIX).lower()
        if not _HASH.fullmatch(digest):
            raise ConfigError(f"the hash of the key {entry.record.id!r} is not {HASH_PREFIX} and 64 hexadecimal digits")
        return digest


def hash_key(pepper: bytes, plain: str) -> str:
    """What is stored of a key: HMAC-SHA-256 in hex."""
    return hmac.digest(pepper, plain.encode("utf-8", "surrogateescape"), "sha256").hex()


def mint(rng_bytes: Callable[[int], bytes], pepper: bytes, prefix: str = PREFIX) -> tuple[str, str]:
    """A new key, to be shown once, and its hash, to be stored. ``rng_bytes`` gives so many random bytes."""
    random = rng_bytes(KEY_BYTES)
    if len(random) != KEY_BYTES:
        raise ValueError(f"{KEY_BYTES} random bytes are needed, found {len(random)}")
    plain = prefix + base64.urlsafe_b64encode(random).rstrip(b"=").decode()
    return plain, hash_key(pepper, plain)


@lru_cache(maxsize=4096)
def _fits(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of them is ``name``'s. Remembered: a key asks for the same few names."""
    return any(_pattern(pattern).fullmatch(name) for pattern in patterns)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece) for piece in pattern.split("*")), re.DOTALL)
