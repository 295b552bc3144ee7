"""One inference request, whoever asks and whoever answers."""

from __future__ import annotations

from typing import Literal

from runtime.canonical.base import Extensions, Value
from runtime.canonical.content import CacheMark, Part

__all__ = [
    "Effort",
    "JsonObject",
    "JsonSchema",
    "Message",
    "NamedTool",
    "ReasoningConfig",
    "Request",
    "ResponseFormat",
    "Role",
    "Sampling",
    "Tool",
    "ToolChoice",
    "ToolMode",
    "ToolSubset",
    "WebSearch",
]  # fmt: skip

Role = Literal["system", "developer", "user", "assistant", "tool"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Message(Value, frozen=True):
    """One turn. A ``tool`` message holds only `ToolResult` parts; those of one assistant turn stand in one message."""

    role: Role
    content: tuple[Part, ...]
    name: str | None = None


class WebSearch(Value, frozen=True):
    """A vendor's own search of the web, in what several vendors can be told of it.

    ``location`` is where the user is: any of `city`, `region`, `country`, `timezone`. ``context`` is how much of what was
    found the model reads: `low`, `medium`, `high`.
    """

    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    location: dict[str, str] = {}
    context: str | None = None
    max_uses: int | None = None


class Tool(Value, frozen=True):
    """A function the client runs. ``parameters`` is a JSON Schema as JSON text, None when none was given.

    ``custom`` tools take free text; ``format`` is then the grammar's JSON text or None. ``native`` is set instead of all
    else for a vendor's own server tool: its JSON text, for ``native_protocol`` only; ``search`` says what it is where it
    searches the web, because other vendors have that, too.
    """

    name: str
    description: str | None = None
    parameters: str | None = None
    strict: bool | None = None
    custom: bool = False
    format: str | None = None
    cache: CacheMark | None = None
    native: str | None = None
    native_protocol: str | None = None
    search: WebSearch | None = None


class ToolMode(Value, frozen=True, tag="forced"):
    """`auto`, `none`, or `required` (must call some tool)."""

    mode: Literal["auto", "none", "required"]


class NamedTool(Value, frozen=True, tag="named"):
    """The model must call this tool."""

    name: str


class ToolSubset(Value, frozen=True, tag="subset"):
    """Only these tools may be called; ``required``: one of them must be."""

    names: tuple[str, ...]
    required: bool = False


ToolChoice = ToolMode | NamedTool | ToolSubset


class Sampling(Value, frozen=True):
    """None is "not said"; zero is zero."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None


class JsonObject(Value, frozen=True, tag="json_object"):
    """Any JSON object."""


class JsonSchema(Value, frozen=True, tag="json_schema"):
    """JSON that satisfies ``schema`` (JSON text)."""

    schema: str
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


ResponseFormat = JsonObject | JsonSchema


class ReasoningConfig(Value, frozen=True):
    """How much to think and what to show.

    ``mode``: `off`; `on` (with ``budget_tokens``, at least 1); `adaptive` (the model decides, guided by ``effort``);
    None when only ``effort`` was said. ``display``: `summarized`, `omitted`, or None.
    """

    mode: Literal["off", "on", "adaptive"] | None = None
    effort: Effort | None = None
    budget_tokens: int | None = None
    display: str | None = None


class Request(Value, frozen=True):
    """``model`` is the name the client asked for. ``extensions`` maps a protocol to request fields only it has."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    choices: int = 1
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningConfig | None = None
    verbosity: str | None = None
    stream: bool = False
    include_usage: bool = False
    cache: CacheMark | None = None
    cache_key: str | None = None
    service_tier: str | None = None
    user: str | None = None
    metadata: dict[str, str] = {}
    store: bool | None = None
    extensions: dict[str, Extensions] = {}
    unknown: tuple[str, ...] = ()
