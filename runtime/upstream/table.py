"""Which upstream answers for a URL, by its scheme. Knows no HTTP and no provider."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Protocol, runtime_checkable

from runtime.errors import UpstreamUnavailable
from runtime.upstream.types import Upstream, UpstreamRequest, UpstreamResponse

__all__ = ["UpstreamTable"]


@runtime_checkable
class Pooled(Protocol):
    """An upstream that keeps lines open between requests."""

    def retire(self, pool: str) -> None: ...


class UpstreamTable:
    """An `Upstream` made of others: ``schemes`` maps a URL scheme (`https`, `sim`) to who answers for it.

    ``learn`` may `add` somebody for a scheme that is asked for and that nobody answers for.
    """

    def __init__(
        self,
        schemes: Mapping[str, Upstream],
        learn: Callable[[UpstreamTable, str], None] = lambda _table, _scheme: None,
    ) -> None:
        self._schemes = {scheme.lower(): upstream for scheme, upstream in schemes.items()}
        self._learn = learn

    @property
    def schemes(self) -> frozenset[str]:
        """The schemes that somebody answers for."""
        return frozenset(self._schemes)

    def add(self, scheme: str, upstream: Upstream) -> None:
        """From now on ``upstream`` answers for ``scheme``, too."""
        self._schemes[scheme.lower()] = upstream

    def retire(self, pool: str) -> None:
        """Requests of ``pool`` use none of the lines any more that are open now."""
        for upstream in {id(upstream): upstream for upstream in self._schemes.values()}.values():
            if isinstance(upstream, Pooled):
                upstream.retire(pool)

    def send(self, request: UpstreamRequest) -> Coroutine[object, None, UpstreamResponse]:
        scheme = request.to.url.partition("://")[0].lower()
        upstream = self._schemes.get(scheme)
        if upstream is None:
            self._learn(self, scheme)
            upstream = self._schemes.get(scheme)
        if upstream is None:
            raise UpstreamUnavailable("the provider's address has a scheme that this gateway was not started for")
        return upstream.send(request)

    async def aclose(self) -> None:
        """Close each upstream once, whatever number of schemes it answers for; all of them, even if one fails."""
        failures: list[Exception] = []
        for upstream in {id(upstream): upstream for upstream in self._schemes.values()}.values():
            try:
                await upstream.aclose()
            except Exception as failure:  # noqa: BLE001 — the others are closed first, then it is raised
                failures.append(failure)
        if failures:
            raise ExceptionGroup("closing the upstreams failed", failures)
