"""What the simulated provider accepts: Chat Completions requests, as strictly as the vendor.

The Structs are the shape; `read` adds the rules between fields and words every refusal in the vendor's envelope. Features
that need a model or a service (audio, log probabilities, web search, …) are refused, not ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from runtime.upstream.simulated.refusal import Refused, refused_shape
from runtime.upstream.simulated.schema import Schema

__all__ = ["Assistant", "ChatRequest", "Message", "ToolMessage", "User", "read", "text_of"]

Name = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
Tokens = Annotated[int, Meta(ge=1)]

NOTHING = Raw(b"null")
"""What a nullable raw field holds when it is absent: to msgspec, `Raw | None` takes nothing but null."""


class Wire(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An object in which an unknown field is an error."""


class TextPart(Wire, tag_field="type", tag="text"):
    text: str
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class RefusalPart(Wire, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Wire):
    url: Annotated[str, Meta(pattern=r"^(https?://|data:image/[a-z0-9.+-]+;base64,)")]
    detail: Literal["auto", "low", "high", "original"] = "auto"


class ImagePart(Wire, tag_field="type", tag="image_url"):
    image_url: ImageUrl
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class InputAudio(Wire):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Wire, tag_field="type", tag="input_audio"):
    input_audio: InputAudio
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class File(Wire):
    file_data: str | UnsetType = UNSET
    file_id: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET


class FilePart(Wire, tag_field="type", tag="file"):
    file: File
    prompt_cache_breakpoint: Raw | UnsetType = UNSET


class CalledFunction(Wire):
    name: str
    arguments: str


class CalledTool(Wire, tag_field="type", tag="function"):
    id: str
    function: CalledFunction


class System(Wire, tag_field="role", tag="system"):
    content: str | list[TextPart]
    name: str | UnsetType = UNSET


class Developer(Wire, tag_field="role", tag="developer"):
    content: str | list[TextPart]
    name: str | UnsetType = UNSET


class User(Wire, tag_field="role", tag="user"):
    content: str | list[TextPart | ImagePart | AudioPart | FilePart]
    name: str | UnsetType = UNSET


class Assistant(Wire, tag_field="role", tag="assistant"):
    """``reasoning_content`` is not the vendor's: thinking models speak so, and clients send it back."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    name: str | UnsetType = UNSET
    tool_calls: Annotated[list[CalledTool], Meta(min_length=1)] | UnsetType = UNSET
    reasoning_content: str | None = None


class ToolMessage(Wire, tag_field="role", tag="tool"):
    content: str | list[TextPart]
    tool_call_id: str


Message = System | Developer | User | Assistant | ToolMessage


class Function(Wire):
    name: Name
    description: str | UnsetType = UNSET
    parameters: Schema | UnsetType = UNSET
    strict: bool | None = None


class Tool(Wire, tag_field="type", tag="function"):
    function: Function


class FunctionName(Wire):
    name: Name


class NamedTool(Wire, tag_field="type", tag="function"):
    function: FunctionName


class AllowedTools(Wire):
    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class AllowedChoice(Wire, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


class JsonSchema(Wire):
    name: Name
    description: str | UnsetType = UNSET
    schema: Schema | UnsetType = UNSET
    strict: bool | None = None


class TextFormat(Wire, tag_field="type", tag="text"):
    pass


class ObjectFormat(Wire, tag_field="type", tag="json_object"):
    pass


class SchemaFormat(Wire, tag_field="type", tag="json_schema"):
    json_schema: JsonSchema


class StreamOptions(Wire):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatRequest(Wire):
    """The whole request. Fields from ``audio`` on are known but refused when they ask for something."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    response_format: TextFormat | ObjectFormat | SchemaFormat = msgspec.field(default_factory=TextFormat)
    tools: Annotated[list[Tool], Meta(min_length=1, max_length=128)] | UnsetType = UNSET
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedChoice | UnsetType = UNSET
    parallel_tool_calls: bool = True
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logit_bias: dict[str, Annotated[int, Meta(ge=-100, le=100)]] | None = None
    seed: int | None = None
    user: str | UnsetType = UNSET
    safety_identifier: str | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    prediction: Raw = NOTHING
    prompt_cache_key: str | None = None
    prompt_cache_options: Raw | UnsetType = UNSET
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    moderation: Raw = NOTHING
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: Raw = NOTHING
    functions: Raw | UnsetType = UNSET
    function_call: Raw | UnsetType = UNSET
    web_search_options: Raw | UnsetType = UNSET


