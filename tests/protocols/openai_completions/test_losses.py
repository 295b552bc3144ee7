"""Each declared loss, shown: two answers that differ in it are told alike. A loss that is gone must leave the list."""

from __future__ import annotations

import pytest

from runtime.canonical import (
    Base64Source,
    Choice,
    Citation,
    Finish,
    Image,
    Native,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    Usage,
)  # fmt: skip
from runtime.protocols.openai_completions import LOSSES
from tests.protocols.openai_completions.test_answer import answer, whole

PNG = Image(source=Base64Source(media_type="image/png", data="AAAA"))
SHOWN: dict[str, tuple[Response, Response]] = {
    "choices.content.text.split": (answer(Text(text="a"), Text(text="b")), answer(Text(text="ab"))),
    "choices.content.text.citations": (answer(Text(text="a", citations=(Citation(url="u"),))), answer(Text(text="a"))),
    "choices.content.reasoning": (answer(Reasoning(text="h"), Text(text="a")), answer(Text(text="a"))),
    "choices.content.refusal": (answer(Refusal(text="a")), answer(Text(text="a"))),
    "choices.content.tool_call": (answer(Text(text="a"), ToolCall(id="c", name="f")), answer(Text(text="a"))),
    "choices.content.image": (answer(Text(text="a"), PNG), answer(Text(text="a"))),
    "choices.content.native": (answer(Native(protocol="gemini", block="b", json="{}")), answer()),
    "choices.finish.stop_sequence": (
        Response(id="r", model="up", choices=(Choice(content=(), finish=Finish(reason="stop", stop_sequence="E")),)), answer(),
    ),
    "choices.finish.category": (
        Response(id="r", model="up", choices=(Choice(content=(), finish=Finish(reason="refusal", category="c", explanation="e")),)),
        answer(reason="refusal"),
    ),
    "choices.logprobs.bytes": (
        answer(logprobs='[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]'),
        answer(logprobs='[{"token":"a","logprob":-1,"bytes":null,"top_logprobs":[]}]'),
    ),
    "usage.service_tier": (answer(service_tier="flex"), answer()),
    "usage.cache_write_1h": (answer(usage=Usage(cache_write_1h=2)), answer(usage=Usage(cache_write_5m=2))),
    "usage.search_requests": (answer(usage=Usage(search_requests=2)), answer(usage=Usage())),
}  # fmt: skip
"""Two answers that differ in what is lost only."""


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    with_it, without = SHOWN[loss]

    assert with_it != without
    assert whole(with_it) == whole(without)


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN)
    assert all(reason.endswith(".") for reason in LOSSES.values())
