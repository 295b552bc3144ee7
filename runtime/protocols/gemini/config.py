"""A client's `generationConfig` to canonical fields.

What canonical has no field for, and words that it does not know, go to providers of this protocol as they came.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import msgspec

from generated.types.gemini import GenerationConfig, ResponseFormat, ThinkingConfig
from runtime.canonical import Effort, JsonObject, JsonSchema, ReasoningConfig, Sampling
from runtime.canonical import ResponseFormat as AnswerForm
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.complaint import read_field
from runtime.protocols.gemini.vendor_schema import json_schema_of, lower_types
from runtime.protocols.gemini.wire import Fields

__all__ = ["Config", "read_config"]

PATH: Final = "generationConfig"
LEVELS: Final[MappingProxyType[str, Effort]] = MappingProxyType(
    {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh"}
)

_CONFIG: Final = msgspec.json.Decoder(GenerationConfig, strict=False)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_READ: Final = frozenset(GenerationConfig.__struct_fields__)
_FORM: Final = ("responseMimeType", "responseSchema", "responseJsonSchema", "responseFormat")
_JSON: Final = "application/json"


class Config(msgspec.Struct, frozen=True):
    """``rest`` are the fields that only this protocol has."""

    sampling: Sampling = Sampling()
    choices: int = 1
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    response_format: AnswerForm | None = None
    reasoning: ReasoningConfig | None = None
    rest: Fields = {}


def read_config(raw: msgspec.Raw | None) -> Config:
    """Raises InvalidRequest that names the field."""
    if raw is None:
        return Config()
    given = read_field(_CONFIG, raw, PATH)
    fields = {("responseJsonSchema" if name == "_responseJsonSchema" else name): value
              for name, value in _OBJECT.decode(raw).items()}  # fmt: skip
    form, form_read = _form(given)
    reasoning, thinking_read = _reasoning(present(given.thinkingConfig))
    top_k = present(given.topK)
    unread = {*(() if form_read else _FORM), *(() if thinking_read else ("thinkingConfig",))}
    return Config(
        sampling=Sampling(
            temperature=present(given.temperature),
            top_p=present(given.topP),
            top_k=None if top_k is None else int(top_k),
            presence_penalty=present(given.presencePenalty),
            frequency_penalty=present(given.frequencyPenalty),
            seed=present(given.seed),
        ),
        choices=max(1, present(given.candidateCount) or 1),
        max_output_tokens=_limit(present(given.maxOutputTokens)),
        stop=tuple(present(given.stopSequences) or ()),
        top_logprobs=(present(given.logprobs) or 0) if present(given.responseLogprobs) else None,
        response_format=form,
        reasoning=reasoning,
        rest={
            name: value
            for name, value in fields.items()
            if (name not in _READ or name in unread) and present(value) is not None
        },
    )


def _limit(tokens: int | None) -> int | None:
    """Raises InvalidRequest for a limit that leaves no room for an answer: the vendor refuses it, too."""
    if tokens is not None and tokens < 1:
        field = f"{PATH}.maxOutputTokens"
        raise InvalidRequest(f"The field '{field}' must be at least 1, not {tokens}.", param=field)
    return tokens


def _form(given: GenerationConfig) -> tuple[AnswerForm | None, bool]:
    """The form of the answer, and whether it was understood."""
    formats = present(given.responseFormat)
    if formats:
        return _new_form(formats)
    mime_type = present(given.responseMimeType)
    if mime_type not in {None, "", "text/plain", _JSON}:
        return None, False  # `text/x.enum`: a bare word, which nobody else can be told of
    schema = present(given.responseJsonSchema)
    if schema is not None:
        return JsonSchema(schema=lower_types(schema, f"{PATH}.responseJsonSchema")), True
    schema = present(given.responseSchema)
    if schema is not None:
        return JsonSchema(schema=json_schema_of(schema, f"{PATH}.responseSchema")), True
    return (JsonObject() if mime_type == _JSON else None), True


def _new_form(formats: list[ResponseFormat]) -> tuple[AnswerForm | None, bool]:
    text = next((found for each in formats if (found := present(each.text)) is not None), None)
    others = any(present(value) is not None for each in formats for value in (each.image, each.audio, each.video))
    if text is None or others:
        return None, False
    schema = present(text.jsonSchema) or present(text.schema)
    if schema is not None:
        return JsonSchema(schema=lower_types(schema, f"{PATH}.responseFormat")), True
    mime_type = present(text.mimeType)
    return (JsonObject() if mime_type == _JSON else None), mime_type in {None, "text/plain", _JSON}


def _reasoning(given: ThinkingConfig | None) -> tuple[ReasoningConfig | None, bool]:
    """What is said of thinking, and whether it was understood."""
    if given is None:
        return None, True
    level = present(given.thinkingLevel)
    effort = LEVELS.get((level or "").upper())
    budget = present(given.thinkingBudget)
    display = "summarized" if present(given.includeThoughts) else "omitted"
    known = level is None or effort is not None or level == "THINKING_LEVEL_UNSPECIFIED"
    if budget is None:
        return ReasoningConfig(effort=effort, mode=None if effort else "adaptive", display=display), known
    if budget == 0:
        return ReasoningConfig(mode="off", display=display), known
    if budget < 0:
        return ReasoningConfig(mode="adaptive", effort=effort, display=display), known
    return ReasoningConfig(mode="on", effort=effort, budget_tokens=budget, display=display), known
