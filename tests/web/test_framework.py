"""When the web framework is loaded, and what comes with it."""

import os
import subprocess
import sys

import pytest

from runtime.web.framework import application
from runtime.web.routes import Routes
from runtime.web.typed import typed
from tests.web.script import call, front

UNUSED = {"pydantic", "attr", "attrs"}
"""What the framework would also know how to speak."""


def told_by(code: str, **environment: str) -> str:
    """What ``code`` prints in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return ran.stdout


def loaded_by(code: str) -> set[str]:
    """The modules that are there after ``code``."""
    return set(told_by(f"import sys; {code}; print(*sys.modules)").split())


def test_what_a_start_imports_does_not_load_it() -> None:
    """Calls of models need none of it, and it takes a fifth of a start."""
    loaded = loaded_by("import runtime.server")

    assert "runtime.app" in loaded
    assert "litestar" not in loaded


def test_it_loads_no_library_of_models_that_happens_to_be_installed() -> None:
    """They would take nine megabytes of every worker."""
    loaded = loaded_by("from runtime.web.framework import application; application([], None, print)")

    assert "litestar" in loaded
    assert UNUSED & loaded == set()


def test_it_leaves_the_log_of_the_process_alone_and_begins_no_thread() -> None:
    """Its own configuration would put a queue without bounds before the root logger, and tell there what libraries mutter."""
    told = told_by(
        "import logging, threading; from runtime.web.framework import application; application([], None, print);"
        " print(logging.getLogger().level == logging.WARNING, logging.getLogger().handlers, threading.active_count())"
    )

    assert "True [] 1" == told.strip()


def test_the_environment_does_not_make_it_show_tracebacks_or_wait_for_a_debugger() -> None:
    told = told_by(
        "from runtime.web.framework import application; made = application([], None, print);"
        " print(made.debug, made.pdb_on_exception)",
        LITESTAR_DEBUG="1",
        LITESTAR_PDB="1",
    )

    assert "False False" == told.strip()


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("PATCH", 405)])
async def test_all_methods_of_a_path_are_named_in_whatever_order_they_were_registered(method: str, status: int) -> None:
    parts = front()

    @typed(parts, "GET", ["/things"], operation_id="listThings", scope="public")
    async def list_things() -> str:
        return ""

    @typed(parts, "GET", ["/others", "/other"], operation_id="listOthers", scope="public")
    async def list_others() -> str:
        return ""

    @typed(parts, "POST", ["/things", "/other"], operation_id="createThing", scope="public")
    async def create_thing() -> str:
        return ""

    routes = Routes(typed=lambda: [list_things, list_others, create_thing])
    app = application([routes], parts, print)
    answers = [await call(app, method, path) for path in ("/things", "/other", "/others")]

    assert [status] * 3 == [each.status for each in answers]
    assert ["GET, HEAD, OPTIONS, POST", "GET, HEAD, OPTIONS, POST", "GET, HEAD, OPTIONS"] == [
        each.headers["allow"] for each in answers
    ]
