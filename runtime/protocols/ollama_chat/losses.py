"""What a canonical request or answer loses on its way through Ollama's chat, with the reason. Each line has a test.

The keys are field paths of canonical values; the reference page on translation is made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOSSES"]

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "messages.role.developer": "Ollama's models know `system` only.",
        "messages.name": "Ollama does not tell participants of one role apart.",
        "messages.content.order": "A message is one text with its pictures beside it, and calls behind.",
        "messages.content.text.split": "A message's texts are joined, with a line break between them.",
        "messages.content.text.citations": "Ollama takes no citations in history.",
        "messages.content.cache": "Ollama caches by itself; marks mean nothing to it.",
        "messages.content.image.detail": "Ollama has no word for how closely to look.",
        "messages.content.image.media_type": "Pictures travel without their type, which is read from their first bytes.",
        "messages.content.image.source": "Pictures are sent as bytes: an address or another vendor's id is refused.",
        "messages.content.audio": "Ollama's chat takes no sound: it is refused.",
        "messages.content.document": "Ollama's chat takes no documents: one that is not text is refused.",
        "messages.content.document.text": "A document that is text becomes part of the message's text.",
        "messages.content.refusal": "A refusal in history is text like any other.",
        "messages.content.reasoning.seal": "A seal reaches only the protocol it belongs to.",
        "messages.content.native": "Blocks of another protocol's server tools mean nothing here.",
        "messages.content.tool_call.custom": "A free-text tool's call becomes one with a single property, `input`.",
        "messages.content.tool_result.is_error": "Ollama's tool results have no error flag; their text stays.",
        "messages.content.tool_result.image": "Pictures of a result follow it as the user's.",
        "tools.native": "Server tools of another vendor cannot be run here.",
        "tools.strict": "Ollama cannot be told to hold a model to a tool's schema.",
        "tools.parameters": "A schema must be an object: a missing one becomes the empty object.",
        "tools.custom": "A free-text tool becomes a function with one text property; its calls are turned back.",
        "tools.cache": "Ollama caches by itself; marks mean nothing to it.",
        "tool_choice": "A model cannot be told that it must call; tools that it must not call are left out.",
        "parallel_tool_calls": "A model cannot be told to call one tool at a time.",
        "sampling.logit_bias": "Ollama has no word for it.",
        "response_format.json_schema.name": "A schema travels without its name.",
        "response_format.json_schema.description": "A schema travels without its description.",
        "response_format.json_schema.strict": "Ollama holds every answer to its schema.",
        "reasoning.budget_tokens": "How much to think is said in one word; a budget becomes the nearest.",
        "reasoning.effort": "Of the effort words `minimal` and `xhigh` become `low` and `max`.",
        "reasoning.display": "Ollama has no switch for what thinking is shown.",
        "choices": "An answer is one: a request for several is refused.",
        "include_usage": "A stream always ends with its counts.",
        "verbosity": "Ollama has no word for it.",
        "cache": "Ollama caches by itself; marks mean nothing to it.",
        "cache_key": "Ollama caches by itself.",
        "service_tier": "Ollama has no tiers.",
        "user": "Ollama does not ask whom a request is for.",
        "metadata": "Ollama keeps no labels.",
        "store": "Ollama stores nothing.",
        "id": "Answers have no id.",
        "choices.further": "An answer is one; of several the first is told.",
        "choices.content.text.split": "One answer's texts are joined.",
        "choices.content.text.citations": "Ollama's answers have no citations.",
        "choices.content.refusal": "A refusal is text like any other.",
        "choices.content.reasoning.seal": "Ollama's clients have no place to keep a seal.",
        "choices.content.native": "Blocks of another protocol's server tools mean nothing to an Ollama client.",
        "choices.finish": "Ollama knows `stop` and `length` only; that there are calls says that they are waited for.",
        "choices.finish.stop_sequence": "Ollama does not say which stop text was met.",
        "choices.logprobs.reasoning": "Log probabilities of thinking are not kept.",
        "usage.cache_read": "Ollama counts the prompt and the answer, each as one number.",
        "usage.reasoning": "Ollama counts thinking as part of the answer.",
        "usage.durations": "How long a provider loaded, read and wrote is not kept; a client is told counts, not times.",
    }
)
