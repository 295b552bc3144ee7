"""Provider nodes over HTTP: servers of the operator's own, listed, added, changed, deleted, and tried."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import UNSET

from generated.types.connections import Validation
from generated.types.provider_nodes import NodeAnswer, NodeDeleted, NodeList, NodeValidation, ProviderNode
from generated.types.values import Document
from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.management.body import masked, settings_of, shown
from runtime.management.node import OWN, api_type, node_document, node_type, read_node
from runtime.services.connection_trials import told_listing
from runtime.services.overrides import Overrides
from runtime.services.reach import refuse_unreachable
from runtime.services.trial import Trial
from runtime.services.written import Entries, Written
from runtime.upstream.listing import Server
from runtime.web.key import KeyRecord

__all__ = ["ProviderNodes"]

VERSION: Final = "2023-06-01"
"""Of Anthropic's protocol; its servers refuse a request that names none."""


class ProviderNodes:
    """Implements `generated.api.provider_nodes.ProviderNodesService`. ``catalog`` are the ids that the catalogue has."""

    def __init__(self, overrides: Overrides, trial: Trial, catalog: Collection[str]) -> None:
        self._written = Written(overrides, "providers", "provider node")
        self._trial = trial
        self._catalog = catalog

    async def list_nodes(self, caller: KeyRecord) -> NodeList:
        await self._written.manages(caller)
        nodes = [self._shown(id_) for id_ in self._written.all() if id_ not in self._catalog]
        return NodeList(nodes=nodes, total=len(nodes))

    async def get_node(self, caller: KeyRecord, node_id: str) -> NodeAnswer:
        await self._written.manages(caller)
        self._document(node_id)
        return NodeAnswer(node=self._shown(node_id))

    async def create_node(self, caller: KeyRecord, data: Document) -> NodeAnswer:
        await self._written.manages(caller)
        fields = read_node(data)
        prefix = fields.prefix
        if prefix is UNSET or fields.name is UNSET or fields.baseUrl is UNSET:
            missing = "prefix" if prefix is UNSET else "name" if fields.name is UNSET else "baseUrl"
            raise InvalidRequest(f"a new node needs `{missing}`", param=missing)
        document = node_document(fields)
        await _check_address(document)

        def created() -> Entries:
            if prefix in self._catalog or prefix in self._written.all():
                what = "in the catalogue" if prefix in self._catalog else "here"
                raise Conflict(f"prefix: there is a provider {prefix!r} {what}; take another prefix")
            return {prefix: document}

        await self._written.edit(caller, "created", created)
        return NodeAnswer(node=self._shown(prefix))

    async def change_node(self, caller: KeyRecord, data: Document, node_id: str) -> NodeAnswer:
        await self._written.manages(caller)
        fields = read_node(data)
        if fields.prefix not in {UNSET, node_id}:
            raise InvalidRequest(
                "prefix: it stands before the models' names, and stays; make another node", param="prefix"
            )
        await _check_address(node_document(fields, self._document(node_id)))
        await self._written.edit(caller, "changed", lambda: {node_id: node_document(fields, self._document(node_id))})
        return NodeAnswer(node=self._shown(node_id))

    async def delete_node(self, caller: KeyRecord, node_id: str) -> NodeDeleted:
        await self._written.manages(caller)

        def deleted() -> Entries:
            self._document(node_id)
            return {node_id: None}

        await self._written.edit(caller, "deleted", deleted)
        if not self._written.in_files(node_id):
            return NodeDeleted(id=node_id, deleted=True)
        return NodeDeleted(
            id=node_id,
            deleted=True,
            message=f"it stands in gateway.yaml, where its entry stays and is hidden; `gatewright overrides --drop "
            f"providers/{node_id}` shows it again",
        )

    async def validate_node(self, caller: KeyRecord, data: NodeValidation) -> Validation:
        await self._written.manages(caller)
        fields: dict[str, object] = {"baseUrl": data.baseUrl, "type": data.type, "local": data.local}
        document = node_document(read_node(fields))
        await _check_address(document)
        anthropic = data.type == "anthropic-compatible"
        headers = {"anthropic-version": VERSION} if anthropic else {}
        if data.apiKey is not UNSET and data.apiKey:
            headers |= {"x-api-key": data.apiKey} if anthropic else {"authorization": f"Bearer {data.apiKey}"}
        server = Server(
            base_url=str(document["base_url"]),
            protocol="anthropic_messages" if anthropic else "openai_chat",
            headers=headers,
            path=None if data.modelsPath is UNSET else data.modelsPath,
            public=document.get("local") is not True,
        )
        return told_listing(await self._trial.listing(server))

    def _document(self, id_: str) -> Mapping[str, object]:
        """What is written of the node. Raises NotFound, also for a provider of the catalogue."""
        if id_ in self._catalog:
            raise NotFound(f"{id_} is a provider of the catalogue, not a node")
        return self._written.document(id_)

    def _shown(self, id_: str) -> ProviderNode:
        document = settings_of(self._written.all().get(id_))
        kind, path = api_type(document), None
        surfaces = settings_of(document.get("surfaces"))
        for surface in surfaces.values():
            path = settings_of(surface).get("path")
            break
        rest = {name: value for name, value in document.items() if name not in OWN}
        if "proxy" in rest:
            rest["proxy"] = masked(rest["proxy"])
        if len(surfaces) > 1:
            rest["surfaces"] = dict(surfaces)
        node = ProviderNode(
            id=id_,
            name=str(document.get("name", id_)),
            prefix=id_,
            type=node_type(document),
            baseUrl=str(document.get("base_url", "")),
            local=document.get("local") is True,
            settings=shown(rest),
            source=self._written.origin(id_),
        )
        if kind is not None:
            node.apiType = kind
        if isinstance(path, str):
            node.chatPath = path
        return node


async def _check_address(document: Mapping[str, object]) -> None:
    """Raises InvalidRequest for an address of a private network, unless the node is said to be on one's own."""
    await refuse_unreachable(str(document.get("base_url", "")), local=document.get("local") is True)
