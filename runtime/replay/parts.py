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
from runtime.replay.semantic import SemanticCache
from runtime.replay.shelf import Shelf
from runtime.replay.vectors import Vectors
from runtime.resilience import Door
from runtime.shared import SharedState
from runtime.telemetry import Recorder

__all__ = ["Clocks", "build_replay", "local_vectors"]


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """``now`` gives Unix seconds, ``monotonic`` seconds that only go on."""

    now: Callable[[], float]
    monotonic: Callable[[], float]


def local_vectors(plan: Plan, on_fault: Callable[[Exception, str], None]) -> LocalVectors | None:
    """The model in this process, where the plan asks for it; it has yet to be started."""
    near = plan.cache.semantic
    if near is None or near.embedding != LOCAL_EMBEDDING:
        return None
    return LocalVectors(minilm, near.wait_ms / 1000, on_fault)


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
) -> Replay:
    """What may answer in a model's place, for one worker."""
    plan = artefact.plan
    once = Once(plan.idempotency, plan.timeouts.total_ms / 1000, shared, door, clocks.now, new_id, on_fault)

    def shelf(topic: str, of: ExactCacheSettings | SemanticCacheSettings) -> Shelf:
        return Shelf(topic, shared, of.max_entries, of.max_bytes, of.ttl_ms / 1000, clocks.monotonic, on_fault)

    exact: ExactCache | None = None
    if plan.cache.exact is not None:
        exact = ExactCache(shelf("cache.exact", plan.cache.exact))
    semantic: SemanticCache | None = None
    if (near := plan.cache.semantic) is not None:
        speak, wait_s = embedders["openai_embeddings"], near.wait_ms / 1000
        vectors = local or Vectors(gateway, speak, recorder, near.embedding, wait_s, new_id, on_fault)
        semantic = SemanticCache(
            shelf("cache.semantic", near), shared, vectors, near.threshold, near.ttl_ms / 1000, clocks.now, on_fault
        )
    cache = Cache(plan, artefact.build, exact, semantic, clocks.now, gateway.session) if exact or semantic else None
    return Replay(once, cache, door, clocks.monotonic)
