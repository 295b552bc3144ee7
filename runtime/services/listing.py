"""The list of models as four vendors' clients read it. Values in, values out; who may see what is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Final

import msgspec

from generated.types.anthropic_messages import ModelInfo, ModelInfoList
from generated.types.models import GeminiModel, GeminiModelList, ModelEntry, ModelList
from generated.types.ollama import OllamaDetails, OllamaModel, OllamaTag, OllamaTagList
from runtime.catalog import Capability, Endpoint, Model
from runtime.errors import InvalidRequest

__all__ = ["DIALECTS", "Dialect", "Listed", "Page"]

ANTHROPIC_LIMIT: Final = 20
GEMINI_LIMIT: Final = 50
MAX_LIMIT: Final = 1000

ARCHITECTURE: Final = "gatewright"
"""What Ollama's clients find a model's facts under; they read the name first, and then `<name>.context_length`."""
OLLAMA_WORDS: Final[Mapping[Capability, str]] = MappingProxyType(
    {Capability.TOOLS: "tools", Capability.VISION: "vision", Capability.REASONING: "thinking"}
)


GEMINI_METHODS: Final[Mapping[Endpoint, tuple[str, ...]]] = MappingProxyType(
    {
        Endpoint.CHAT: ("generateContent", "countTokens"),
        Endpoint.EMBEDDINGS: ("embedContent", "batchEmbedContents"),
    }
)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One public name. ``facts`` are those of its first target that can be called now."""

    id: str
    kind: str
    provider: str
    endpoint: Endpoint
    facts: Model
    promises: tuple[Capability, ...]


class Page(msgspec.Struct, frozen=True):
    """``more``: others follow."""

    models: Sequence[Listed]
    more: bool


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's way: which page a query asks for, and the two answers."""

    page: Callable[[Sequence[Listed], Mapping[str, str]], Page]
    render_list: Callable[[Page], msgspec.Struct]
    render_one: Callable[[Listed], msgspec.Struct]


# -- OpenAI: no pages


def _all(models: Sequence[Listed], query: Mapping[str, str]) -> Page:  # noqa: ARG001 — not every vendor has pages
    return Page(models, more=False)


def _openai_list(page: Page) -> ModelList:
    return ModelList(data=[_openai_one(model) for model in page.models])


def _openai_one(model: Listed) -> ModelEntry:
    limits = model.facts.limits
    return ModelEntry(
        id=model.id,
        created=_released(model.facts),
        owned_by=model.provider if model.kind == "model" else model.kind,
        context_length=_or_unset(limits.context),
        max_output_tokens=_or_unset(limits.max_output),
        capabilities=[capability.value for capability in (model.promises or model.facts.has)],
    )


# -- Anthropic: pages by id


def _anthropic_page(models: Sequence[Listed], query: Mapping[str, str]) -> Page:
    limit = _limit(query, "limit", ANTHROPIC_LIMIT)
    if before := query.get("before_id"):
        end = _position(models, before, "before_id")
        return Page(models[max(0, end - limit) : end], more=end > limit)
    start = _position(models, query["after_id"], "after_id") + 1 if query.get("after_id") else 0
    return Page(models[start : start + limit], more=start + limit < len(models))


def _anthropic_list(page: Page) -> ModelInfoList:
    ids = [model.id for model in page.models]
    return ModelInfoList(
        data=[_anthropic_one(model) for model in page.models],
        has_more=page.more,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
    )


def _anthropic_one(model: Listed) -> ModelInfo:
    limits = model.facts.limits
    return ModelInfo(
        id=model.id,
        display_name=_display_name(model),
        created_at=_rfc3339(_released(model.facts)),
        lifecycle="active",
        max_input_tokens=limits.max_input if limits.max_input is not None else limits.context,
        max_tokens=limits.max_output,
    )


# -- Google: pages by token


def _gemini_page(models: Sequence[Listed], query: Mapping[str, str]) -> Page:
    limit = _limit(query, "pageSize", GEMINI_LIMIT)
    token = query.get("pageToken", "")
    start = _position(models, token, "pageToken") + 1 if token else 0
    return Page(models[start : start + limit], more=start + limit < len(models))


