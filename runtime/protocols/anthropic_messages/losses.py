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
        "messages.role.developer": "Instructions have one role, `system`.",
        "messages.content.text.blank": "Blank texts are refused, so they are left out, and turns of nothing else with them.",
        "messages.content.text.citations": "Only citations the vendor made itself go back, in the model's own turns.",
        "messages.content.refusal": "A refusal in history is the model's text.",
        "messages.content.image.detail": "Images have no detail switch.",
        "messages.content.image.by_model": "Only users show images: those that a model made follow its turn as the user's.",
        "messages.content.document.by_model": "The newest version takes documents from users only: they follow as the user's.",
        "messages.content.audio": "Sound is not taken: a request with it is refused.",
        "messages.content.reasoning": "Thinking goes back only under the vendor's own seal.",
        "messages.content.native": "Blocks of another protocol's server tools mean nothing here.",
        "messages.content.search_result": "A search hit is canonical's document; it goes on as one.",
        "messages.content.tool_call.arguments": "Input is an object: what is none is wrapped into one.",
        "messages.content.tool_call.custom": "A free-text call is a call with one text property.",
        "messages.content.tool_result.is_error": "That it is an error is not said of a result that shows pictures or files.",
        "messages.content.tool_result.name": "A result names its call only.",
        "tools.strict": "A strict schema keeps the keywords the vendor can force; others move into descriptions. One with free keys is not strict.",
        "tools.custom": "A free-text tool is a function with one text property; its grammar is told in words.",
        "tools.native": "Server tools of another vendor cannot be run here.",
        "tool_choice": "A model that thinks cannot be forced to call; outside a subset no tool is sent.",
        "parallel_tool_calls": "Parallel calls are the standard; only that they are off is said.",
        "max_output_tokens": "More than the model can give becomes the most that it can; none said becomes that, too.",
        "stop.blank": "Blank stop texts are refused.",
        "sampling": "A model that thinks takes none, nor does the newest version of the protocol.",
        "sampling.min_p": "There is no such field.",
        "sampling.presence_penalty": "There is no such field.",
        "sampling.frequency_penalty": "There is no such field.",
        "sampling.seed": "There is no such field.",
        "sampling.logit_bias": "There is no such field.",
        "choices": "There is one answer; a request for more is refused.",
        "top_logprobs": "There are no log probabilities.",
        "response_format.json_object": "Any JSON object is asked for in words: there is no form for it.",
        "response_format.json_schema.schema": "The vendor closes every object: a schema that this would narrow, as one with free keys, is asked for in words.",
        "response_format.json_schema.name": "A schema has no name, description or strictness of its own.",
        "reasoning": "Effort words and budgets become what the model is known to take, or nothing; a budget is left out where the turn under way began without thinking.",
        "verbosity": "There is no such field.",
        "include_usage": "Usage is always reported.",
        "cache_key": "There is no such field.",
        "cache": "A mark lasts five minutes or an hour, and there are at most four.",
        "service_tier": "Tiers are `auto` and `standard_only`.",
        "user": "More than 256 characters are refused, so they are not sent.",
        "metadata": "There are no tags but the user's.",
        "store": "There is no such field.",
        "choices.content.text.blank": "An empty text is no block.",
        "choices.content.refusal": "A refusal is text, and the stop reason says what it was.",
        "choices.content.image": "Answers have no place for generated images.",
        "choices.content.tool_call.custom": "A free-text call is a call with one text property.",
        "choices.content.tool_call.arguments": "Input is an object: what is none is wrapped into one.",
        "choices.content.native": "Blocks of another protocol's server tools mean nothing to a client of this one.",
        "choices.content.text.citations.start": "Citations stand on the text they are about, without places.",
        "choices.finish.content_filter": "A vendor's filter is told as a refusal.",
        "choices.logprobs": "There are no log probabilities.",
        "id": "An answer gets an id of the gateway's.",
        "created": "Answers have no time.",
        "usage.audio_input": "Sound and images are not counted apart.",
        "usage.accepted_prediction": "There are no predictions.",
        "extensions": "A stream does not carry `container` and `context_management`.",
    }
)
