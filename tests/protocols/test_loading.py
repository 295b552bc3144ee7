"""Codecs are imported once for all workers."""

import subprocess
import sys


def test_a_worker_imports_no_codec_that_its_parent_has_loaded() -> None:
    code = (
        "import sys; from runtime.server import load_codecs; load_codecs(); before = set(sys.modules)\n"
        "from runtime.protocols import CODECS, DIALECTS, client_codec\n"
        "found = [client_codec(name) for name in (*CODECS, *DIALECTS)]\n"
        "print(len(found), *(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ["7"] == ran.stdout.split()