def _gemini_list(page: Page) -> GeminiModelList:
    return GeminiModelList(
        models=[_gemini_one(model) for model in page.models],
        nextPageToken=page.models[-1].id if page.more else msgspec.UNSET,
    )


def _gemini_one(model: Listed) -> GeminiModel:
    limits = model.facts.limits
    return GeminiModel(
        name=f"models/{model.id}",
        version="1",
        displayName=_display_name(model),
        inputTokenLimit=_or_unset(limits.max_input if limits.max_input is not None else limits.context),
        outputTokenLimit=_or_unset(limits.max_output),
        supportedGenerationMethods=list(GEMINI_METHODS.get(model.endpoint, ())),
    )


# -- Ollama: no pages


def _ollama_list(page: Page) -> OllamaTagList:
    return OllamaTagList(models=[_ollama_tag(model) for model in page.models])


def _ollama_tag(model: Listed) -> OllamaTag:
    return OllamaTag(
        name=model.id,
        model=model.id,
        modified_at=_rfc3339(_released(model.facts)),
        size=0,
        digest=sha256(model.id.encode()).hexdigest(),
        details=_ollama_details(model),
    )


def _ollama_one(model: Listed) -> OllamaModel:
    limits = model.facts.limits
    info: dict[str, str | int] = {"general.architecture": ARCHITECTURE, "general.basename": _display_name(model)}
    if limits.context is not None:
        info[f"{ARCHITECTURE}.context_length"] = limits.context
    return OllamaModel(
        license="",
        modelfile="",
        parameters="",
        template="",
        modified_at=_rfc3339(_released(model.facts)),
        details=_ollama_details(model),
        model_info=info,
        capabilities=_ollama_capabilities(model),
    )


def _ollama_details(model: Listed) -> OllamaDetails:
    return OllamaDetails(
        parent_model="",
        format="",
        family=model.provider,
        families=[model.provider],
        parameter_size="",
        quantization_level="",
    )


def _ollama_capabilities(model: Listed) -> list[str]:
    """In Ollama's words, those that it has a word for."""
    if model.endpoint is Endpoint.EMBEDDINGS:
        return ["embedding"]
    has = model.promises or model.facts.has
    return ["completion", *(word for capability, word in OLLAMA_WORDS.items() if capability in has)]


DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        "openai_chat": Dialect(page=_all, render_list=_openai_list, render_one=_openai_one),
        "anthropic_messages": Dialect(page=_anthropic_page, render_list=_anthropic_list, render_one=_anthropic_one),
        "gemini": Dialect(page=_gemini_page, render_list=_gemini_list, render_one=_gemini_one),
        "ollama_chat": Dialect(page=_all, render_list=_ollama_list, render_one=_ollama_one),
    }
)


def _limit(query: Mapping[str, str], name: str, default: int) -> int:
    raw = query.get(name)
    if not raw:
        return default
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 9 and 1 <= int(raw) <= MAX_LIMIT):
        raise InvalidRequest(f"{name} must be a whole number from 1 to {MAX_LIMIT}", param=name)
    return int(raw)


def _position(models: Sequence[Listed], id_: str, param: str) -> int:
    """Where ``id_`` stands. Names come and go between two pages, so one that is gone stands where it would be."""
    for index, model in enumerate(models):
        if model.id == id_:
            return index
        if model.id > id_:
            return index - 1 if param != "before_id" else index
    return len(models) - 1 if param != "before_id" else len(models)


def _released(facts: Model) -> int:
    """Unix seconds, 0 when the day is not known."""
    if facts.released is None:
        return 0
    return int(datetime.fromisoformat(facts.released).replace(tzinfo=UTC).timestamp())


def _rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _display_name(model: Listed) -> str:
    return model.facts.name if model.kind == "model" and model.facts.name else model.id


def _or_unset(number: int | None) -> int | msgspec.UnsetType:
    return msgspec.UNSET if number is None else number
