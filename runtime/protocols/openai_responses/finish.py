"""Why an answer ended, in this protocol's status and reason and in canonical words. Calls and refusals count for more."""

from __future__ import annotations

from typing import Final, cast

from generated.protocols.openai_responses import FACTS
from generated.types.openai_responses import ResponseObject
from runtime.canonical import Finish, FinishReason

__all__ = ["read_finish", "write_finish"]

_WHOLE: Final = "completed"


def read_finish(response: ResponseObject, *, calls: bool, refused: bool) -> Finish:
    """``calls``: the answer has calls that wait for results. ``refused``: it has a refusal."""
    details = response.incomplete_details
    reason = (details and details.reason) or ("max_output_tokens" if response.status == "incomplete" else _WHOLE)
    word = cast("FinishReason", FACTS.finish_in.get(reason, "stop"))
    if word == "stop" and calls:
        word = "tool_calls"
    elif word == "stop" and refused:
        word = "refusal"
    return Finish(reason=word)


def write_finish(finish: Finish, *, refused: bool) -> str | None:
    """The reason for which the answer is incomplete; None when it is whole. A refusal in words is a whole answer."""
    if finish.reason == "refusal" and refused:
        return None
    word = FACTS.finish_out.get(finish.reason, _WHOLE)
    return None if word == _WHOLE else word
