"""Loading what stays as long as the process."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["staying"]


@contextmanager
def staying() -> Generator[None, None, None]:
    """What is imported in the block stays: the garbage collector looks at it neither now, a tenth of a start, nor in a worker."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
