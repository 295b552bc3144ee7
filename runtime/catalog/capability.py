"""What a model can do, and how sure we are of it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Capability", "Certainty", "Endpoint"]


class Capability(StrEnum):
    """A promise a public model can make. Endpoint kinds are `Endpoint`; context is a number in `Limits`."""

    STREAMING = "streaming"
    TOOLS = "tools"
    PARALLEL_TOOLS = "parallel_tools"
    VISION = "vision"
    AUDIO_INPUT = "audio_input"
    DOCUMENTS = "documents"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"
    REASONING = "reasoning"
    PROMPT_CACHE = "prompt_cache"
    PREFILL = "prefill"
    LOGPROBS = "logprobs"


class Certainty(StrEnum):
    """`stated` by the vendor (or the operator); `denied` likewise; `assumed` when nobody said either."""

    STATED = "stated"
    DENIED = "denied"
    ASSUMED = "assumed"


class Endpoint(StrEnum):
    """What kind of call a model answers."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    IMAGES = "images"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    MODERATION = "moderation"
    RERANK = "rerank"
    SEARCH = "search"
