"""Orders reach the process that keeps the workers, whichever of its threads gets them."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import pytest

from runtime.supervisor import Wake


@pytest.fixture
def waked() -> Wake:
    return Wake()


def test_a_signal_that_another_thread_gets_wakes_who_waits(waked: Wake) -> None:
    """Of two that come together one often is; a wait that only its own thread's signals interrupt sleeps on."""

    awake, found = threading.Event(), list[bool]()

    def get_signal() -> None:
        time.sleep(0.3)  # until the other one waits
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
        found.append(awake.wait(10))

    def wake(_: int, __: FrameType | None) -> None:
        waked.set()

    before = signal.signal(signal.SIGUSR2, wake)
    thread = threading.Thread(target=get_signal)
    thread.start()
    try:
        assert waked.wait(20)
        awake.set()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR2, before)
    assert [True] == found


def test_it_is_set_until_it_is_cleared(waked: Wake) -> None:
    assert not waked.wait(0)
    waked.set()
    waked.set()
    assert [True, True] == [waked.wait(0), waked.wait()]
    waked.clear()
    assert not waked.wait(0.01), "what woke it before does so no more"
