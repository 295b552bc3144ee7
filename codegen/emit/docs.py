"""`docs/reference/`: the pages that say what there is. Their words come from the schemas; nothing is written twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from jinja2 import Environment

from codegen.emit.catalog import SOURCE as PROVIDERS
from codegen.emit.output import Output
from codegen.emit.python import code, header
from codegen.emit.quantity import SCHEMAS, written
from codegen.emit.settings import SOURCE as SETTINGS
from codegen.ir import AnyItem, Item, ListItem, MapItem, Plain, Project, RecordItem, Section, Setting, SettingRecord
from runtime.catalog import Model, Prices, Provider
from runtime.source import CODES

__all__ = ["emit_docs"]

_FOLDER = "docs/reference"
_PROTOCOLS = "schemas/protocols/"
_UNKNOWN = "–"  # noqa: RUF001 — the dash that tables use for "nothing"


def emit_docs(project: Project, env: Environment) -> Iterator[Output]:
    """Settings, providers, protocols, diagnostics."""
    yield _page(env, "settings", SETTINGS, (SETTINGS,), sections=[_section(section) for section in project.sections])
    providers = [_provider(definition.provider) for definition in project.providers]
    yield _page(env, "providers", PROVIDERS, (PROVIDERS,), providers=providers)
    facts = [definition.facts for definition in project.protocols]
    yield _page(env, "protocols", _PROTOCOLS, (_PROTOCOLS,), protocols=facts)
    yield _page(env, "diagnostics", "runtime/source/codes.py", (), codes=CODES)


def _page(env: Environment, name: str, origin: str, sources: tuple[str, ...], **values: Any) -> Output:
    text = env.get_template(f"{name}.md.jinja").render(header=header(origin), **values)
    return Output(path=f"{_FOLDER}/{name}.md", text=text, sources=sources)


# -- settings


def _section(section: Section) -> dict[str, Any]:
    shapes = {
        "record": "",
        "map": "Each key is a name you choose.",
        "list": "A list; each entry is one of these.",
    }
    own = section.item.name if isinstance(section.item, RecordItem) else None
    entries = "" if own else f"Each value is {_type(section.item)}."
    return {
        "key": section.key,
        "help": section.help,
        "shape": " ".join(filter(None, (shapes[section.shape], entries))),
        "settings": [
            _setting(setting) for record in section.records if record.name == own for setting in record.settings
        ],
        "records": [_record(record) for record in section.records if record.name != own],
        "example": None if section.example is msgspec.UNSET else _json(section.example),
    }


def _record(record: SettingRecord) -> dict[str, Any]:
    return {"name": record.name, "help": record.help, "settings": [_setting(setting) for setting in record.settings]}


def _setting(setting: Setting) -> dict[str, Any]:
    default = _UNKNOWN if setting.written is None else code(setting.written or '""')
    return {
        "key": setting.key,
        "type": _type(setting.item),
        "default": "required" if setting.required else default,
        "help": setting.help,
        "secret": setting.secret,
        "reload": setting.reload,
        "example": None if setting.example is msgspec.UNSET else _json(setting.example),
    }


def _type(item: Item) -> str:
    match item:
        case ListItem():
            return f"list of {_type(item.item)}"
        case MapItem():
            return f"map of names to {_type(item.item)}"
        case AnyItem():
            return " or ".join(_type(part) for part in item.items)
        case RecordItem():
            return f"[{item.name}](#{item.name.lower()})"
        case Plain():
            return _plain(item)


def _plain(item: Plain) -> str:
    if item.word == "choice":
        *most, last = (code(choice) for choice in item.choices)
        return f"{', '.join(most)} or {last}" if most else last
    word = "reference to a secret" if item.word == "secret" else "dollars" if item.word == "usd" else item.word
    limits = [
        f"{name} {written(item.word, bound) if item.word in SCHEMAS else bound}"
        for name, bound in (("from", item.minimum), ("to", item.maximum))
        if bound is not None
    ]
    return " ".join((word, *limits))


def _json(value: Any) -> str:
    return code(msgspec.json.encode(value).decode())


# -- providers


def _provider(provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "base_url": provider.base_url,
        "protocols": ", ".join(code(name) for name in provider.surfaces),
        "env": ", ".join(code(name) for name in provider.auth.env) or _UNKNOWN,
        "auth": {"key": "a key", "optional_key": "a key, if it wants one", "none": "nothing"}[provider.auth.scheme],
        "open": provider.open_models,
        "local": provider.local,
        "notes": provider.notes,
        "models": [_model(model) for model in provider.models],
    }


def _model(model: Model) -> dict[str, Any]:
    prices = model.prices
    return {
        "id": model.id,
        "endpoint": model.endpoint.value,
        "context": _tokens(model.limits.context),
        "output": _tokens(model.limits.max_output),
        "has": ", ".join(capability.value.replace("_", " ") for capability in model.has) or _UNKNOWN,
        "prices": _prices(prices) if prices else [_UNKNOWN] * 3,
        "date": prices.date if prices else _UNKNOWN,
        "source": prices.source if prices else _UNKNOWN,
    }


def _tokens(number: int | None) -> str:
    return _UNKNOWN if number is None else f"{number:,}"


def _prices(prices: Prices) -> list[str]:
    """Of input, output and what is read from a cache; behind it those of long prompts."""
    usual = [_usd(price) for price in (prices.input, prices.output, prices.cache_read)]
    if prices.long_above is None:
        return usual
    long = prices.of_prompt(prices.long_above + 1)
    dearer = [_usd(price) for price in (long.input, long.output, long.cache_read)]
    return [one if one == other else f"{one} ({other})" for one, other in zip(usual, dearer, strict=True)]


def _usd(price: int | None) -> str:
    return _UNKNOWN if price is None else f"${written('usd', price)}"
