"""What a codec offers: one wire protocol to the canonical model and back, for clients and for upstreams.

A codec is pure: it takes bytes or values and gives bytes or values, knows no sockets, and keeps state only inside the
objects it makes for one stream. Errors it raises are `runtime.errors`: `InvalidRequest` (with ``param``) for what a client
sent, `UpstreamProtocolError` for what a provider sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from runtime.canonical import Event, Request, Response, Usage
from runtime.catalog import Model, ParameterRules, Provider, Surface
from runtime.errors import GatewayError

__all__ = [
    "Answer",
    "Asked",
    "ClientCodec",
    "Codec",
    "Envelope",
    "ErrorReply",
    "FailingTap",
    "Outgoing",
    "StreamDecoder",
    "StreamEncoder",
    "StreamTap",
    "Target",
]


class Asked(msgspec.Struct, frozen=True):
    """What the URL of a request says of it, in dialects that put it there; None where only the body can tell.

    ``variant`` names one of several forms that a dialect's answers have (Gemini's streams: `sse` or `array`); "" where
    there is one.
    """

    model: str | None = None
    stream: bool | None = None
    variant: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """A client's request body, read no deeper than needed to route it.

    ``fields`` maps each top-level name to its JSON as it came, in order: what pass-through splices and sends on.
    ``body`` is the whole as it came, from which pass-through keeps the white space between the fields. ``variant`` is
    `Asked.variant`.
    """

    model: str
    stream: bool
    fields: dict[str, msgspec.Raw]
    body: bytes = b""
    variant: str = ""


class Target(msgspec.Struct, frozen=True):
    """Whom a request is encoded for. ``surface`` is where ``provider`` speaks this codec's protocol.

    ``default_max_output`` is the output limit in tokens for a protocol that demands one, where neither the client nor
    the model's facts give any. ``asks_usage``: of a stream that is passed on, too, it is to be asked what it took.
    What is below follows from the others: ``rules`` are those of the provider, then the surface, then the model, that say
    anything; ``named`` is the model's name as JSON.
    """

    provider: Provider
    model: Model
    surface: Surface
    default_max_output: int = 4096
    asks_usage: bool = False
    rules: tuple[ParameterRules, ...] = ()
    named: bytes = b""

    def __post_init__(self) -> None:
        every = (self.provider.parameters, self.surface.parameters, self.model.parameters)
        msgspec.structs.force_setattr(self, "rules", tuple(rules for rules in every if rules))
        msgspec.structs.force_setattr(self, "named", msgspec.json.encode(self.model.id))


class Outgoing(msgspec.Struct, frozen=True):
    """A request ready to be sent.

    ``headers`` are the protocol's own (content type, version, betas), not the credential's. ``tool_names`` maps a name as
    the upstream sees it to the client's, for those that had to be repaired. ``losses`` names, as field paths of the
    client's request, what the target cannot be told. ``custom_tools`` are free-text tools, by the upstream's names, that had
    to be sent as functions with one text property. ``stop`` are stop strings that the upstream cannot be told: the codec's
    own decoder cuts the text at them. ``unasked_usage``: the upstream is asked what its stream takes, and the client is not to
    be told, who did not ask. ``choices`` are how many answers beside each other are asked for, where the end of a stream shows
    only by all of them having ended.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    stream: bool
    tool_names: Mapping[str, str] = {}
    losses: tuple[str, ...] = ()
    custom_tools: frozenset[str] = frozenset()
    stop: tuple[str, ...] = ()
    unasked_usage: bool = False
    choices: int = 1


class Answer(msgspec.Struct, frozen=True):
    """What a codec needs to know to speak to the client about one request.

    ``model`` is the public name the client asked for; ``id`` the gateway's request id (no prefix); ``created`` Unix seconds;
    ``headers`` the client's, lower-case; ``request`` the canonical request, None on pass-through; ``variant`` which of the
    dialect's forms the client asked for. ``hides_usage``: of what passes through, what was said about usage alone is left out. ``choices``: so
    many answers were asked of the upstream, where its streams do not say that they are at their end.
    """

    model: str
    id: str
    created: int
    headers: Mapping[str, str]
    request: Request | None = None
    variant: str = ""
    hides_usage: bool = False
    choices: int = 1