DECODER = msgspec.json.Decoder(ChatRequest)

TOO_DEEP = "The body of this request is nested too deeply."
NOT_JSON = "The body of this request is not valid JSON."


def read(body: bytes) -> ChatRequest:
    """Raises Refused with the vendor's status, code and parameter."""
    try:
        request = DECODER.decode(body)
    except msgspec.ValidationError as failure:
        raise refused_shape(str(failure)) from None
    except RecursionError:
        raise Refused(400, TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(400, NOT_JSON) from None
    _check_unsupported(request)
    _check_limits(request)
    _check_tools(request)
    _check_order(request.messages)
    return request


def text_of(message: Message) -> str:
    """The texts of a message, a line each."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content or () if isinstance(part, TextPart))


def _check_unsupported(request: ChatRequest) -> None:
    asked = {
        "n": (request.n or 1) > 1,
        "logprobs": bool(request.logprobs),
        "top_logprobs": bool(request.top_logprobs),
        "modalities": "audio" in (request.modalities or ()),
        "audio": bytes(request.audio) != b"null",
        "functions": request.functions is not UNSET,
        "function_call": request.function_call is not UNSET,
        "web_search_options": request.web_search_options is not UNSET,
    }
    for name, wanted in asked.items():
        if wanted:
            raise Refused(400, f"The simulated provider does not support {name!r}.", name, "unsupported_parameter")


def _check_limits(request: ChatRequest) -> None:
    if request.stream_options is not None and not request.stream:
        reason = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(400, reason, "stream_options")
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        reason = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise Refused(400, reason, "max_tokens", "invalid_parameter_combination")
    if isinstance(request.response_format, ObjectFormat):
        said = " ".join(text_of(message) for message in request.messages).lower()
        if "json" not in said:
            reason = "'messages' must contain the word 'json' to use 'response_format' of type 'json_object'."
            raise Refused(400, reason, "messages")


def _check_tools(request: ChatRequest) -> None:
    names = {tool.function.name for tool in request.tools or ()}
    if request.tool_choice is not UNSET and request.tools is UNSET:
        reason = "'tool_choice' is only allowed when 'tools' are specified."
        raise Refused(400, reason, "tool_choice", "invalid_value")
    match request.tool_choice:
        case NamedTool():
            wanted = [request.tool_choice.function.name]
        case AllowedChoice():
            wanted = [tool.function.name for tool in request.tool_choice.allowed_tools.tools]
        case _:
            wanted = []
    for name in wanted:
        if name not in names:
            raise Refused(400, f"Tool choice {name!r} is not found in 'tools'.", "tool_choice", "invalid_value")


def _check_order(messages: list[Message]) -> None:
    """Every tool call is answered right after it, every tool message answers one."""
    open_: dict[str, None] = {}
    for index, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_:
                reason = "A message with role 'tool' must answer a tool call of the assistant message before it."
                raise Refused(400, reason, f"messages[{index}].tool_call_id")
            del open_[message.tool_call_id]
            continue
        if open_:
            break
        if isinstance(message, Assistant):
            if message.content is None and message.tool_calls is UNSET and message.refusal is None:
                reason = "An assistant message must have 'content' or 'tool_calls'."
                raise Refused(400, reason, f"messages[{index}].content")
            open_ = {call.id: None for call in message.tool_calls or ()}
    if open_:
        reason = f"An assistant message's tool calls must be answered by tool messages: {', '.join(open_)} is not."
        raise Refused(400, reason, "messages")
