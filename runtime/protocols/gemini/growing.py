"""A call whose arguments come in pieces, as Vertex streams them to those who ask for it: values with the place each has.

Places are paths as in RFC 9535, of names and numbers alone. Pieces of a text follow one another under the same path.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec

from generated.types.gemini import FunctionCall, PartialArg
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import is_null, present

__all__ = ["GrowingCall", "says_nothing"]

_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]]+) | \[(?P<place>\d{1,9})\] | \['(?P<one>(?:[^'\\]|\\.)*)'\] | \["(?P<two>(?:[^"\\]|\\.)*)"\]""",
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(['\"\\/])")
_MOST_STEPS: Final = 100
_MOST_SKIPPED: Final = 1000
"""Items of a list that nothing was said of, before one of which something is."""

_Json: TypeAlias = "str | float | bool | dict[str, _Json] | list[_Json] | None"
_OBJECT: Final = msgspec.json.Decoder(dict[str, object])


class GrowingCall:
    """``index`` is that of its part. ``expects_more``: its last piece says that another one follows."""

    def __init__(self, name: str, index: int, *, custom: bool) -> None:
        self.name = name
        self.index = index
        self.custom = custom
        self.expects_more = False
        self.signature = ""
        self._arguments: dict[str, _Json] = {}
        self._continued: str | None = None

    def take(self, given: FunctionCall) -> None:
        """A piece. Raises UpstreamProtocolError for one that fits nowhere."""
        self.expects_more = bool(present(given.willContinue))
        args = present(given.args)
        if args is not None and not is_null(args):
            try:
                self._arguments.update(_OBJECT.decode(args))  # type: ignore[arg-type] # JSON holds nothing else
            except msgspec.DecodeError:
                raise UpstreamProtocolError(
                    "The provider's answer holds a call whose arguments are no object."
                ) from None
        for piece in present(given.partialArgs) or ():
            self._add(piece)

    def text(self, *, cut: bool) -> str:
        """The arguments as JSON; such as no reader takes for whole when the answer was ``cut`` within them."""
        text = msgspec.json.encode(self._arguments).decode()
        return text[:-1] if cut else text

    def _add(self, piece: PartialArg) -> None:
        path = present(piece.jsonPath) or ""
        continued, self._continued = path == self._continued, path if present(piece.willContinue) else None
        value = _value(piece)
        if value is msgspec.UNSET:
            return
        steps = _steps(path)
        try:
            held = _held(self._arguments, steps)
            last = steps[-1]
            before = _get(held, last)
            if continued and isinstance(before, str) and isinstance(value, str):
                value = before + value
            _put(held, last, value)
        except (TypeError, IndexError):
            raise _unsound(path) from None


def says_nothing(given: FunctionCall) -> bool:
    """As the piece does that ends a call."""
    args = present(given.args)
    return not present(given.name) and not present(given.partialArgs) and (args is None or is_null(args))


def _value(piece: PartialArg) -> _Json | msgspec.UnsetType:
    for value in (present(piece.stringValue), present(piece.boolValue)):
        if value is not None:
            return value
    number = present(piece.numberValue)
    if number is not None:
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return msgspec.UNSET if piece.nullValue is msgspec.UNSET else None


def _steps(path: str) -> list[str | int]:
    at, steps = 1, list[str | int]()
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            break
        place = step["place"]
        quoted = step["one"] if step["one"] is not None else step["two"]
        name = step["name"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        steps.append(name if place is None else int(place))
        at = step.end()
    if path[:1] != "$" or at < len(path) or not 0 < len(steps) <= _MOST_STEPS:
        raise _unsound(path)
    return steps


def _held(whole: _Json, steps: list[str | int]) -> _Json:
    """What holds the value; made as far as it is not there. Raises TypeError or IndexError where there is something else."""
    for step, then in pairwise(steps):
        inner = _get(whole, step)
        if inner is None:
            inner = dict[str, _Json]() if isinstance(then, str) else list[_Json]()
            _put(whole, step, inner)
        whole = inner
    return whole


def _get(held: _Json, step: str | int) -> _Json:
    if isinstance(held, dict) and isinstance(step, str):
        return held.get(step)
    if isinstance(held, list) and isinstance(step, int):
        return held[step] if step < len(held) else None
    raise TypeError


def _put(held: _Json, step: str | int, value: _Json) -> None:
    if isinstance(held, dict) and isinstance(step, str):
        held[step] = value
    elif isinstance(held, list) and isinstance(step, int):
        if step - len(held) > _MOST_SKIPPED:
            raise IndexError
        held += [None] * (step + 1 - len(held))
        held[step] = value
    else:
        raise TypeError


def _unsound(path: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(
        f"The provider's answer holds a piece of a call's arguments that fits nowhere: {path[:200]!r}."
    )
