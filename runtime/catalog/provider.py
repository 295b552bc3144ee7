"""Facts about providers: where they are, how they want to be asked, what they get wrong."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtime.catalog.capability import Capability
from runtime.catalog.model import Model, ParameterRules

__all__ = ["Auth", "Provider", "Quirks", "Surface"]


class Auth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a credential travels: in ``header`` behind ``prefix``, or not at all.

    ``env`` names the environment variable that holds the credential by custom; the first that is set is used.
    """

    scheme: Literal["key", "optional_key", "none"] = "key"
    header: str = "authorization"
    prefix: str = "Bearer "
    env: tuple[str, ...] = ()


class Surface(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where one protocol is spoken, below the provider's base URL; `{model}` stands for the model's id.

    ``count_tokens`` is None where the provider cannot count. ``version`` pins the vendor's API version header.
    ``web_search``: its models can search the web with the vendor's own tool. ``max_inputs`` is how many texts one request
    for vectors may hold; None is not known. ``parameters`` are rules for this protocol's fields only, after the provider's.
    """

    path: str
    count_tokens: str | None = None
    version: str | None = None
    web_search: bool = False
    max_inputs: int | None = None
    parameters: ParameterRules = ParameterRules()


class Quirks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Named departures from the protocol's standard; each is one tested branch of a codec.

    Attributes:
        developer_role: the role `developer` is understood; else it is sent as `system`.
        system_anywhere: system messages are taken in mid-conversation; else they are folded (see the codec).
        max_tokens_field: the only name of Chat's output limit that it knows; None: either, and what passes through keeps its own.
        stream_usage: `stream_options.include_usage` is understood.
        custom_tools: Chat's tools that take free text are understood; else functions with one text property stand for them.
        text_only_content: content is a string, not a list of parts.
        empty_content: what an assistant turn without text holds beside tool calls.
        content_xor_tool_calls: an assistant turn has text or calls, never both.
        assistant_after_results: behind tools' results only the model speaks; else a turn of its own is made up (see the codec).
        tool_call_id: the pattern of ids it takes (`[a-zA-Z0-9]{9}`); others are mapped both ways.
        reasoning_field: where Chat answers carry thinking.
        replay_reasoning: thinking of earlier turns must be sent back.
        cache_marks: how Chat's parts say "cache up to here", where they can.
    """

    developer_role: bool = True
    system_anywhere: bool = True
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    stream_usage: bool = True
    custom_tools: bool = False
    text_only_content: bool = False
    empty_content: Literal["null", "empty", "omit"] = "null"
    content_xor_tool_calls: bool = False
    assistant_after_results: bool = False
    tool_call_id: str | None = None
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = None
    replay_reasoning: bool = False
    cache_marks: Literal["prompt_cache_breakpoint", "cache_control"] | None = None

    @property
    def caches_unasked(self) -> bool:
        """Whether prompts are written to its cache, at the price of that, though no part is marked."""
        return self.cache_marks == "prompt_cache_breakpoint"


class Provider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A server we call. ``surfaces`` maps a protocol's name to where it is spoken, preferred first.

    ``base_url`` may hold `{variables}` that a connection fills in. ``open_models``: names that the catalogue does not list
    are sent on as they are. ``local``: it runs on the operator's own machine or network, so plain HTTP is no fault.
    ``assume`` are capabilities that its unlisted models are assumed to have.
    """

    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]*$")]
    name: str
    base_url: str
    surfaces: dict[str, Surface]
    auth: Auth = Auth()
    headers: dict[str, str] = {}
    variables: tuple[str, ...] = ()
    quirks: Quirks = Quirks()
    parameters: ParameterRules = ParameterRules()
    models: tuple[Model, ...] = ()
    open_models: bool = False
    local: bool = False
    assume: tuple[Capability, ...] = ()
    website: str | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()
