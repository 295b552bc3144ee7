"""Texts to unit vectors, through the gateway's own way to a model for embeddings; and how near two of them are."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable
from operator import mul
from typing import Final

import msgspec

from runtime.call import Call, EmbedCall
from runtime.errors import GatewayError, UpstreamTimeout
from runtime.gateway import Gateway
from runtime.protocols.embedding import Embedder
from runtime.telemetry import Recorder

__all__ = ["Vectors", "nearness", "unit"]


class _Entry(msgspec.Struct, frozen=True):
    embedding: list[float]


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Entry]


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class Vectors:
    """Asks ``model``, which no key need be allowed.

    Each question is a call of its own in log and metrics, with the key of whoever asked; for limits it is a part of theirs.
    """

    def __init__(
        self,
        gateway: Gateway,
        embedder: Embedder,
        recorder: Recorder,
        model: str,
        wait_s: float,
        new_id: Callable[[], str],
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self._gateway = gateway
        self._embedder = embedder
        self._recorder = recorder
        self._model = model
        self._wait_s = wait_s
        self._new_id = new_id
        self._on_fault = on_fault

    async def of(self, text: str, call: Call) -> array[float] | None:
        """The vector of ``text``; None where there is none in time. Never raises what a provider does."""
        record = self._recorder.begin(self._new_id(), "embeddings", self._embedder.protocol)
        record.key, record.tenant, record.admitted = call.key.id, call.key.tenant, 0
        body = msgspec.json.encode({"model": self._model, "input": text, "encoding_format": "float"})
        key = msgspec.structs.replace(call.key, models=())
        envelope = self._embedder.peek(body)
        asked = EmbedCall(embedder=self._embedder, envelope=envelope, key=key, record=record, aside=True)
        try:
            async with asyncio.timeout(self._wait_s):
                reply = await self._gateway.embed(asked)
            record.status = 200
            return unit(_ANSWER.decode(reply.body).data[0].embedding)
        except TimeoutError:
            record.outcome, record.error, record.status = "error", UpstreamTimeout.kind, UpstreamTimeout.http_status
        except GatewayError as error:
            record.outcome, record.error, record.status = "error", error.kind, error.http_status
        except (msgspec.DecodeError, IndexError) as error:
            self._on_fault(error, record.id)
        except asyncio.CancelledError:
            record.outcome, record.status = "client_closed", 499
            raise
        finally:
            self._recorder.end(record)
        return None


def unit(vector: list[float]) -> array[float] | None:
    """``vector`` at length 1; None where it has no direction."""
    length = math.sqrt(sum(map(mul, vector, vector)))
    if not math.isfinite(length) or length == 0:
        return None
    return array("f", [each / length for each in vector])


def nearness(one: array[float], other: array[float]) -> float:
    """The cosine of two unit vectors; -1 where they are of different models."""
    return sum(map(mul, one, other)) if len(one) == len(other) else -1.0
