"""Why an answer ended, in Chat's words and in canonical ones. Whether there are tool calls counts for more than the word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from generated.protocols.openai_chat import FACTS
from runtime.canonical import Finish, FinishReason
from runtime.errors import GatewayError, UpstreamFailed, UpstreamOverloaded

__all__ = ["DONE", "read_finish", "refuse_failure", "write_finish"]

DONE: Final = b"data: [DONE]\n\n"
"""What ends a stream."""

_FAILURES: Final[Mapping[str, type[GatewayError]]] = {
    "error": UpstreamFailed,
    "insufficient_system_resource": UpstreamOverloaded,
}
"""Words by which compatible servers say that the answer did not end but broke."""


def refuse_failure(reason: str) -> None:
    """Raise the error that a finish reason stands for, if it is one of those."""
    failure = _FAILURES.get(reason)
    if failure is not None:
        raise failure(f"The provider broke off its answer: finish reason {reason!r}.")


def read_finish(reason: str, *, calls: bool, refused: bool) -> Finish:
    """``calls``: the answer has tool calls. ``refused``: it has a refusal. Unknown words mean a natural end."""
    word = cast("FinishReason", FACTS.finish_in.get(reason, "stop"))
    if calls and word in {"stop", "refusal", "tool_calls"}:
        word = "tool_calls"
    elif word == "tool_calls":
        word = "stop"
    if refused and word == "stop":
        word = "refusal"
    return Finish(reason=word)


def write_finish(finish: Finish, *, calls: bool, refused: bool) -> str:
    """Chat's word. The other arguments are as in `read_finish`."""
    word = FACTS.finish_out.get(finish.reason, "stop")
    if calls and finish.reason in {"stop", "stop_sequence", "tool_calls", "pause"}:
        return "tool_calls"
    if word == "tool_calls" or (finish.reason == "refusal" and refused):
        return "stop"
    return word
