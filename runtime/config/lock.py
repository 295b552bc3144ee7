"""The lock: what a build was made of, so that no server runs a plan that its sources do not say.

`gateway.lock` holds the hash of every input file, of prices, of model facts, of the plan, and the compiler's version.
`load_artefact` is how a server starts: it compares before it believes, and compiles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import orjson

from runtime.config.build import COMPILER, canonical, digest, render_artefact
from runtime.config.files import Source, read_file, source_names
from runtime.config.plan import Artefact, Plan
from runtime.errors import ConfigError

__all__ = ["LOCK", "PLAN", "Lock", "artefact_files", "load_artefact", "make_lock"]

LOCK: Final = "gateway.lock"
PLAN: Final = "generated/plan.json"


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gateway.lock`` holds. ``inputs`` maps a file to its hash; ``artefact`` is the hash of plan.json's bytes."""

    version: int = 1
    build: str
    compiler: str
    inputs: dict[str, str]
    prices: str
    facts: str
    artefact: str


def artefact_files(artefact: Artefact, sources: Sequence[Source]) -> dict[str, bytes]:
    """What a build writes: paths relative to the root, and their bytes."""
    rendered = render_artefact(artefact)
    lock = make_lock(artefact, rendered, sources)
    return {PLAN: rendered, LOCK: orjson.dumps(msgspec.to_builtins(lock), option=_PRETTY)}


def make_lock(artefact: Artefact, rendered: bytes, sources: Sequence[Source]) -> Lock:
    """The lock of ``artefact``, whose file is ``rendered``."""
    return Lock(
        build=artefact.build,
        compiler=artefact.compiler,
        inputs={source.path: digest(source.data) for source in sources},
        prices=digest(canonical(_prices(artefact.plan))),
        facts=digest(canonical(_facts(artefact.plan))),
        artefact=digest(rendered),
    )


def load_artefact(root: Path) -> Artefact:
    """The built plan below ``root``. Raises ConfigError, naming the file, when it is not what its lock says."""
    lock = _read_lock(root)
    if lock.compiler != COMPILER:
        raise _stale(f"{LOCK} is of compiler {lock.compiler}, this is {COMPILER}")
    for name in source_names(root):
        if name not in lock.inputs:
            raise _stale(f"{name} was added since the last build")
    for name, expected in lock.inputs.items():
        if digest(_read(root, name)) != expected:
            raise _stale(f"{name} was changed since the last build")
    data = _read(root, PLAN)
    if digest(data) != lock.artefact:
        raise _stale(f"{PLAN} is not the one that {LOCK} was made for")
    try:
        artefact = msgspec.json.decode(data, type=Artefact)
    except msgspec.DecodeError as error:
        raise _stale(f"{PLAN} cannot be read") from error
    if artefact.build != lock.build:
        raise _stale(f"{PLAN} is build {artefact.build}, {LOCK} says {lock.build}")
    return artefact


_PRETTY: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def _read_lock(root: Path) -> Lock:
    data = _read(root, LOCK)
    try:
        return msgspec.json.decode(data, type=Lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _stale(f"{LOCK} cannot be read") from error


def _read(root: Path, name: str) -> bytes:
    try:
        return read_file(root, name)
    except FileNotFoundError as error:
        raise _stale(f"{name} is missing") from error
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from error


def _stale(what: str) -> ConfigError:
    return ConfigError(f"{what}; run `gatewright build`")


def _prices(plan: Plan) -> dict[str, object]:
    return {id_: model.facts.prices for id_, model in plan.models.items()}


def _facts(plan: Plan) -> dict[str, object]:
    models = {id_: msgspec.structs.replace(model.facts, prices=None) for id_, model in plan.models.items()}
    return {"models": models, "providers": plan.providers}
