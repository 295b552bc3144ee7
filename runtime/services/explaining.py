"""Why a request went where it went, whichever worker it was that decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from generated.types.explain import Decision
from runtime.config.plan import Artefact
from runtime.config.secrets import Secrets
from runtime.errors import NotFound
from runtime.routing.reasons import explain_call
from runtime.shared.colleagues import Colleagues
from runtime.telemetry import Decisions
from runtime.web.key import ADMIN, OPERATOR, KeyRecord

__all__ = ["EXPLAIN", "Explaining", "Reasoner"]

EXPLAIN: Final = "explain"
"""The kind of question that `Reasoner.answer` answers."""


class _Asked(msgspec.Struct, frozen=True, array_like=True):
    """``operator``: whoever asks may know what all tenants share."""

    id: str
    operator: bool


class Reasoner:
    """Puts this worker's own decisions into words."""

    def __init__(
        self,
        artefact: Artefact,
        secrets: Secrets,
        decisions: Decisions,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._artefact = artefact
        self._secrets = secrets
        self._decisions = decisions
        self._clock = clock
        self._now = now

    def find(self, id_: str, operator: bool) -> Decision | None:
        """``operator``: it is for one who may know what all tenants share."""
        record = self._decisions.find(id_)
        if record is None:
            return None
        offset_s = self._now() - self._clock()
        lit, dark = self._secrets.connections.keys(), self._secrets.dark
        return explain_call(self._artefact, lit, record, lambda at_s: at_s + offset_s, dark, operator=operator)

    def answer(self, question: bytes) -> bytes | None:
        """`find`, for a colleague."""
        asked = msgspec.json.decode(question, type=_Asked)
        found = self.find(asked.id, asked.operator)
        return None if found is None else msgspec.json.encode(found)


class Explaining:
    """Implements `generated.api.explain.ExplainService`."""

    def __init__(self, reasoner: Reasoner, colleagues: Colleagues, keep: int) -> None:
        self._reasoner = reasoner
        self._colleagues = colleagues
        self._keep = keep

    async def explain_request(self, caller: KeyRecord, id: str) -> Decision:  # noqa: A002 — the path's word
        asked = _Asked(id, caller.tenant == OPERATOR)
        own = self._reasoner.find(id, asked.operator)
        if own is not None and own.id == id:
            found = [own]
        else:
            answers = await self._colleagues.ask(EXPLAIN, msgspec.json.encode(asked))
            found = [msgspec.json.decode(answer, type=Decision) for answer in answers.answers]
        seen = [each for each in found if _may_see(caller, each)]
        if not seen:
            raise NotFound(f"nothing is known of a request {id!r}; {self._until()}", param="id")
        return max(seen, key=lambda each: each.at)

    def _until(self) -> str:
        if not self._keep:
            return "`explain: {keep: 0}` remembers none"
        return "it may be too old (`explain: {keep: …, for: …}`), or another key's"


def _may_see(caller: KeyRecord, decision: Decision) -> bool:
    """A key sees its own, an admin's those of its tenant, the operator's admin all."""
    return caller.may_see(decision.company_id) and (caller.allows(ADMIN) or decision.key == caller.id)
