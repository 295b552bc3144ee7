"""Making, changing and revoking client keys over HTTP. A key itself is told once, to whoever made it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Literal, NoReturn

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.keys import ApiKey, CreatedKey, KeyDeleted, KeyFields, KeyList
from runtime.errors import Conflict, InvalidRequest, NotFound, PermissionDenied, RouteUnavailable
from runtime.services.keyring import KEYS, GoodKeys
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.stores.base import StoreError
from runtime.stores.keys import KeyChange, SqlKeys, StoredKey
from runtime.web.key import KeyRecord, mint

__all__ = ["Keys"]

SHOWN = 7
"""How many characters of a key are shown afterwards."""

_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Names = Annotated[tuple[_Name, ...], Meta(max_length=1000)]


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be said of a key."""

    name: _Name | UnsetType = UNSET
    scopes: tuple[Literal["chat", "view", "action", "admin"], ...] | UnsetType = UNSET
    allowedModels: _Names | UnsetType = UNSET  # noqa: N815 — as clients write it
    pins: _Names | UnsetType = UNSET
    expiresAt: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET  # noqa: N815
    isActive: bool | UnsetType = UNSET  # noqa: N815


class Keys:
    """Implements `generated.api.keys.KeysService`. ``random`` gives so many random bytes."""

    def __init__(
        self,
        store: SqlKeys,
        good: GoodKeys,
        colleagues: Colleagues,
        pepper: bytes,
        now: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._good = good
        self._colleagues = colleagues
        self._pepper = pepper
        self._now = now
        self._random = random

    async def list_keys(self) -> KeyList:
        async with _stored():
            found = await self._store.all()
        shown = [
            _configured(record, found.revoked.get(hash_)) for hash_, record in self._good.configured.hashes.items()
        ]
        shown += [_shown(key, self._now()) for key in found.keys]
        return KeyList(keys=shown, total=len(shown))

    async def create_key(self, caller: KeyRecord, data: KeyFields) -> CreatedKey:
        fields = _read(data)
        if fields.name is UNSET:
            raise InvalidRequest("a new key needs a `name`", param="name")
        scopes = ("chat",) if fields.scopes is UNSET else tuple(sorted(set(fields.scopes)))
        _may_give(caller, scopes)
        plain, hash_ = mint(self._random, self._pepper)
        key = StoredKey(
            id=f"key_{self._random(8).hex()}",
            name=fields.name,
            prefix=plain[:SHOWN],
            hash=hash_,
            scopes=scopes,
            models=() if fields.allowedModels is UNSET else fields.allowedModels,
            pins=() if fields.pins is UNSET else fields.pins,
            created_s=self._now(),
            expires_s=None if not isinstance(fields.expiresAt, datetime) else fields.expiresAt.timestamp(),
            active=fields.isActive is not False,
        )
        async with self._changing():
            await self._store.add(key)
        return CreatedKey(key=plain, id=key.id, name=key.name)

    async def get_key(self, key_id: str) -> ApiKey:
        async with _stored():
            found = await self._store.all()
        for hash_, record in self._good.configured.hashes.items():
            if record.id == key_id:
                return _configured(record, found.revoked.get(hash_))
        for key in found.keys:
            if key.id == key_id:
                return _shown(key, self._now())
        raise NotFound(f"there is no key {key_id[:100]!r}")

    async def change_key(self, caller: KeyRecord, data: KeyFields, key_id: str) -> ApiKey:
        fields = _read(data)
        self._refuse_configured(key_id)
        scopes = UNSET if fields.scopes is UNSET else tuple(sorted(set(fields.scopes)))
        if scopes is not UNSET:
            _may_give(caller, scopes)
        change = KeyChange(
            name=fields.name,
            scopes=scopes,
            models=fields.allowedModels,
            pins=fields.pins,
            expires_s=_seconds(fields.expiresAt),
            active=fields.isActive,
        )
        async with self._changing():
            key = await self._store.change(key_id, change)
        return _unknown(key_id) if key is None else _shown(key, self._now())

    async def delete_key(self, key_id: str) -> KeyDeleted:
        self._refuse_configured(key_id)
        async with self._changing():
            deleted = await self._store.delete(key_id)
        return KeyDeleted(id=key_id, deleted=True) if deleted else _unknown(key_id)

    async def revoke_key(self, key_id: str) -> ApiKey:
        for hash_, record in self._good.configured.hashes.items():
            if record.id == key_id:
                async with self._changing():
                    since_s = await self._store.revoke_configured(key_id, hash_, self._now())
                return _configured(record, since_s)
        async with self._changing():
            key = await self._store.revoke(key_id, self._now())
        return _unknown(key_id) if key is None else _shown(key, self._now())

    @asynccontextmanager
    async def _changing(self) -> AsyncGenerator[None, None]:
        """What is changed in the block holds here at its end, and is news for the other workers."""
        async with _stored():
            yield
            await self._good.refresh()
        with suppress(SharedError):  # they ask the store themselves
            await self._colleagues.tell(KEYS, b"")

    def _refuse_configured(self, key_id: str) -> None:
        if any(record.id == key_id for record in self._good.configured.hashes.values()):
            raise Conflict(
                f"the key {key_id!r} stands in the configuration: change it in gateway.yaml and build, or revoke it with "
                f"POST /api/keys/{key_id}/revoke"
            )


@asynccontextmanager
async def _stored() -> AsyncGenerator[None, None]:
    try:
        yield
    except StoreError as error:
        raise RouteUnavailable("the store of keys cannot be reached now", retry_after_s=1) from error


def _read(data: KeyFields) -> _Fields:
    try:
        return msgspec.convert(data, _Fields)
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        named = path.strip("`.") or (told.rpartition("unknown field `")[2].strip("`") if "unknown" in told else "")
        raise InvalidRequest(str(error).replace(" - at `$.", " - at `"), param=named or None) from error


def _may_give(caller: KeyRecord, scopes: tuple[str, ...]) -> None:
    if lacking := [scope for scope in scopes if not caller.allows(scope)]:
        raise PermissionDenied(f"a key cannot give the scope {lacking[0]!r}, which it lacks itself", param="scopes")


def _unknown(key_id: str) -> NoReturn:
    raise NotFound(f"there is no key {key_id[:100]!r}")


def _seconds(at: datetime | UnsetType | None) -> float | UnsetType | None:
    return at.timestamp() if isinstance(at, datetime) else at


def _time(at_s: float | None) -> str | UnsetType:
    if at_s is None:
        return UNSET
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _shown(key: StoredKey, now_s: float) -> ApiKey:
    return ApiKey(
        id=key.id,
        name=key.name,
        source="store",
        keyPrefix=key.prefix,
        scopes=list(key.scopes),
        allowedModels=list(key.models),
        pins=list(key.pins),
        isActive=key.good(now_s),
        createdAt=_time(key.created_s),
        expiresAt=_time(key.expires_s),
        revokedAt=_time(key.revoked_s),
        lastUsedAt=_time(key.last_used_s),
    )


def _configured(record: KeyRecord, revoked_s: float | None) -> ApiKey:
    return ApiKey(
        id=record.id,
        name=record.id,
        source="config",
        scopes=sorted(record.scopes),
        allowedModels=list(record.models),
        pins=list(record.pins),
        isActive=revoked_s is None,
        revokedAt=_time(revoked_s),
    )
