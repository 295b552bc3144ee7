"""Metrics as plain figures: counted while calls go on, put into Prometheus's words only when somebody asks.

A family has one figure for each set of labels, which whoever counts often may keep. All of it lives on one event loop: nothing
locks. The words are those of Prometheus's text format, 1.0.0, with the time a figure began in a family `_created` of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

__all__ = ["CONTENT_TYPE", "Count", "Counters", "Family", "Gauge", "Histograms", "Spread", "beside", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"

Labels: TypeAlias = Mapping[str, str]
NONE: Final[Labels] = MappingProxyType({})
_HELP: Final = "# HELP "


class Family(Protocol):
    """What has a name, and lines of text, in each of which ``whose`` stands beside its own labels."""

    def lines(self, whose: Labels) -> Iterator[str]: ...


class Count:
    """How often something happened, or how much there was of it."""

    __slots__ = ("since_s", "value")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.value: float = 0


class Spread:
    """How many values lay up to each of ``bounds`` and above the one before; the last of ``counts`` are above all of them."""

    __slots__ = ("bounds", "counts", "since_s", "sum")

    def __init__(self, since_s: float, bounds: Sequence[float]) -> None:
        self.since_s = since_s
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Counters:
    """A counter by ``labels``; its name ends with `_total` where it is read. ``now`` gives Unix seconds."""

    def __init__(self, name: str, help_: str, labels: Sequence[str], now: Callable[[], float]) -> None:
        self._name = name
        self._help = help_
        self._labels = labels
        self._now = now
        self._known: dict[tuple[str, ...], Count] = {}

    def of(self, *labels: str) -> Count:
        """The one for these values of the labels."""
        found = self._known.get(labels)
        if found is None:
            found = self._known[labels] = Count(self._now())
        return found

    def lines(self, whose: Labels) -> Iterator[str]:
        named = [(dict(zip(self._labels, labels, strict=True), **whose), each) for labels, each in self._known.items()]
        yield from _head(f"{self._name}_total", self._help, "counter")
        for labels, each in named:
            yield _line(f"{self._name}_total", labels, each.value)
        yield from _created(self._name, self._help, [(labels, each.since_s) for labels, each in named])


class Histograms:
    """A histogram by ``labels``, its buckets ending at ``bounds``. ``now`` gives Unix seconds."""

    def __init__(
        self, name: str, help_: str, labels: Sequence[str], bounds: Sequence[float], now: Callable[[], float]
    ) -> None:
        self._name = name
        self._help = help_
        self._labels = labels
        self._bounds = bounds
        self._now = now
        self._known: dict[tuple[str, ...], Spread] = {}

    def of(self, *labels: str) -> Spread:
        """The one for these values of the labels."""
        found = self._known.get(labels)
        if found is None:
            found = self._known[labels] = Spread(self._now(), self._bounds)
        return found

    def lines(self, whose: Labels) -> Iterator[str]:
        named = [(dict(zip(self._labels, labels, strict=True), **whose), each) for labels, each in self._known.items()]
        ends = (*map(_figure, self._bounds), "+Inf")
        yield from _head(self._name, self._help, "histogram")
        for labels, each in named:
            below = 0
            for end, count in zip(ends, each.counts, strict=True):
                below += count
                yield _line(f"{self._name}_bucket", {**labels, "le": end}, below)
            yield _line(f"{self._name}_count", labels, below)
            yield _line(f"{self._name}_sum", labels, each.sum)
        yield from _created(self._name, self._help, [(labels, each.since_s) for labels, each in named])


class Gauge:
    """A figure that is asked for by ``read`` when it is told, with the ``labels`` that it has at the time."""

    def __init__(self, name: str, help_: str, read: Callable[[], float]) -> None:
        self._name = name
        self._help = help_
        self.read = read
        self.labels: Callable[[], Mapping[str, str]] = dict

    def lines(self, whose: Labels) -> Iterator[str]:
        yield from _head(self._name, self._help, "gauge")
        yield _line(self._name, {**self.labels(), **whose}, self.read())


def exposition(families: Iterable[Family], whose: Labels = NONE) -> bytes:
    """All of it, as it is now. The labels ``whose`` tell it from what others have counted under the same names."""
    return "".join(line for family in families for line in family.lines(whose)).encode()


def beside(expositions: Iterable[bytes]) -> bytes:
    """Several as one: what they say of a family stands together, as the format wants it."""
    families: dict[str, list[str]] = {}
    for each in expositions:
        for told in f"\n{each.decode()}".split(f"\n{_HELP}")[1:]:
            name, _, _ = told.partition(" ")
            help_, kind, lines = f"{told.rstrip()}\n".split("\n", 2)
            families.setdefault(name, [f"{_HELP}{help_}\n{kind}\n"]).append(lines)
    return "".join(part for parts in families.values() for part in parts).encode()


def _head(name: str, help_: str, kind: str) -> tuple[str, str]:
    told = help_.replace("\\", r"\\").replace("\n", r"\n")
    return f"{_HELP}{name} {told}\n", f"# TYPE {name} {kind}\n"


def _created(name: str, help_: str, begun: Sequence[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    if begun:
        yield from _head(f"{name}_created", help_, "gauge")
        for labels, since_s in begun:
            yield _line(f"{name}_created", labels, since_s)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{label}="{_escaped(labels[label])}"' for label in sorted(labels))
    return f"{name}{{{told}}} {_figure(value)}\n" if told else f"{name} {_figure(value)}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _figure(value: float) -> str:
    """As Go writes it, whose exponents begin sooner than Python's."""
    text = repr(float(value))
    point = text.find(".")
    if value > 0 and point > 6:
        digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{digits}e+{point - 1:02d}"
    return text
