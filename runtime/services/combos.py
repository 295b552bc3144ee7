"""Combos over HTTP: listed, made, changed, deleted, and tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from generated.types.combos import (
    Combo,
    ComboDeleted,
    ComboFigures,
    ComboList,
    ComboMetricsList,
    ComboTest,
    ComboTestRequest,
    ComboTestResult,
    NamedComboTest,
)
from generated.types.values import Document
from runtime.errors import Conflict, InvalidRequest
from runtime.management.combo import combo_document, read_combo, shown_combo
from runtime.management.usage import shown_figures
from runtime.services.overrides import Overrides
from runtime.services.trial import Trial
from runtime.services.usage import readable
from runtime.services.written import Entries, Written
from runtime.stores.history import History, Wanted
from runtime.web.key import KeyRecord

__all__ = ["Combos"]

MOST: Final = 1000
"""Requests of a combo that its figures are of, at most."""

NO_ID: Final = frozenset({".", "..", "metrics", "test"})
"""Names whose paths are not those of a combo."""


class Combos:
    """Implements `generated.api.combos.CombosService`. ``now`` gives Unix seconds."""

    def __init__(self, overrides: Overrides, trial: Trial, history: History, now: Callable[[], float]) -> None:
        self._written = Written(overrides, "combos", "combo")
        self._trial = trial
        self._history = history
        self._now = now

    async def list_combos(self, caller: KeyRecord) -> ComboList:
        await self._written.reads(caller)
        combos = [self._shown(name) for name in self._written.all()]
        return ComboList(combos=combos, total=len(combos))

    async def get_combo(self, caller: KeyRecord, combo_id: str) -> Combo:
        await self._written.reads(caller)
        return self._shown(combo_id)

    async def create_combo(self, caller: KeyRecord, data: Document) -> Combo:
        await self._written.manages(caller)
        fields = read_combo(data)
        name = fields.name
        if name is UNSET or fields.models is UNSET:
            missing = "name" if name is UNSET else "models"
            raise InvalidRequest(f"a new combo needs `{missing}`", param=missing)

        def created() -> Entries:
            self._refuse_taken(name)
            return {name: combo_document(fields)}

        await self._written.edit(caller, "created", created)
        return self._shown(name)

    async def change_combo(self, caller: KeyRecord, data: Document, combo_id: str) -> Combo:
        await self._written.manages(caller)
        fields = read_combo(data)
        name = combo_id if fields.name is UNSET else fields.name

        def changed() -> Entries:
            document = combo_document(fields, self._written.document(combo_id))
            if name == combo_id:
                return {name: document}
            self._refuse_taken(name)
            return {name: document, combo_id: None}

        await self._written.edit(caller, "changed", changed)
        return self._shown(name)

    async def delete_combo(self, caller: KeyRecord, combo_id: str) -> ComboDeleted:
        await self._written.manages(caller)

        def deleted() -> Entries:
            self._written.document(combo_id)
            return {combo_id: None}

        await self._written.edit(caller, "deleted", deleted)
        return ComboDeleted(id=combo_id, deleted=True)

    async def get_combo_metrics(self, caller: KeyRecord, combo: str | None = None) -> ComboMetricsList:
        await self._written.reads(caller)
        if combo is not None:
            self._written.document(combo)
        tenant = caller.tenant_filter()
        metrics: dict[str, ComboFigures] = {}
        for name in self._written.all() if combo is None else [combo]:
            async with readable():
                page = await self._history.requests(Wanted(tenant=tenant, combo=name), limit=MOST)
            if page.requests:
                metrics[name] = shown_figures([each.settlement for each in page.requests])
        return ComboMetricsList(metrics=metrics)

    async def test_combo_by_name(self, caller: KeyRecord, data: NamedComboTest) -> ComboTest:
        await self._written.manages(caller)
        return await self._test(caller, data.comboName, live=data.live)

    async def test_combo(self, caller: KeyRecord, data: ComboTestRequest, combo_id: str) -> ComboTest:
        await self._written.manages(caller)
        return await self._test(caller, combo_id, live=data.live)

    async def _test(self, caller: KeyRecord, name: str, *, live: bool) -> ComboTest:
        shown = self._shown(name)
        results = [
            ComboTestResult(
                model=each.model,
                connectionId=each.connection,
                status=each.status,
                reason=each.reason or UNSET,
                latencyMs=UNSET if each.took_ms is None else each.took_ms,
            )
            for each in await self._trial.targets(caller, name, live=live)
        ]
        first = next((each.model for each in results if each.status in {"ok", "available"}), None)
        return ComboTest(
            comboName=name,
            strategy=shown.strategy,
            live=live,
            resolvedBy=UNSET if first is None else first,
            results=results,
            testedAt=round(self._now(), 3),
        )

    def _shown(self, name: str) -> Combo:
        document = self._written.document(name)
        return shown_combo(name, document, self._written.all().keys(), self._written.origin(name))

    def _refuse_taken(self, name: str) -> None:
        if "/" in name or name in NO_ID:
            raise InvalidRequest(
                f"name: {name[:100]!r} cannot stand in /api/combos/…, so that the combo could not be changed or taken away; "
                "choose another name",
                param="name",
            )
        if name in self._written.all():
            raise Conflict(f"there is a combo {name[:100]!r}; change it with PUT /api/combos/{name[:100]}")
