"""Combos as the management API has them, and as gateway.yaml has them.

The API's `models` are `targets`, its `config.handoffThreshold` is `handoff_percent`, its `context_length` is `context`;
everything else that a combo can say stands in `settings`, in gateway.yaml's own words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.combos import Combo, ComboConfig, ComboModel
from runtime.errors import InvalidRequest
from runtime.management.body import Document, items_of, read_body, settings_of, shown

__all__ = ["ComboFields", "combo_document", "read_combo", "shown_combo"]

STRATEGIES: Final[Mapping[str, str]] = MappingProxyType(
    {"lkgp": "last-known-good", "usage": "least-used", "context": "context-optimized"}
)
"""Words of other gateways for strategies that have another name here."""

_OWN: Final = ("strategy", "targets", "context", "handoff_percent")
"""What the API has fields of its own for."""

_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class _Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target that is more than a name. ``id`` is in answers, and means nothing in requests."""

    kind: Literal["model", "combo-ref"] = "model"
    model: _Name | UnsetType = UNSET
    comboName: _Name | UnsetType = UNSET  # noqa: N815 — as clients write it
    provider: str | UnsetType | None = UNSET
    providerId: str | UnsetType | None = UNSET  # noqa: N815
    connectionId: str | UnsetType | None = UNSET  # noqa: N815
    weight: Annotated[int, Meta(ge=0, le=1000000)] | UnsetType | None = UNSET
    when: dict[str, object] | UnsetType | None = UNSET
    id: str | UnsetType = UNSET


class _Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    handoffThreshold: Annotated[float, Meta(ge=0.01, le=1.0)] | UnsetType | None = UNSET  # noqa: N815


class ComboFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of a combo. What only answers say is taken and left aside, so that an answer can be sent back."""

    name: _Name | UnsetType = UNSET
    models: Annotated[tuple[_Name | _Model, ...], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
    strategy: str | UnsetType = UNSET
    config: _Config | UnsetType | None = UNSET
    context_length: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET
    settings: dict[str, object] | UnsetType | None = UNSET
    isActive: bool | UnsetType = UNSET  # noqa: N815
    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET


def read_combo(data: Mapping[str, object]) -> ComboFields:
    """Raises InvalidRequest."""
    if data.get("isActive") is False:
        message = "isActive: a combo is there or is not; delete it, and make it again when it is wanted"
        raise InvalidRequest(message, param="isActive")
    fields = read_body(data, ComboFields)
    for name in fields.settings if isinstance(fields.settings, dict) else ():
        if name in _OWN:
            own = {"targets": "models", "context": "context_length", "handoff_percent": "config.handoffThreshold"}
            message = f"settings.{name}: this is said in {own.get(name, name)!r}"
            raise InvalidRequest(message, param=f"settings.{name}")
    return fields


def combo_document(fields: ComboFields, before: Mapping[str, object] | None = None) -> Document:
    """What gateway.yaml says of the combo once ``fields`` have changed what it said ``before``. Raises InvalidRequest."""
    document: Document = dict(before or {})
    if fields.settings is not UNSET:
        document = {name: value for name, value in document.items() if name in _OWN} | dict(fields.settings or {})
    if fields.strategy is not UNSET:
        document["strategy"] = STRATEGIES.get(fields.strategy, fields.strategy)
    if fields.models is not UNSET:
        document["targets"] = [_target(each, f"models[{index}]") for index, each in enumerate(fields.models)]
    if fields.context_length is not UNSET:
        document["context"] = fields.context_length
    if fields.config is not UNSET:
        threshold = fields.config.handoffThreshold if fields.config is not None else None
        document["handoff_percent"] = round(threshold * 100) if isinstance(threshold, float) else None
    return {name: value for name, value in document.items() if value is not None}


def shown_combo(
    name: str, document: Mapping[str, object], combos: Collection[str], source: Literal["config", "override"]
) -> Combo:
    """The combo ``name`` as the API shows it; ``combos`` are the names of all."""
    percent, context = document.get("handoff_percent"), document.get("context")
    config = ComboConfig()
    if isinstance(percent, int):
        config.handoffThreshold = percent / 100
    return Combo(
        id=name,
        name=name,
        strategy=str(document.get("strategy", "priority")),
        models=[
            _model(f"{name}-{index + 1}", target, combos)
            for index, target in enumerate(items_of(document.get("targets")))
        ],
        config=config,
        context_length=context if isinstance(context, int) else UNSET,
        settings=shown({key: value for key, value in document.items() if key not in _OWN}),
        isActive=True,
        source=source,
    )


def _target(model: str | _Model, path: str) -> str | Document:
    if isinstance(model, str):
        return model
    name = model.comboName if model.kind == "combo-ref" else model.model
    if name is UNSET:
        wanted = "comboName" if model.kind == "combo-ref" else "model"
        raise InvalidRequest(f"{path}.{wanted}: it is missing", param=f"{path}.{wanted}")
    provider = model.providerId or model.provider
    if provider and model.kind == "model" and not name.startswith(f"{provider}/"):
        name = f"{provider}/{name}"
    more = {"connection": model.connectionId, "weight": model.weight, "when": model.when}
    said = {key: value for key, value in more.items() if value is not None and value is not UNSET}
    return {"model": name, **said} if said else name


def _model(id_: str, target: object, combos: Collection[str]) -> ComboModel:
    document = settings_of(target) or {"model": target}
    name = str(document.get("model", ""))
    model = ComboModel(id=id_, kind="combo-ref" if name in combos else "model")
    if model.kind == "combo-ref":
        model.comboName = name
    else:
        model.model = name
        model.providerId = name.partition("/")[0] if "/" in name else UNSET
    connection, weight, when = (document.get(key) for key in ("connection", "weight", "when"))
    if isinstance(connection, str):
        model.connectionId = connection
    if isinstance(weight, int):
        model.weight = weight
    if when is not None:
        model.when = shown(settings_of(when))
    return model
