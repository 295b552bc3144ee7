"""Policies over HTTP: listed, made, changed and deleted."""

from __future__ import annotations

from msgspec import UNSET

from generated.types.policies import PolicyDeleted, PolicyList, RoutingPolicy
from generated.types.values import Document
from runtime.errors import Conflict, InvalidRequest
from runtime.management.body import shown
from runtime.management.policy import read_policy
from runtime.services.overrides import Overrides
from runtime.services.written import Entries, Written
from runtime.web.key import KeyRecord

__all__ = ["Policies"]


class Policies:
    """Implements `generated.api.policies.PoliciesService`."""

    def __init__(self, overrides: Overrides) -> None:
        self._written = Written(overrides, "policies", "policy")

    async def list_policies(self, caller: KeyRecord) -> PolicyList:
        await self._written.manages(caller)
        policies = [self._shown(name) for name in self._written.all()]
        return PolicyList(policies=policies, total=len(policies))

    async def get_policy(self, caller: KeyRecord, policy_id: str) -> RoutingPolicy:
        await self._written.manages(caller)
        return self._shown(policy_id)

    async def create_policy(self, caller: KeyRecord, data: Document) -> RoutingPolicy:
        await self._written.manages(caller)
        fields = read_policy(data)
        name, settings = fields.name, fields.settings
        if name is UNSET or settings is UNSET:
            missing = "name" if name is UNSET else "settings"
            raise InvalidRequest(f"a new policy needs `{missing}`", param=missing)

        def created() -> Entries:
            self._refuse_taken(name)
            return {name: settings}

        await self._written.edit(caller, "created", created)
        return self._shown(name)

    async def change_policy(self, caller: KeyRecord, data: Document, policy_id: str) -> RoutingPolicy:
        await self._written.manages(caller)
        fields = read_policy(data)
        name = policy_id if fields.name is UNSET else fields.name

        def changed() -> Entries:
            before = self._written.document(policy_id)
            document = before if fields.settings is UNSET else fields.settings
            if name == policy_id:
                return {name: document}
            self._refuse_taken(name)
            return {name: document, policy_id: None}

        await self._written.edit(caller, "changed", changed)
        return self._shown(name)

    async def delete_policy(self, caller: KeyRecord, policy_id: str) -> PolicyDeleted:
        await self._written.manages(caller)

        def deleted() -> Entries:
            self._written.document(policy_id)
            return {policy_id: None}

        await self._written.edit(caller, "deleted", deleted)
        return PolicyDeleted(id=policy_id, deleted=True)

    async def delete_policy_by_name(self, caller: KeyRecord, name: str | None = None) -> PolicyDeleted:
        await self._written.manages(caller)
        if not name:
            raise InvalidRequest("say which policy: `?name=…`", param="name")
        return await self.delete_policy(caller, name)

    def _shown(self, name: str) -> RoutingPolicy:
        document = self._written.document(name)
        return RoutingPolicy(id=name, name=name, settings=shown(document), source=self._written.origin(name))

    def _refuse_taken(self, name: str) -> None:
        if name in self._written.all():
            raise Conflict(f"there is a policy {name[:100]!r}; change it with PUT /api/policies/{name[:100]}")
