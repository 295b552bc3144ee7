"""The protocol-neutral middle: requests, answers and stream events as values. Nothing here knows a wire format."""

from runtime.canonical.base import Extensions, Value
from runtime.canonical.content import (
    Audio, Base64Source, CacheMark, Citation, Document, FileSource, Image, Native, Part, Reasoning, Refusal, Source,
    Text, TextSource, ToolCall, ToolResult, UrlSource,
)  # fmt: skip
from runtime.canonical.event import (
    Delta, Ended, Event, Finished, PartEnded, PartStarted, Started, UsageReported, collect,
)  # fmt: skip
from runtime.canonical.request import (
    ToolSubset, Effort, ToolMode, JsonObject, JsonSchema, Message, NamedTool, ReasoningConfig, Request, ResponseFormat, Role,
    Sampling, Tool, ToolChoice,
)  # fmt: skip
from runtime.canonical.response import Choice, Finish, FinishReason, Response
from runtime.canonical.usage import Usage

__all__ = [
    "ToolSubset", "Audio", "Base64Source", "CacheMark", "Choice", "Citation", "Delta", "Document", "Effort", "Ended", "Event",
    "Extensions", "FileSource", "Finish", "FinishReason", "Finished", "ToolMode", "Image", "JsonObject", "JsonSchema",
    "Message", "NamedTool", "Native", "Part", "PartEnded", "PartStarted", "Reasoning", "ReasoningConfig", "Refusal",
    "Request", "Response", "ResponseFormat", "Role", "Sampling", "Source", "Started", "Text", "TextSource", "Tool",
    "ToolCall", "ToolChoice", "ToolResult", "UrlSource", "Usage", "UsageReported", "Value", "collect",
]  # fmt: skip
