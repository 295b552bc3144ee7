"""Several scripts of this folder, one after the other, each in a process of its own that need not import what most share.

`python -m tests.clients.python openai_agents langchain_models -- 'anthropic>'`: behind the dashes stands what each is asked for.
"""

from __future__ import annotations

import gc
import importlib
import os
import runpy
import signal
import sys
from collections.abc import Sequence

from tests.clients.cells import SCRIPT_LIMIT_S

SHARED = ("anthropic", "google.genai", "openai")
"""To import them takes longer than all calls through one of them."""


def run(scripts: Sequence[str], wanted: Sequence[str]) -> int:
    """How many of ``scripts`` failed."""
    for name in SHARED:
        importlib.import_module(name)
    gc.freeze()
    return sum(_run(script, wanted) != 0 for script in scripts)


def _run(script: str, wanted: Sequence[str]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(SCRIPT_LIMIT_S)  # which ends it
        sys.argv = [script, *wanted]
        runpy.run_module(f"{__package__}.{script}", run_name="__main__", alter_sys=True)
        sys.exit()
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    at = sys.argv.index("--")
    sys.exit(run(sys.argv[1:at], sys.argv[at + 1 :]))
