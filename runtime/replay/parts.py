"""From a plan to its `Replay`: which caches there are, and what each is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from generated.config import ExactCacheSettings, SemanticCacheSettings
from runtime.config.plan import LOCAL_EMBEDDING, Artefact, Plan
from runtime.gateway import Gateway
from runtime.protocols.embedding import Embedder
from runtime.replay.cache import Cache
from runtime.replay.exact import ExactCache
from runtime.replay.idempotency import Once
from runtime.replay.local import LocalVectors, minilm
from runtime.replay.replay import Replay
from runtime.replay.semantic import INDEX, SemanticCache
from runtime.replay.shelf import Shelf
from runtime.replay.vectors import Vectors
from runtime.resilience import Door
from runtime.shared import SharedState
from runtime.telemetry import Recorder

__all__ = ["Clocks", "Memory", "build_replay", "local_vectors"]


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """``now`` gives Unix seconds, ``monotonic`` seconds that only go on."""

    now: Callable[[], float]
    monotonic: Callable[[], float]


def local_vectors_wanted(plan: Plan) -> bool:
    return plan.cache.semantic is not None and plan.cache.semantic.embedding == LOCAL_EMBEDDING


def local_vectors(plan: Plan, on_fault: Callable[[Exception, str], None]) -> LocalVectors | None:
    """The model in this process, where the plan asks for it; it has yet to be started."""
    near = plan.cache.semantic
    if near is None or not local_vectors_wanted(plan):
        return None
    return LocalVectors(minilm, near.wait_ms / 1000, on_fault)


class Memory:
    """What is remembered of answers while plans come and go: requests under way by their keys, and the caches' shelves."""

    def __init__(
        self,
        plan: Plan,
        shared: SharedState,
        door: Door,
        clocks: Clocks,
        new_id: Callable[[], str],
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self.once = Once(plan.idempotency, _total_s(plan), shared, door, clocks.now, new_id, on_fault)
        self._local: LocalVectors | None = None
        self._shelves: dict[str, Shelf] = {}
        self._shared = shared
        self._clocks = clocks
        self._on_fault = on_fault

    def configure(self, plan: Plan) -> None:
        """From now on as ``plan`` says."""
        self.once.configure(plan.idempotency, _total_s(plan))
        for topic, of in (("cache.exact", plan.cache.exact), ("cache.semantic", plan.cache.semantic)):
            if of is not None and topic in self._shelves:
                self._shelves[topic].configure(of.max_entries, of.max_bytes, of.ttl_ms / 1000)

    def local(self, plan: Plan) -> LocalVectors | None:
        """The model in this process, where ``plan`` asks for it; one for all plans."""
        if self._local is None:
            self._local = local_vectors(plan, self._on_fault)
        return self._local if local_vectors_wanted(plan) else None

    async def start(self) -> None:
        """Load the model, if one was asked for. Raises ConfigError where its extra is not installed."""
        if self._local is not None and not self._local.started:
            await self._local.start()

    async def aclose(self) -> None:
        """Let go of the model."""
        if self._local is not None:
            self._local.aclose()

    def shelf(self, topic: str, of: ExactCacheSettings | SemanticCacheSettings, index: str | None = None) -> Shelf:
        """The one of ``topic``."""
        if topic not in self._shelves:
            limits = (of.max_entries, of.max_bytes, of.ttl_ms / 1000)
            self._shelves[topic] = Shelf(topic, self._shared, *limits, self._clocks.monotonic, self._on_fault, index)
        return self._shelves[topic]


def _total_s(plan: Plan) -> float:
    return plan.timeouts.total_ms / 1000


def build_replay(
    artefact: Artefact,
    gateway: Gateway,
    embedders: Mapping[str, Embedder],
    local: LocalVectors | None,
    recorder: Recorder,
    shared: SharedState,
    door: Door,
    clocks: Clocks,
    new_id: Callable[[], str],
    on_fault: Callable[[Exception, str], None],
    memory: Memory | None = None,
) -> Replay:
    """What may answer in a model's place, for one worker and one plan. ``memory`` is what the plan before remembers."""
    plan = artefact.plan
    memory = memory or Memory(plan, shared, door, clocks, new_id, on_fault)
    once, shelf = memory.once, memory.shelf

    exact: ExactCache | None = None
    if plan.cache.exact is not None:
        exact = ExactCache(shelf("cache.exact", plan.cache.exact))
    semantic: SemanticCache | None = None
    if (near := plan.cache.semantic) is not None:
        speak, wait_s = embedders["openai_embeddings"], near.wait_ms / 1000
        vectors = local or Vectors(gateway, speak, recorder, near.embedding, wait_s, new_id, on_fault)
        semantic = SemanticCache(
            shelf("cache.semantic", near, INDEX), shared, vectors, near.threshold, clocks.now, on_fault
        )
    cache: Cache | None = None
    if exact or semantic:
        cache = Cache(plan, artefact.build, exact, semantic, gateway.permits, clocks.now, gateway.session)
    return Replay(once, cache, door, clocks.monotonic)
