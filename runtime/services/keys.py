"""Making, changing and revoking client keys over HTTP. A key itself is told once, to whoever made it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import NoReturn

from msgspec import UNSET, UnsetType

from generated.types.keys import ApiKey, CreatedKey, KeyDeleted, KeyFields, KeyList
from runtime.config.plan import DEFAULT_TENANT, Plan
from runtime.errors import Conflict, InvalidRequest, NotFound, PermissionDenied, RouteUnavailable
from runtime.services.audit import Audit
from runtime.services.key_checks import (
    LAST_S,
    demand_future,
    demand_hard_to_guess,
    demand_models,
    demand_own_name,
    demand_pins,
    demand_scopes,
)
from runtime.services.key_fields import PREFIXES, Fields, limits_of, read_fields
from runtime.services.key_limits import shown_limits
from runtime.services.key_pages import KeyPages
from runtime.services.keyring import KEYS, GoodKeys
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.source import closest
from runtime.stores.base import StoreError
from runtime.stores.keys import KeyChange, SqlKeys, StoredKey
from runtime.web.key import KeyRecord, hash_key, mint
from runtime.web.patience import one_by_one
from runtime.window import Limit

__all__ = ["Keys"]

SHOWN = 7
"""How many characters of a key are shown afterwards."""


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
        plan: Plan,
        audit: Audit,
    ) -> None:
        self._store = store
        self._good = good
        self._colleagues = colleagues
        self._pages = KeyPages(store, good, pepper, "keys")
        self._pepper = pepper
        self._now = now
        self._random = random
        self._plan = plan
        self._audit = audit

    async def list_keys(
        self, caller: KeyRecord, company_id: str | None = None, limit: int = 1000, after: str | None = None
    ) -> KeyList:
        whose = caller.tenant_filter(company_id)
        async with _stored():
            page = await self._pages.page(whose, limit, after)
            ended = await self._store.ended([hash_ for hash_, _ in page.configured])
        shown = [self._configured(record, ended.get(hash_)) for hash_, record in page.configured]
        shown += await one_by_one(self._shown, page.stored)
        return KeyList(keys=shown, total=page.total, after=UNSET if page.after is None else page.after)

    async def create_key(self, caller: KeyRecord, data: KeyFields) -> CreatedKey:
        fields = self._checked(data)
        if fields.name is UNSET:
            raise InvalidRequest("a new key needs a `name`", param="name")
        scopes = ("chat",) if fields.scopes is UNSET else tuple(sorted(set(fields.scopes)))
        _may_give(caller, scopes)
        tenant = self._tenant(caller, fields)
        limits = limits_of(fields)
        plain, hash_ = self._minted(caller, fields)
        key = StoredKey(
            id=f"key_{self._random(8).hex()}",
            tenant=tenant,
            name=fields.name,
            prefix=plain[:SHOWN],
            hash=hash_,
            scopes=scopes,
            models=self._models(fields, ()) or (),
            pins=() if fields.pins is UNSET else fields.pins,
            created_s=self._now(),
            expires_s=None if not isinstance(fields.expiresAt, datetime) else fields.expiresAt.timestamp(),
            active=fields.isActive is not False,
            limits=() if limits is UNSET else limits,
        )
        async with self._changing():
            await self._add(key, given=fields.key is not UNSET)
        details: dict[str, object] = {"name": key.name, "scopes": list(scopes), "given": fields.key is not UNSET}
        await self._note("key.created", caller, key.id, tenant, details)
        return CreatedKey(key=plain, id=key.id, name=key.name)

    async def get_key(self, caller: KeyRecord, key_id: str) -> ApiKey:
        for hash_, record in self._good.configured.hashes.items():
            if record.id == key_id and caller.may_see(record.tenant):
                async with _stored():
                    ended = await self._store.ended([hash_])
                return self._configured(record, ended.get(hash_))
        return self._shown(await self._found(caller, key_id))

    async def change_key(self, caller: KeyRecord, data: KeyFields, key_id: str) -> ApiKey:
        self._refuse_configured(caller, key_id)
        fields = self._checked(data)
        for field in ("key", "prefix"):
            if getattr(fields, field) is not UNSET:
                raise InvalidRequest(f"{field}: a key stays what it is; make another one", param=field)

        def decide(before: StoredKey) -> KeyChange:
            if fields.company_id is not UNSET and fields.company_id != before.tenant:
                raise InvalidRequest("company_id: a key stays its tenant's; make another one", param="company_id")
            if fields.isActive is True and before.revoked_s is not None:
                raise Conflict(f"the key {key_id!r} is revoked for good; make another one")
            scopes = UNSET if fields.scopes is UNSET else tuple(sorted(set(fields.scopes)))
            if scopes is not UNSET:
                _may_give(caller, scopes)
            return KeyChange(
                name=fields.name,
                scopes=scopes,
                models=self._models(fields, before.models),
                pins=fields.pins,
                expires_s=_seconds(fields.expiresAt),
                active=fields.isActive,
                limits=limits_of(fields, before.limits),
            )

        key = await self._change(caller, key_id, decide)
        said = [name for name in fields.__struct_fields__ if getattr(fields, name) is not UNSET]
        await self._note("key.changed", caller, key_id, key.tenant, {"changed": said})
        return self._shown(key)

    async def change_limits(
        self, caller: KeyRecord, key_id: str, change: Callable[[tuple[Limit, ...]], tuple[Limit, ...]]
    ) -> StoredKey:
        """Let ``change`` make other limits of a key's. Raises what `change_key` does."""
        self._refuse_configured(caller, key_id)
        key = await self._change(caller, key_id, lambda before: KeyChange(limits=change(before.limits)))
        await self._note("key.changed", caller, key_id, key.tenant, {"changed": ["limits"]})
        return key

    async def delete_key(self, caller: KeyRecord, key_id: str) -> KeyDeleted:
        self._refuse_configured(caller, key_id)
        before = await self._found(caller, key_id)
        async with self._changing():
            deleted = await self._store.delete(key_id)
        if not deleted:
            _unknown(key_id)
        await self._note("key.deleted", caller, key_id, before.tenant, {"name": before.name})
        return KeyDeleted(id=key_id, deleted=True)

    async def revoke_key(self, caller: KeyRecord, key_id: str) -> ApiKey:
        for hash_, record in self._good.configured.hashes.items():
            if record.id == key_id and caller.may_see(record.tenant):
                async with self._changing():
                    since_s = await self._store.revoke_configured(key_id, hash_, self._now())
                await self._note("key.revoked", caller, key_id, record.tenant, {})
                return self._configured(record, since_s)
        await self._found(caller, key_id)
        async with self._changing():
            key = await self._store.revoke(key_id, self._now())
        if key is None:
            _unknown(key_id)
        await self._note("key.revoked", caller, key_id, key.tenant, {"name": key.name})
        return self._shown(key)

    # -- inside

    async def _found(self, caller: KeyRecord, key_id: str) -> StoredKey:
        """A stored key that ``caller`` may see; another tenant's is like none. Raises NotFound."""
        async with _stored():
            key = await self._store.get(key_id)
        if key is None or not caller.may_see(key.tenant):
            _unknown(key_id)
        return key

    async def _change(self, caller: KeyRecord, key_id: str, decide: Callable[[StoredKey], KeyChange]) -> StoredKey:
        """The key after what ``decide`` makes of it, which nobody else changes meanwhile. Raises as `_found` and ``decide`` do."""

        def seen(before: StoredKey) -> KeyChange:
            if not caller.may_see(before.tenant):
                _unknown(key_id)
            return decide(before)

        async with self._changing():
            key = await self._store.change(key_id, seen)
            if key is None:
                _unknown(key_id)
        return key

    def _tenant(self, caller: KeyRecord, fields: Fields) -> str:
        if fields.company_id is UNSET:
            return caller.tenant
        if not caller.may_see(fields.company_id):
            raise PermissionDenied("keys are made for one's own tenant only", param="company_id")
        known = {DEFAULT_TENANT, *self._plan.tenants}
        if fields.company_id not in known:
            near = closest(fields.company_id, sorted(known))
            hint = f"; did you mean {near!r}?" if near else "; tenants stand in the section `tenants`"
            raise InvalidRequest(f"company_id: no tenant {fields.company_id[:100]!r}{hint}", param="company_id")
        return fields.company_id

    def _minted(self, caller: KeyRecord, fields: Fields) -> tuple[str, str]:
        """A new key and its hash; or the one that is given, which only whoever runs the gateway can bring along."""
        if fields.key is UNSET:
            prefix = PREFIXES[0] if fields.prefix is UNSET else fields.prefix
            return mint(self._random, self._pepper, prefix)
        if not caller.manages:
            raise PermissionDenied("only the operator's keys can bring a key along", param="key")
        if not fields.key.startswith(PREFIXES):
            raise InvalidRequest(f"key: one that is brought along begins with {' or '.join(PREFIXES)}", param="key")
        if fields.prefix is not UNSET:
            raise InvalidRequest("prefix: a key that is brought along has its own", param="prefix")
        demand_hard_to_guess(fields.key, next(prefix for prefix in PREFIXES if fields.key.startswith(prefix)))
        return fields.key, hash_key(self._pepper, fields.key)

    async def _add(self, key: StoredKey, *, given: bool) -> None:
        """Raises Conflict as `_demand_new` does, also where somebody else brings the same key along at this moment.

        One that was not ``given`` was made here of 256 random bits: there is no other.
        """
        if given:
            await self._demand_new(key.hash)
        try:
            await self._store.add(key)
        except StoreError:
            await self._demand_new(key.hash)
            raise

    async def _demand_new(self, hash_: str) -> None:
        """Raises Conflict where there is a key of this hash, or was one that is revoked for good."""
        found = await self._store.all()
        if hash_ in self._good.configured.hashes or any(each.hash == hash_ for each in found.keys):
            raise Conflict("there is a key that is the same; keys are made by whoever keeps them once")
        if hash_ in found.revoked:
            raise Conflict("this key is revoked for good; make another one")

    def _models(self, fields: Fields, before: tuple[str, ...]) -> tuple[str, ...] | UnsetType:
        """The names a key may use: of models and of combos."""
        if fields.allowedModels is UNSET and fields.allowedCombos is UNSET:
            return UNSET
        combos = self._plan.combos
        models = (
            [name for name in before if name not in combos] if fields.allowedModels is UNSET else fields.allowedModels
        )
        mixed = [name for name in before if name in combos] if fields.allowedCombos is UNSET else fields.allowedCombos
        if fields.allowedModels is not UNSET and fields.allowedCombos is UNSET:
            mixed = ()  # the models that are given are all names
        if before and not models and not mixed and fields.allowedModels is UNSET:
            message = "allowedCombos: then nothing would be named, which allows all; say `allowedModels` beside it"
            raise InvalidRequest(message, param="allowedCombos")
        return tuple(dict.fromkeys((*models, *mixed)))

    async def _note(self, action: str, caller: KeyRecord, key_id: str, tenant: str, details: dict[str, object]) -> None:
        async with _stored():
            await self._audit.write(
                action, actor=caller, target=key_id, resource_type="key", tenant=tenant, details=details
            )

    @asynccontextmanager
    async def _changing(self) -> AsyncGenerator[None, None]:
        """What is changed in the block holds here at its end, and is news for the other workers."""
        async with _stored():
            yield
            await self._good.refresh()
        with suppress(SharedError):  # they ask the store themselves
            await self._colleagues.tell(KEYS, b"")

    def _checked(self, data: KeyFields) -> Fields:
        """What is said of a key, sound under the configuration in force. Raises InvalidRequest with the field's path."""
        fields = read_fields(data)
        if fields.scopes is not UNSET:
            demand_scopes(fields.scopes)
        if fields.name is not UNSET:
            demand_own_name(fields.name, {record.id for record in self._good.configured.hashes.values()})
        if fields.allowedModels is not UNSET:
            demand_models(self._plan, fields.allowedModels)
        for index, name in enumerate(() if fields.allowedCombos is UNSET else fields.allowedCombos):
            if name not in self._plan.combos:
                at = f"allowedCombos[{index}]"
                near = closest(name, self._plan.combos)
                hint = f"; did you mean {near!r}?" if near else ""
                raise InvalidRequest(f"{at}: no combo {name[:100]!r}{hint}", param=at)
        if fields.pins is not UNSET:
            demand_pins(self._plan, fields.pins)
        if isinstance(fields.expiresAt, datetime):
            demand_future(fields.expiresAt.timestamp(), self._now())
        return fields

    def _refuse_configured(self, caller: KeyRecord, key_id: str) -> None:
        if any(each.id == key_id and caller.may_see(each.tenant) for each in self._good.configured.hashes.values()):
            raise Conflict(
                f"the key {key_id!r} stands in the configuration: change it in gateway.yaml and build, or revoke it with "
                f"POST /api/keys/{key_id}/revoke"
            )

    def _shown(self, key: StoredKey) -> ApiKey:
        return ApiKey(
            id=key.id,
            name=key.name,
            source="store",
            company_id=key.tenant,
            keyPrefix=key.prefix,
            scopes=list(key.scopes),
            allowedModels=list(key.models),
            allowedCombos=[name for name in key.models if name in self._plan.combos],
            pins=list(key.pins),
            limits=shown_limits(key.limits),
            isActive=key.good(self._now()),
            createdAt=_time(key.created_s),
            expiresAt=_time(key.expires_s),
            revokedAt=_time(key.revoked_s),
            lastUsedAt=_time(key.last_used_s),
        )

    def _configured(self, record: KeyRecord, revoked_s: float | None) -> ApiKey:
        return ApiKey(
            id=record.id,
            name=record.id,
            source="config",
            company_id=record.tenant,
            scopes=sorted(record.scopes),
            allowedModels=list(record.models),
            allowedCombos=[name for name in record.models if name in self._plan.combos],
            pins=list(record.pins),
            limits=shown_limits(record.limits),
            isActive=revoked_s is None,
            revokedAt=_time(revoked_s),
        )


@asynccontextmanager
async def _stored() -> AsyncGenerator[None, None]:
    try:
        yield
    except StoreError as error:
        raise RouteUnavailable("the store of keys cannot be reached now", retry_after_s=1) from error


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
    return datetime.fromtimestamp(min(at_s, LAST_S), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