class ErrorReply(msgspec.Struct, frozen=True):
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class StreamDecoder(Protocol):
    """Upstream bytes to canonical events. Any split of the bytes gives the same events, and then the same error.

    So that it does, an error met behind complete events in one read is held back: the events are returned first, and the
    next call (`feed` or `close`) raises it.
    """

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes. Raises a GatewayError for an error event, broken JSON, or an oversized frame."""
        ...

    def close(self) -> list[Event]:
        """The last events, at the end of the bytes. Raises UpstreamProtocolError when the answer was cut."""
        ...


class StreamEncoder(Protocol):
    """Canonical events to the client's bytes."""

    content_type: str
    keep_alive: bytes | None
    """What may be sent in a silence, or None where the dialect allows nothing."""

    def feed(self, events: Sequence[Event]) -> bytes:
        """The bytes for ``events``; empty when they only changed the state."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The dialect's error event. Nothing may be sent after it."""
        ...


class StreamTap(Protocol):
    """Watches a pass-through stream: forwards it untouched but for the model's name, and learns how it ended.

    ``usage`` is the last the upstream reported, or None; ``complete`` whether it said that the answer is complete;
    ``started`` whether a first piece of the answer was seen. Of what was given out last, ``ahead`` bytes at its beginning say
    nothing of an end. Errors are held back as a `StreamDecoder` does.
    """

    usage: Usage | None
    complete: bool
    started: bool
    ahead: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be learned: the answer is complete, and its usage known or never told."""
        return self.complete

    @property
    def may_end(self) -> bool:
        """Whether the answer is whole if nothing follows, however that comes. With some protocols only that says so."""
        return self.finished

    def feed(self, data: bytes) -> bytes:
        """The bytes to forward. Raises a GatewayError when the first event is an error and nothing was forwarded yet."""
        ...

    def close(self) -> bytes:
        """What is left. Raises UpstreamProtocolError when the stream was cut."""
        ...


@runtime_checkable
class FailingTap(StreamTap, Protocol):
    """A tap of a dialect whose error event goes on from what was forwarded: the answer's id, the number of the event."""

    def fail(self, error: GatewayError) -> bytes:
        """The dialect's error event. Nothing may be sent after it."""
        ...


class ClientCodec(Protocol):
    """One protocol as its clients speak it."""

    protocol: str
    request_id_header: str
    """The response header in which this dialect's clients look for the request's id."""

    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        """Read model and stream. Raises InvalidRequest for what is not JSON, not an object, or has no usable model."""
        ...

    def decode_request(self, envelope: Envelope, headers: Mapping[str, str]) -> Request:
        """The whole request. Raises InvalidRequest naming the field. Unknown fields are kept in ``unknown``."""
        ...

    def encode_response(self, response: Response, answer: Answer) -> bytes: ...

    def stream_encoder(self, answer: Answer) -> StreamEncoder: ...

    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply: ...


class Codec(ClientCodec, Protocol):
    """One protocol on both sides: that of its clients, and here that of providers who speak it."""

    def splice(self, envelope: Envelope, target: Target, headers: Mapping[str, str]) -> Outgoing:
        """Pass a request of this protocol on: ``model`` replaced, parameter rules applied, all else byte for byte."""
        ...

    def splice_response(self, body: bytes, model: str) -> tuple[bytes, Usage | None]:
        """Pass an answer back: ``model`` replaced, all else byte for byte; and the usage in it.

        Raises UpstreamProtocolError when ``body`` is no answer of this protocol, or the typed error it holds.
        """
        ...

    def ended(self, body: bytes) -> bool:
        """Whether a sound answer says that it is at its end, whatever ended it. Raises as `splice_response` does."""
        ...

    def stream_tap(self, answer: Answer) -> StreamTap: ...

    def encode_request(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
        """Raises InvalidRequest for what cannot be said to this target and must not be left out."""
        ...

    def decode_response(self, body: bytes, outgoing: Outgoing) -> Response: ...

    def stream_decoder(self, outgoing: Outgoing) -> StreamDecoder: ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """Classify a failed answer: by status, by the vendor's codes, then by the texts they are known for."""
        ...

    def encode_count(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing | None:
        """The request that counts ``request``'s input tokens, or None where the provider cannot."""
        ...

    def decode_count(self, body: bytes) -> int: ...
