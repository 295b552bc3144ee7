"""What a canonical request or answer loses on its way through this protocol, with the reason. Each line has a test.

The keys are field paths of canonical values; the reference page on translation is made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOSSES"]

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "messages.name": "Turns have no participant's name.",
        "messages.role.developer": "Instructions have no role of their own.",
        "messages.content.cache": "Prefixes are cached by themselves, or under a name; parts have no marks.",
        "messages.content.text.citations": "Sources belong to answers; history is sent without them.",
        "messages.content.refusal": "A refusal in history is the model's text.",
        "messages.content.reasoning": "Thinking goes back only under the vendor's own signature.",
        "messages.content.image.detail": "Only models from Gemini 3 on are told how closely to look, in three of the steps.",
        "messages.content.document.title": "Files have no title.",
        "messages.content.document.context": "Files have no words about them.",
        "messages.content.document.citations": "Whether a file may be cited cannot be said.",
        "messages.content.document.text": "A document that is a text is sent as the text.",
        "messages.content.native": "Blocks of another protocol's server tools mean nothing here.",
        "messages.content.tool_call.custom": "A free-text call is a call with one text property.",
        "messages.content.tool_call.arguments": "Arguments are an object: what is none is wrapped into one.",
        "messages.content.tool_result.texts": "Several texts of one result are one.",
        "messages.content.tool_result.is_error": "That a result is no error is not said.",
        "messages.content.tool_result.image": "Before Gemini 3 pictures stand behind the results, as the user's.",
        "tools.strict": "A function's arguments cannot be forced to fit one by one.",
        "tools.cache": "Functions have no cache marks.",
        "tools.custom": "A free-text tool is a function with one text property; its grammar is told in words.",
        "tools.native": "Server tools of another vendor cannot be run here.",
        "tools.parameters": "Keywords that the vendor does not honour are told in descriptions.",
        "tool_choice": "A subset that need not be called is all that is sent; a tool that is not there cannot be forced.",
        "parallel_tool_calls": "There is no switch.",
        "max_output_tokens": "More than the model can give becomes the most that it can.",
        "stop": "There are at most five, and none is empty.",
        "sampling.seed": "A seed has 32 bits.",
        "sampling.min_p": "There is no such field.",
        "sampling.logit_bias": "There is no such field.",
        "response_format.beside_tools": "Before Gemini 3 no form stands beside tools: it is asked for in words.",
        "response_format.json_schema.name": "A schema has no name, description or strictness of its own.",
        "reasoning": "Effort words and budgets become what the model is known to take, or nothing.",
        "reasoning.display": "Whether thinking is shown is always said.",
        "verbosity": "There is no such field.",
        "include_usage": "Usage is always reported.",
        "cache_key": "There is no such field.",
        "cache": "Prefixes are cached by themselves, or under a name.",
        "service_tier": "Tiers are `standard`, `flex` and `priority`.",
        "user": "There is no such field.",
        "metadata": "There are no tags but labels that a client of this protocol gave.",
        "choices.content.text.split": "Neighbouring texts are one.",
        "choices.content.text.citations.quote": "What is cited is the answer's own text.",
        "choices.content.refusal": "A refusal is text, and the finish reason says what it was.",
        "choices.content.tool_call.custom": "A free-text call is a call with one text property.",
        "choices.content.tool_call.arguments": "Arguments are an object: what is none is wrapped into one.",
        "choices.content.native": "Blocks of another protocol's server tools mean nothing to a client of this one.",
        "choices.finish.stop_sequence": "Which stop text was met is not said.",
        "choices.finish.context_full": "A full context is told as a met limit.",
        "choices.finish.pause": "A pause has no word that a client could go on from.",
        "choices.finish.refusal": "A refusal is told as a filter's.",
        "id": "An answer gets an id of the gateway's.",
        "created": "Answers have no time.",
        "usage.cache_write_5m": "Writes to a cache are not counted apart.",
        "usage.search_requests": "Searches are not counted.",
        "usage.accepted_prediction": "There are no predictions.",
    }
)
