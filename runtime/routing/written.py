"""Which lines of the configuration stand behind the steps of a request: a setting's, a target's, a connection's."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from runtime.config.explain import written_at
from runtime.config.plan import Artefact, Combo
from runtime.config.resolve import resolve
from runtime.telemetry import Note, Skipped

__all__ = ["Lines"]

_OF_SKIPPED = {"circuit_open": "breakers"}
"""What a target is left out by, where that is not what is written of its connection."""


class Lines:
    """The lines that matter to one request for ``name``. UNSET stands for what is written nowhere, such as a default."""

    def __init__(self, artefact: Artefact, name: str) -> None:
        self._plan = artefact.plan
        self._origins = artefact.origins
        route = resolve(artefact.plan, name) if name else None
        self._combo = artefact.plan.combos.get(route.combo) if route is not None and route.combo is not None else None

    def entity(self, *entities: str) -> str | UnsetType:
        """The first of ``entities`` (`combos.smart`, `retries.per_target`) that is written."""
        return next((self._origins[each] for each in entities if each in self._origins), UNSET)

    def target(self, model: str, connection: str = "") -> str | UnsetType:
        """Where ``model`` was written as a target of the combo that was asked for, else as what it is; else ``connection``."""
        listed = self._listed(self._combo, model, set()) if model and self._combo is not None else None
        if listed is not None:
            return listed
        return (model and written_at(self._plan, self._origins, model)) or self.connection(connection)

    def connection(self, id_: str) -> str | UnsetType:
        """Where the connection was written, or its provider, where it is one that was found."""
        provider, _, name = id_.partition("/")
        return self.entity(f"providers.{provider}.connections.{name}", f"providers.{provider}")

    def skipped(self, step: Skipped) -> str | UnsetType:
        """What a target was left out by."""
        setting = _OF_SKIPPED.get(step.reason)
        written = self.entity(setting) if setting is not None else self.connection(step.connection)
        return written or self.target(step.target, step.connection)

    def note(self, note: Note) -> str | UnsetType:
        """What else had a part in it: the setting that wants it so, else what it is about."""
        match note.kind:
            case "retry":
                written = self.entity("retries.per_target", "retries")
            case "queue":
                written = self.entity("timeouts.queue", "timeouts")
            case "hedge" | "rescue":
                written = self._of_combo(note.kind)
            case "session":
                written = self.sessions(note.target or note.connection)
            case _:
                written = UNSET
        if written is UNSET and note.kind in {"pin", "queue"}:
            written = self.connection(note.connection)
        return self.target(note.target, note.connection) if written is UNSET else written

    def sessions(self, about: str = "") -> str | UnsetType:
        """Who says what makes a session; ``about`` is a target or connection of the provider that may."""
        provider = about.partition("/")[0]
        return self._of_combo("sessions") or self.entity(f"providers.{provider}.sessions", "sessions")

    def _of_combo(self, setting: str) -> str | UnsetType:
        return UNSET if self._combo is None else self.entity(f"combos.{self._combo.name}.{setting}")

    def _listed(self, combo: Combo, model: str, seen: set[str]) -> str | None:
        """Where ``combo``, or one inside it, has ``model`` among its targets."""
        seen.add(combo.name)
        for index, member in enumerate(combo.members):
            if member.model == model:
                return self._origins.get(f"combos.{combo.name}.targets.{index}")
            if member.combo is not None and member.combo not in seen:
                found = self._listed(self._plan.combos[member.combo], model, seen)
                if found is not None:
                    return found
        return None
