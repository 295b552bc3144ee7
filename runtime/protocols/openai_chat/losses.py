"""What a canonical request or answer loses on its way through Chat, with the reason. Each line has a test.

The keys are field paths of canonical values; the reference page on translation is made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOSSES"]

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "messages.content.reasoning": "Chat has no thinking in history; only a provider with `replay_reasoning` gets it back.",
        "messages.content.reasoning.seal": "A seal reaches only the protocol it belongs to.",
        "messages.content.native": "Blocks of another protocol's server tools mean nothing here.",
        "messages.content.image.by_model": "Only users show images and documents: those that a model made follow its turn.",
        "messages.content.cache": "Marks are dropped unless the provider's `cache_marks` says how it spells them.",
        "messages.content.order": "Chat keeps an assistant turn's words before its calls, whatever stood between.",
        "messages.content.tool_call.arguments": "Arguments are an object: what is none is wrapped into one.",
        "messages.content.tool_call.cache": "A call takes no mark.",
        "messages.content.tool_result.is_error": "Chat's tool results have no error flag; their text stays.",
        "messages.content.tool_result.name": "Chat's tool results name their call only; readers look the name up.",
        "messages.content.tool_result.image": "Chat's tool results are text: images and documents follow as the user's.",
        "messages.content.tool_result.native": "Blocks of another protocol in a result mean nothing here.",
        "messages.content.document.context": "Chat's file parts have neither context nor a switch for citations.",
        "messages.content.document.title": "The vendor wants a file's name: one without gets `document.` and its kind.",
        "messages.content.text.citations": "Chat takes no citations in history.",
        "tools.native": "Server tools of another vendor cannot be run here.",
        "tool_choice": "A server tool that was left out cannot be chosen.",
        "tools.strict": "A strict schema is rewritten for strict mode; one that cannot be goes with `strict: false`.",
        "tools.custom": "Without `custom_tools` a free-text tool is a function with one text property; its grammar is told in words.",
        "tools.cache": "A tool takes a mark only where the provider spells it `cache_control`.",
        "cache": "One mark for the whole prompt is taken only where the provider spells it `cache_control`.",
        "max_output_tokens": "More than the model can give becomes the most that it can; 0, which fills a cache, becomes 1.",
        "stop": "The vendor takes four stop texts: what is beyond them is cut.",
        "sampling.top_k": "The vendor has no `top_k`; it is sent only if a Chat client sent it.",
        "sampling.min_p": "The vendor has no `min_p`; it is sent only if a Chat client sent it.",
        "metadata": "The vendor takes them only of an answer that it is to keep: others go only if a Chat client sent them.",
        "response_format.json_schema.strict": "The same of an answer's schema, which then goes without `strict`.",
        "reasoning": "A model of which nothing is known is told an effort word at most, and not to think at all never.",
        "reasoning.mode": "Chat says how much to think in one effort word; budgets become the nearest word.",
        "reasoning.display": "Chat has no switch for what thinking is shown.",
        "include_usage": "A provider is always asked for a stream's usage, whether the client wants to see it or not.",
        "choices.content.text.split": "One answer's texts are joined: Chat's `content` is one text.",
        "choices.content.text.citations.quote": "Chat cites a page's address and title, not its words.",
        "choices.content.image.file": "A generated image is shown by its bytes or address; a vendor's file id means nothing.",
        "choices.content.native": "Blocks of another protocol's server tools mean nothing to a Chat client.",
        "choices.finish.stop_sequence": "Chat does not say which stop text was met.",
        "choices.finish.category": "Chat has no category or explanation of a refusal.",
        "choices.logprobs.refusal": "Log probabilities of a refusal are not kept.",
        "usage.cache_write_1h": "Chat counts cache writes in one number.",
        "usage.search_requests": "Chat does not count searches.",
    }
)
