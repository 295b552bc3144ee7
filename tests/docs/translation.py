"""`docs/reference/translation.md`: what every protocol loses of a request or an answer, from the tables and their tests.

A codec's package offers `LOSSES`, a field path of canonical values to the reason. Its `test_losses.py` shows each one:
`SHOWN` and `REFUSED` hold values for `test_declared_loss_is_real` and `test_declared_loss_is_refused`, `SHOWN_BY` names
other tests. Every protocol of `CODECS` and `DIALECTS` is on the page; one without tests is a fault, like a loss without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

import msgspec

from runtime.canonical import Request
from runtime.protocols import CODECS, DIALECTS

__all__ = ["Loss", "faults", "losses_of", "page"]

_SHOWING: Mapping[str, str] = {"SHOWN": "test_declared_loss_is_real", "REFUSED": "test_declared_loss_is_refused"}
_REQUEST = set(Request.__struct_fields__)
_ANSWER = ("choices.", "usage.", "id", "created", "context", "extensions")

_HEAD = """\
<!-- Made by tests/docs/translation.py from the codecs' tables of losses. Do not edit; run `make golden`. -->
# What translation loses

A request that stays in its own protocol passes through byte for byte, and so does its answer: nothing on this page is about
it. In every other case it becomes a value of one neutral model, and that becomes a request of the provider's protocol. What
that protocol has no words for is left out, said in other words, or refused. Each such loss has a line here, and each line a
test that fails when the loss is gone. How what is *not* lost travels is told in [the guide](../guide/translation.md).

Paths name fields of the neutral model: `messages.…`, `tools` and the like belong to requests, `choices.…` and `usage.…` to
answers. `refused` means that a request with it gets an error of its own dialect rather than a quiet change.
"""

_STATE = """\
## Opaque reasoning state

Vendors seal what their models thought: as a signature, as encrypted content. A seal is of use to its own vendor only, and a
foreign or changed one is refused. So a seal travels with the name of the protocol it belongs to.

| | on its way |
|---|---|
| to a client of its own protocol | byte for byte, where that protocol has it |
| to a client of another protocol | in an envelope, `gw1.<protocol>.<base64>`, in the field where that dialect keeps such state |
| back from that client | out of the envelope, unchanged |
| to a provider of its own protocol | byte for byte, at its place |
| to a provider of another protocol | not at all: it is dropped, on pass-through too, and never forged |

Where a dialect's clients keep it:

| client | field |
|---|---|
"""

_SLOTS: Mapping[str, str] = {
    "openai_chat": "`reasoning_details`; beside it `tool_calls[].extra_content.google.thought_signature`, for thinking "
    "without text that stands directly before a call",
    "anthropic_messages": "`signature` of `thinking`, `data` of `redacted_thinking`",
    "openai_responses": "`encrypted_content` of `reasoning` items",
    "gemini": "`thoughtSignature` of parts, encoded in base64 once more",
}
_NO_SLOT = "none: what is sealed cannot come back through such a client"


class Loss(msgspec.Struct, frozen=True):
    path: str
    reason: str
    test: str
    refused: bool = False

    @property
    def of_request(self) -> bool:
        return not self.path.startswith(_ANSWER) and self.path.partition(".")[0] in _REQUEST


def protocols() -> list[str]:
    return sorted({*CODECS, *DIALECTS})


def losses_of(protocol: str) -> list[Loss]:
    """The lines of one protocol, in its table's order. Raises ValueError where table and tests do not fit."""
    table: Mapping[str, str] = import_module(f"runtime.protocols.{protocol}").LOSSES
    tests = import_module(f"tests.protocols.{protocol}.test_losses")
    shown = dict(_shown(tests, protocol))
    if set(shown) != set(table):
        raise ValueError(
            f"losses without a test: {sorted(set(table) - set(shown))}; "
            f"tests without a loss: {sorted(set(shown) - set(table))}"
        )
    refused = getattr(tests, "REFUSED", {})
    return [Loss(path, reason, shown[path], path in refused) for path, reason in table.items()]


def faults() -> list[str]:
    """Why a protocol is not on the page; empty when all are."""
    return [said for said in (_fault(protocol) for protocol in protocols()) if said is not None]


def page() -> str:
    """The page, as far as it is sound: what `faults` names is not on it."""
    tables = {protocol: losses_of(protocol) for protocol in protocols() if _fault(protocol) is None}
    lines = [*_HEAD.splitlines(), "", *_matrix(tables), "", *_STATE.splitlines()]
    lines += [f"| `{protocol}` | {_SLOTS.get(protocol, _NO_SLOT)} |" for protocol in tables]
    for protocol, losses in tables.items():
        lines += ["", *_section(protocol, losses)]
    return "\n".join(lines) + "\n"


def _fault(protocol: str) -> str | None:
    try:
        losses_of(protocol)
    except (ImportError, AttributeError, ValueError) as error:
        return f"{protocol}: {error}"
    return None


def _shown(tests: ModuleType, protocol: str) -> Iterator[tuple[str, str]]:
    """Each shown loss and the id of its test."""
    file = f"tests/protocols/{protocol}/test_losses.py"
    for table, test in _SHOWING.items():
        for path in getattr(tests, table, {}):
            if not callable(getattr(tests, test, None)):
                raise ValueError(f"{file} has {table} and no {test}")
            yield path, f"{file}::{test}[{path}]"
    for path, test in getattr(tests, "SHOWN_BY", {}).items():
        if not callable(getattr(tests, test, None)):
            raise ValueError(f"{file} has no {test}")
        yield path, f"{file}::{test}"


def _matrix(tables: Mapping[str, list[Loss]]) -> Iterator[str]:
    """What one side of a pair can say and the other cannot. What neither can say is no loss of that pair."""
    yield "## From whom to whom"
    yield ""
    yield "For each pair: what a request may lose that the client's dialect can say and the provider's cannot, and what an"
    yield "answer may lose the other way."
    for client in tables:
        yield ""
        yield f"### Clients of {client}"
        yield ""
        yield "| provider | lost of a request | lost of an answer |"
        yield "|---|---|---|"
        for provider in sorted(CODECS.keys() & tables.keys()):
            if provider == client:
                yield f"| `{provider}` | nothing | nothing |"
                continue
            theirs, ours = tables[provider], tables[client]
            asked = _without((loss for loss in theirs if loss.of_request), ours)
            answered = _without((loss for loss in ours if not loss.of_request), theirs)
            yield f"| `{provider}` | {asked} | {answered} |"


def _without(losses: Iterator[Loss], others: list[Loss]) -> str:
    known = {loss.path for loss in others}
    return ", ".join(f"`{loss.path}`" for loss in losses if loss.path not in known) or "nothing"


def _section(protocol: str, losses: list[Loss]) -> Iterator[str]:
    yield f"## {protocol}"
    for title, of_request in (("Requests to its providers", True), ("Answers to its clients", False)):
        chosen = [loss for loss in losses if loss.of_request is of_request]
        if not chosen:
            continue
        yield ""
        yield f"### {title}: {protocol}"
        yield ""
        yield "| lost | why | shown by |"
        yield "|---|---|---|"
        for loss in chosen:
            mark = " (refused)" if loss.refused else ""
            yield f"| `{loss.path}`{mark} | {loss.reason.replace('|', chr(92) + '|')} | `{loss.test}` |"
