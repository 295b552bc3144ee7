"""The gateway's own command with other options of its server: `python -m benchmarks.proxy.served {"loop": "asyncio"} serve ...`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from granian.constants import HTTPModes, Loops, RuntimeModes

import runtime.server
from runtime.cli.program import main
from runtime.supervisor import Supervisor

__all__ = ["with_options"]

KINDS: Final = {"http": HTTPModes, "loop": Loops, "runtime_mode": RuntimeModes}


def with_options(given: dict[str, object]) -> None:
    """Have every server of this process be started so."""
    switch_s = given.pop("switch_s", None)
    if isinstance(switch_s, float):
        sys.setswitchinterval(switch_s)
    options = {name: KINDS[name](value) if name in KINDS else value for name, value in given.items()}
    setattr(runtime.server, "Supervisor", partial(_supervisor, options))  # noqa: B010 — a class, for those who check types


def _supervisor(options: Mapping[str, Any], *args: Any, **kwargs: Any) -> Supervisor:
    return Supervisor(*args, **{**kwargs, **options})


if __name__ == "__main__":
    with_options(json.loads(sys.argv.pop(1)))
    sys.exit(main())
