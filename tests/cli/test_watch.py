"""`serve --watch`: exactly one server, replaced only by a newer build that stands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.cli.watch import follow, snapshot


class Recorded:
    """A server that notes what happens to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log, self.alive = name, log, True
        log.append(f"start {name}")

    def running(self) -> bool:
        return self.alive

    def stop(self) -> None:
        self.alive = False
        self.log.append(f"stop {self.name}")


class Stage:
    """Plays a list of states of the files; a state that ends in `!` does not build."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.now = 0
        self.log: list[str] = []
        self.servers: list[Recorded] = []

    def look(self) -> str:
        return self.states[self.now]

    def build(self) -> bool:
        self.log.append(f"build {self.look()}")
        return not self.look().endswith("!")

    def start(self) -> Recorded:
        self.servers.append(Recorded(self.look(), self.log))
        return self.servers[-1]

    def pause(self) -> bool:
        self.now += 1
        return self.now < len(self.states)

    def play(self, pause: Callable[[], bool] | None = None) -> list[str]:
        assert 0 == follow(self.look, self.build, self.start, pause or self.pause)
        return self.log


def test_a_change_builds_and_only_then_replaces_the_server() -> None:
    log = Stage("a", "a", "b").play()

    assert ["build a", "start a", "build b", "stop a", "start b", "stop b"] == log


def test_a_failed_build_leaves_the_old_server_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    log = Stage("a", "b!", "b!", "c").play()

    assert ["build a", "start a", "build b!", "build c", "stop a", "start c", "stop c"] == log
    assert "the last good build goes on" in capsys.readouterr().err


def test_a_first_build_that_fails_waits_for_a_change() -> None:
    assert ["build a!", "build b", "start b", "stop b"] == Stage("a!", "a!", "b").play()


def test_a_server_that_ended_is_started_again_after_the_next_change() -> None:
    stage = Stage("a", "a", "a", "b")

    def pause() -> bool:
        if stage.now == 0:
            stage.servers[0].alive = False
        return stage.pause()

    assert ["build a", "start a", "build b", "start b", "stop b"] == stage.play(pause)


def test_an_interrupt_stops_the_server() -> None:
    stage = Stage("a")

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.play(interrupted)
    assert ["build a", "start a", "stop a"] == stage.log


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    (tmp_path / "schemas/config").mkdir(parents=True)
    (tmp_path / "gateway.d").mkdir()
    for name in ("gateway.yaml", "gateway.d/a.yaml", "schemas/config/server.yaml", "notes.txt"):
        (tmp_path / name).write_text("version: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["gateway.yaml", "gateway.d/a.yaml", "gateway.d/new.yaml", "schemas/config/server.yaml"]
)
def test_every_file_that_a_build_reads_is_watched(watched: Path, name: str) -> None:
    before = snapshot(watched)
    (watched / name).write_text("version: 1\n# changed\n")

    assert before != snapshot(watched)


def test_other_files_are_not_watched(watched: Path) -> None:
    before = snapshot(watched)
    (watched / "notes.txt").write_text("other")

    assert before == snapshot(watched)
