"""What the operator adds to chat requests on their way out: a system prompt, and how much models think.

Values in, values out. A system prompt leaves a request that passes through passing through (`protocols.system_prompt`);
thinking depends on what the model can be told, so such a request is translated, if to its own protocol.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import msgspec

from generated.config import RequestSettings, ThinkingBudget
from runtime.canonical import Extensions, Message, Part, ReasoningConfig, Request, Text
from runtime.catalog import Capability, Certainty, Model
from runtime.protocols.base import Envelope
from runtime.protocols.system_prompt import Place, with_system_prompt

__all__ = ["Shaping", "budget_tokens"]

MAX_TOKENS: Final = 131_072
MANY_MESSAGES: Final = 10
MANY_TOOLS: Final = 3
LONG_TEXT: Final = 2000

_BASES: Final = MappingProxyType({"none": 0, "low": 1024, "medium": 10_240, "high": MAX_TOKENS})
_OWN_WORDS: Final = frozenset({"thinking", "reasoning", "enable_thinking", "thinking_budget", "reasoning_budget"})
"""Where codecs keep a way to think that only some vendors know, or servers of Chat that follow none."""

_TEMPLATE: Final = "chat_template_kwargs"
_TEMPLATE_WORDS: Final = frozenset({"thinking", "enable_thinking", "thinking_budget", "reasoning_effort"})
"""What templates of models call it, in `chat_template_kwargs`, which may say more."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Shaping:
    """By the section ``requests`` of a plan."""

    def __init__(self, settings: RequestSettings) -> None:
        prompt, budget = settings.system_prompt, settings.thinking_budget
        self._prompt: tuple[str, Place] | None = None
        if prompt is not None and prompt.place != "off":
            self._prompt = (prompt.text, prompt.place)
        self._budget = budget if budget is not None and budget.mode != "passthrough" else None

    def may_rethink(self, model: Model) -> bool:
        """Whether a request to ``model`` must be read, to see whether it is to think otherwise than it says."""
        return self._budget is not None and model.certainty(Capability.REASONING) is not Certainty.DENIED

    def envelope(self, protocol: str, envelope: Envelope) -> Envelope:
        """A request that passes through. Raises InvalidRequest."""
        return envelope if self._prompt is None else with_system_prompt(protocol, envelope, *self._prompt)

    def request(self, request: Request) -> Request:
        """A request that is translated."""
        return request if self._prompt is None else _prompted(request, *self._prompt)

    def thinking(self, request: Request, model: Model) -> Request:
        """``request`` with what ``model`` is to be told of thinking; the same object where that is what it says."""
        if self._budget is None or not self.may_rethink(model):
            return request
        if self._budget.mode == "auto":
            wanted = None
        elif request.reasoning is None and not _thinks(model):
            return request
        else:
            tokens = _beside_answer(budget_tokens(self._budget, request, model), request, model)
            wanted = _wanted(tokens, request.reasoning)
        extensions = {protocol: _without_thinking(own) for protocol, own in request.extensions.items()}
        if wanted == request.reasoning and extensions == request.extensions:
            return request
        return msgspec.structs.replace(request, reasoning=wanted, extensions=extensions)


def budget_tokens(settings: ThinkingBudget, request: Request, model: Model) -> int:
    """The tokens to think with, by ``settings`` of the mode `custom` or `adaptive`."""
    most = (model.reasoning.max_budget if model.reasoning is not None else None) or MAX_TOKENS
    if settings.mode == "custom":
        return min(settings.tokens, most)
    base = settings.base_tokens if settings.base_tokens is not None else _BASES[settings.effort]
    return min(round(base * (1 + settings.complexity_multiplier * _complexity(request))), most)


def _complexity(request: Request) -> float:
    last = request.messages[-1].content if request.messages else ()
    length = sum(len(part.text) for part in last if isinstance(part, Text))
    return (
        0.5 * (len(request.messages) > MANY_MESSAGES)
        + 0.5 * (len(request.tools) > MANY_TOOLS)
        + 0.3 * (length > LONG_TEXT)
    )


def _wanted(tokens: int, said: ReasoningConfig | None) -> ReasoningConfig:
    display = said.display if said is not None else None
    if tokens == 0:
        return ReasoningConfig(mode="off", display=display)
    return ReasoningConfig(mode="on", budget_tokens=tokens, display=display)


def _beside_answer(tokens: int, request: Request, model: Model) -> int:
    """``tokens``, but no more than leave a quarter of the client's limit to the answer, which holds for both together."""
    if request.max_output_tokens is None or (model.reasoning is not None and model.reasoning.style != "budget"):
        return tokens
    return min(tokens, request.max_output_tokens * 3 // 4)


def _without_thinking(own: Extensions) -> Extensions:
    kept = {name: value for name, value in own.items() if name not in _OWN_WORDS}
    template = kept.get(_TEMPLATE)
    if template is not None and bytes(memoryview(template)[:1]) == b"{":
        said = {name: value for name, value in _OBJECT.decode(template).items() if name not in _TEMPLATE_WORDS}
        kept[_TEMPLATE] = msgspec.Raw(msgspec.json.encode(said))
        if not said:
            del kept[_TEMPLATE]
    return kept


def _thinks(model: Model) -> bool:
    return model.reasoning is not None or model.certainty(Capability.REASONING) is Certainty.STATED


def _prompted(request: Request, text: str, place: Place) -> Request:
    """Into the first message of the system, or the last of those before the conversation; else a new one."""
    messages, part = list(request.messages), Text(text=text)
    leading = 0
    while leading < len(messages) and messages[leading].role in {"system", "developer"}:
        leading += 1
    if not leading:
        messages.insert(0, Message(role="system", content=(part,)))
    else:
        index = 0 if place == "first" else leading - 1
        own = messages[index].content
        content: tuple[Part, ...] = (part, *own) if place == "first" else (*own, part)
        messages[index] = msgspec.structs.replace(messages[index], content=content)
    return msgspec.structs.replace(request, messages=tuple(messages))
