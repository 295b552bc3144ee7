"""Each declared loss, shown: what goes in does not come out. A loss that is gone must leave the list."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.canonical import Base64Source, Choice, Finish, Image, Response, Text, ToolCall
from runtime.protocols import client_codec
from runtime.protocols.base import Answer
from runtime.protocols.ollama_generate import LOSSES

CODEC = client_codec("ollama_generate")
ANSWER = Answer(model="public/name", id="req1", created=1_795_219_200, headers={})
CALL = ToolCall(id="c", name="f", arguments="{}")
PICTURES = tuple(Image(source=Base64Source(media_type="image/png", data=data)) for data in ("AAAA", "BBBB"))

SHOWN: dict[str, tuple[tuple[Any, ...], bytes]] = {
    "choices.content.tool_call": ((CALL,), b"call"),
    "choices.content.image": (PICTURES, b"BBBB"),
    "context": ((Text(text="a"),), b"context"),
}
"""What an answer holds, and what would be seen of it if it were not lost."""


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    parts, trace = SHOWN[loss]
    choice = Choice(content=parts, finish=Finish(reason="stop"))

    assert trace not in CODEC.encode_response(Response(id="r", model="up", choices=(choice,)), ANSWER)


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN)
    assert all(reason.endswith(".") for reason in LOSSES.values())
