"""Python imports this by itself in a process whose PYTHONPATH leads here: the time of day there is what a test says it is.

A file of eight bytes, which GATEWRIGHT_TEST_CLOCK names, holds by how many seconds it is off; it may change at any time. The clock
that nobody sets goes on as it does.
"""

import mmap
import os
import struct
import time

if path := os.environ.get("GATEWRIGHT_TEST_CLOCK"):
    with open(path, "r+b") as file:  # noqa: PTH123 — nothing may be imported for this that is not needed
        off = mmap.mmap(file.fileno(), 8)
    real = time.time
    time.time = lambda: real() + float(struct.unpack_from("d", off)[0])
