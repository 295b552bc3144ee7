"""What a canonical request or answer loses on its way through Responses, with the reason. Each line has a test.

The keys are field paths of canonical values; the reference page on translation is made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOSSES"]

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "messages.name": "Items name no participants.",
        "messages.content.reasoning": "Only thinking that the vendor sealed goes back, unless `replay_reasoning` says otherwise.",
        "messages.content.native": "Blocks of another protocol's server tools mean nothing here.",
        "messages.content.cache": "Marks are dropped unless the provider's `cache_marks` are set.",
        "messages.content.image.assistant": "A model's own image of an earlier turn has no item that another may send.",
        "messages.content.tool_call.arguments": "Arguments are an object: what is none is wrapped into one.",
        "messages.content.tool_call.cache": "A call takes no mark.",
        "messages.content.tool_result.is_error": "Results have no error flag; their text stays.",
        "messages.content.tool_result.name": "Results name their call only; readers look the name up.",
        "messages.content.tool_result.cache": "A result takes no mark of its own.",
        "messages.content.document.context": "File parts have neither context nor a switch for citations.",
        "messages.content.document.title": "The vendor wants a file's name: one without gets `document.` and its kind.",
        "tools.native": "Server tools of another vendor cannot be run here.",
        "tool_choice": "A choice of a tool that could not be declared is left out.",
        "tools.cache": "A tool takes no mark.",
        "tools.strict": "What was not said is not strict, and so is a schema that the vendor's strict mode refuses.",
        "response_format.strict": "A schema that the vendor's strict mode refuses is sent as not strict.",
        "cache": "There is no mark for the whole prompt.",
        "max_output_tokens": "The vendor takes no less than 16.",
        "stop": "There are no stop strings; the gateway itself cuts the answer at them.",
        "sampling.top_k": "There is no `top_k`.",
        "sampling.min_p": "There is no `min_p`.",
        "sampling.presence_penalty": "There are no penalties.",
        "sampling.frequency_penalty": "There are no penalties.",
        "sampling.seed": "There is no seed.",
        "sampling.logit_bias": "There is no bias for tokens.",
        "reasoning.mode": "How much to think is said in one effort word; budgets become the nearest word.",
        "reasoning.display": "That thinking be left out cannot be asked for; a summary can.",
        "include_usage": "A stream always tells its usage.",
        "store": "The vendor keeps answers unless it is told not to, and it is told so.",
        "choices": "There is one answer to a request.",
        "choices.content.text.citations.quote": "An annotation has a page's address and title, not its words.",
        "choices.content.native": "Blocks of another protocol's server tools mean nothing to a client of this one.",
        "choices.finish.stop_sequence": "The answer does not say which stop text was met, nor that one was.",
        "choices.finish.context_full": "A full context is told as an output limit that was met.",
        "choices.finish.refusal": "A refusal without words is told as the work of a content filter.",
        "choices.finish.category": "There is no category or explanation of a refusal.",
        "choices.finish.pause": "A pause is told as an end.",
        "usage.cache_write_1h": "Cache writes are counted in one number.",
        "usage.audio_input": "Sound and images are not counted apart.",
    }
)
