"""Secrets at rest: AES-256-GCM under a key that is not in the database. Knows no table; `runtime.stores.overrides` keeps them.

A key is known by its id, which stands beside what it sealed, so that a wrong key is told from a damaged row. The id of a
secret is bound into its seal: a row that is moved to another's place does not open.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Final

from typing_extensions import override

from runtime.errors import ConfigError
from runtime.stores.overrides import SealedSecret

__all__ = ["StoreKey", "Vault"]

NONCE_BYTES: Final = 12


class StoreKey:
    """One key, made of ``text``, which may be of any form and length; the stronger it is, the stronger the seals."""

    def __init__(self, text: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # six megabytes, where there are secrets only

        root = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        self.id = hmac.digest(root, b"gatewright store key: id", "sha256").hex()[:12]
        self._cipher = AESGCM(hmac.digest(root, b"gatewright store key: seal", "sha256"))

    @override
    def __repr__(self) -> str:
        return f"StoreKey(id={self.id!r})"

    def seal(self, secret: str, about: str, random: Callable[[int], bytes]) -> bytes:
        """``secret``, encrypted; ``about`` must be said again to open it."""
        nonce = random(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), about.encode())

    def open(self, sealed: bytes, about: str) -> str:
        """The opposite. Raises ConfigError for what was not sealed so."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"the stored secret {about} is damaged: it does not open with the key it names"
            ) from error


class Vault:
    """Seals with one key, opens with that one and those before it.

    ``current`` gives the key; it is first asked when there is something to seal or to open, and may make one then.
    """

    def __init__(
        self, current: Callable[[], StoreKey], before: Iterable[StoreKey], random: Callable[[int], bytes]
    ) -> None:
        self._make = current
        self._current: StoreKey | None = None
        self._before = tuple(before)
        self._random = random

    def seal(self, secret: str, now_s: float) -> SealedSecret:
        """``secret`` under a new id. Raises ConfigError when there is no key and none can be made."""
        id_, key = self._random(16).hex(), self._key()
        sealed = key.seal(secret, id_, self._random)
        return SealedSecret(id=id_, store_key=key.id, sealed=sealed, created_s=now_s)

    def open(self, secrets: Iterable[SealedSecret]) -> dict[str, str]:
        """Secrets by their ids. Raises ConfigError, naming the keys, for one that none of ours sealed."""
        return {each.id: self._key_of(each).open(each.sealed, each.id) for each in secrets}

    def resealed(self, secrets: Iterable[SealedSecret]) -> tuple[SealedSecret, ...]:
        """Those that an earlier key sealed, sealed by the current one. Raises ConfigError."""
        return tuple(
            SealedSecret(
                id=each.id,
                store_key=self._key().id,
                sealed=self._key().seal(self._key_of(each).open(each.sealed, each.id), each.id, self._random),
                created_s=each.created_s,
            )
            for each in secrets
            if each.store_key != self._key().id
        )

    def _key(self) -> StoreKey:
        if self._current is None:
            self._current = self._make()
        return self._current

    def _key_of(self, secret: SealedSecret) -> StoreKey:
        for key in (self._key(), *self._before):
            if key.id == secret.store_key:
                return key
        raise ConfigError(
            f"a stored secret is encrypted with the store key {secret.store_key}, and the one given is {self._key().id}; "
            "give that key in GATEWRIGHT_STORE_KEY, or, beside a new one, in GATEWRIGHT_STORE_KEY_BEFORE"
        )
