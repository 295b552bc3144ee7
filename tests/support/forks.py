"""Run what was collected in forks of this process: `pytest --forks 4`.

To import and collect all tests takes as long as hundreds of them do, and processes of their own would each do it again. A fork
takes whole files, in their order, so that what is shared in a file is made once; fixtures of the session are each fork's own.
Reports come back whole. A fork that dies fails the test it was at, and another goes on behind that.
"""

from __future__ import annotations

import atexit
import itertools
import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import NoReturn, cast

import pytest

__all__ = ["Forks"]

Span = tuple[int, int]
"""Items of the session: from the one, to before the other."""


class Fork:
    """``span`` is what of its file it has not reported yet."""

    def __init__(self, pid: int, line: Connection, span: Span) -> None:
        self.pid = pid
        self.line = line
        self.span = span

    def fileno(self) -> int:
        return self.line.fileno()


class Forks:
    """The plugin: a loop over tests in place of pytest's own. ``first`` makes what all forks are to share."""

    def __init__(self, count: int, first: Callable[[], object] = int) -> None:
        self._count = count
        self._first = first
        self._running: list[Fork] = []
        self._names = map("fork-{}".format, itertools.count())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.config.option.collectonly or session.testsfailed:
            return None
        terminal = session.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.showfspath = False  # files take turns
        left = deque(_files(session.items))
        self._first()
        try:
            while left or self._running:
                while left and len(self._running) < self._count:
                    self._begin(session, left.popleft())
                for ready in wait([each.line for each in self._running]):
                    self._hear(session, next(each for each in self._running if each.line is ready), left)
        finally:
            for each in self._running:
                each.line.close()
            for each in self._running:
                os.waitpid(each.pid, 0)
        return True

    def _begin(self, session: pytest.Session, span: Span) -> None:
        ours, theirs = Pipe()
        folder = session.config._tmp_path_factory.getbasetemp() / next(self._names)
        pid = os.fork()
        if pid == 0:
            for line in (ours, *(each.line for each in self._running)):
                line.close()
            _work(session, theirs, folder)
        theirs.close()
        ours.send(span)
        self._running.append(Fork(pid, ours, span))

    def _hear(self, session: pytest.Session, fork: Fork, left: deque[Span]) -> None:
        at, end = fork.span
        try:
            said = fork.line.recv()
        except (EOFError, ConnectionResetError):
            self._running.remove(fork)
            fork.line.close()
            code = os.waitstatus_to_exitcode(os.waitpid(fork.pid, 0)[1])
            if code or at < end:
                _fail(session, min(at, end - 1), f"the fork of this test ended with {code}")
            if at + 1 < end:
                left.appendleft((at + 1, end))
            return
        if isinstance(said, str):
            _fail(session, end - 1, said)
            return
        fork.span = (at + 1, end)
        read = session.config.hook.pytest_report_from_serializable
        _tell(session, at, [read(config=session.config, data=each) for each in said])
        if at + 1 == end:
            order = left.popleft() if left else None
            fork.span = order or (end, end)
            fork.line.send(order)


def _files(items: Sequence[pytest.Item]) -> Iterator[Span]:
    at = 0
    for _, group in itertools.groupby(items, lambda item: item.nodeid.partition("::")[0]):
        end = at + len(list(group))
        yield at, end
        at = end


def _tell(session: pytest.Session, at: int, reports: Sequence[pytest.TestReport]) -> None:
    """What happens here after a test, though it ran elsewhere."""
    item = session.items[at]
    hook = session.config.hook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _fail(session: pytest.Session, at: int, why: str) -> None:
    item = session.items[at]
    _tell(session, at, [pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "teardown")])


class _Reports:
    """What a fork has to tell of the test that it is at."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.made: list[object] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.made.append(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))


def _work(session: pytest.Session, line: Connection, folder: Path) -> NoReturn:
    """The life of a fork: files as they are told to it, until there are no more."""
    code = 1
    atexit._clear()  # what is to be done when the parent ends
    try:
        try:
            _take_files(session, line, folder)
        finally:
            session._setupstate.teardown_exact(None)
            session.config._ensure_unconfigure()
        code = 0
    except (BrokenPipeError, EOFError, KeyboardInterrupt):
        """The parent has stopped."""
    except BaseException:  # noqa: BLE001 — it is told to the parent, which fails
        line.send(traceback.format_exc())
        code = 0
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def _take_files(session: pytest.Session, line: Connection, folder: Path) -> None:
    config = session.config
    folder.mkdir()
    config._tmp_path_factory._basetemp = folder
    config.pluginmanager.unregister(name="terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()  # its files are the parent's
    capture.start_global_capturing()
    capture.suspend_global_capture()
    reports = _Reports(config)
    config.pluginmanager.register(reports)
    while (span := line.recv()) is not None:
        for at in range(*span):
            # With the session in place of a next test, all that is not the session's ends with the file.
            following = session.items[at + 1] if at + 1 < span[1] else cast("pytest.Item", session)
            config.hook.pytest_runtest_protocol(item=session.items[at], nextitem=following)
            line.send(reports.made)
            reports.made.clear()
