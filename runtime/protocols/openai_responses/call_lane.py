"""A call as an upstream sends it: name and arguments may come late, and in more places than one."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_responses import OutputItem
from runtime.canonical import (
    Delta,
    PartEnded,
    ToolCall,
)  # fmt: skip
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.openai_responses.lane import Lane, Sink, Voice
from runtime.protocols.openai_responses.naming import joined, key_of
from runtime.protocols.openai_responses.wire import is_text, text_of

__all__ = ["CallLane", "arguments_text"]

_TEXT: Final = msgspec.json.Decoder(str)


class CallLane(Lane):
    """A call of a function or of a free-text tool. It starts once its name is known; until then its words are held."""

    def __init__(self, sink: Sink, *, custom: bool) -> None:
        super().__init__(sink)
        self.kind = "custom_tool_call" if custom else "function_call"
        self._custom = custom
        self._number = sink.calls
        sink.calls += 1
        self._index: int | None = None
        self._name = ""
        self._namespace = ""
        self._call_id = ""
        self._held: list[str] = []
        self._voice = Voice()

    def name(self, item: OutputItem) -> None:
        self._call_id = self._call_id or present(item.call_id) or ""
        self._name = self._name or present(item.name) or ""
        self._namespace = self._namespace or present(item.namespace) or ""

    def say(self, text: str, *, marked: bool = False) -> None:
        if not self.closed:
            self._emit(self._voice.add(text, marked=marked))

    def finish(self, whole: str, name: str | None = None) -> None:
        self._name = self._name or name or ""
        if not self.closed:
            self._emit(self._voice.missing(whole))

    @override
    def fill(self, item: OutputItem, raw: msgspec.Raw) -> None:
        self.name(item)
        self.finish((present(item.input) or "") if self._custom else arguments_text(item.arguments))
        self.start()

    def start(self) -> None:
        if self._index is not None or not self._name:
            return
        sink = self.sink
        id_ = self._call_id or _made_id(sink.response_id, self._number)
        spare = joined(self._namespace, self._name) if self._namespace else self._name
        name = sink.outgoing.tool_names.get(key_of(self._namespace, self._name), spare)
        self._index = sink.start(ToolCall(id=id_, name=name, custom=self._custom))
        for text in self._held:
            sink.send(Delta(index=self._index, text=text))
        self._held.clear()

    @override
    def close(self) -> None:
        if self.closed:
            return
        if not self._name:
            raise UpstreamProtocolError("The provider's answer holds a tool call without a name.")
        self.start()
        self.closed = True
        rest = self._voice.rest()
        if self._index is not None:
            if rest:
                self.sink.send(Delta(index=self._index, text=rest))
            self.sink.send(PartEnded(index=self._index))

    def _emit(self, text: str) -> None:
        if not text:
            return
        if self._index is None:
            self._held.append(text)
        else:
            self.sink.send(Delta(index=self._index, text=text))


def arguments_text(arguments: msgspec.Raw | msgspec.UnsetType) -> str:
    """The JSON text of a call's arguments; some servers send the object itself."""
    raw = present(arguments)
    if raw is None:
        return ""
    return _TEXT.decode(raw) if is_text(raw) else text_of(raw)


def _made_id(response_id: str, number: int) -> str:
    """An id for a call that came without one: the same in every reading of the same answer."""
    return "call_" + hashlib.sha256(f"{response_id} {number}".encode()).hexdigest()[:24]
