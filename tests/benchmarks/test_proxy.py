"""The harness of the benchmarks says what happened: its statistics, its load generator and its provider are right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from benchmarks import gateways
from benchmarks.flame import BESIDE, DATABASE, owners, shares
from benchmarks.instructions import compared, totals
from benchmarks.measure import environment
from benchmarks.proxy.contenders import contenders, gatewright
from benchmarks.proxy.guard import compare, read_ratios
from benchmarks.proxy.inside import COUNTED
from benchmarks.proxy.interpreter import described, prepared
from benchmarks.proxy.machine import CpuClock, descendants, forget_peaks, spent_s, worker_bytes
from benchmarks.proxy.page import Fresh, Machine, page
from benchmarks.proxy.part import held_to
from benchmarks.proxy.scenarios import QUICK, SCENARIOS, Scenario, request_body
from benchmarks.proxy.series import Measured, Series, ratios, rounds, spread, summary
from benchmarks.proxy.serving import Serving
from benchmarks.proxy.tools import Percentiles, Shot, fire, have_compiler, http_request, provider, tools
from benchmarks.server import ALONE, OPTIONS
from benchmarks.server import page as server_page
from benchmarks.workers import Shared, evenness
from benchmarks.workers import page as workers_page

compiled = pytest.mark.skipif(not have_compiler(), reason="the load generator is compiled where it runs")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tools(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def port(programs: tuple[Path, Path]) -> Generator[int, None, None]:
    with provider(programs[1]) as port:
        yield port


def nothing() -> Percentiles:
    return Percentiles(count=0, p50=0, p99=0, p999=0, max=0)


def measured(cpu_ms: float, longest_us: int = 0) -> Measured:
    shot = Shot(requests=1, complete=1, incomplete=0, lost=0, wall_s=1.0, body_bytes=1,
                latency_us=nothing(), first_us=nothing(), delay_us=msgspec.structs.replace(nothing(), max=longest_us),
                statuses={"200": 1})  # fmt: skip
    return Measured(cpu_ms=cpu_ms, resident_mb=50, worker_mb=130, shot=shot)


def test_a_spread_is_the_median_and_the_ends() -> None:
    assert spread([5, 1, 2]).text(1) == "2.0 [1.0–5.0]"


def test_ratios_are_taken_within_a_round() -> None:
    series: Series = {("s", "ours"): [measured(2), measured(9)], ("s", "nginx"): [measured(1), measured(3)]}

    assert ratios(series, ("s", "ours"), ("s", "nginx")) == [2, 3]
    assert summary(series, [Scenario(name="s")], "ours") == {"s": {"nginx": 2.5}}


def test_our_own_scenarios_are_compared_with_our_own_plain_call() -> None:
    plain, other = Scenario(name="chat 1 KB"), Scenario(name="other")
    series: Series = {("chat 1 KB", "ours"): [measured(2), measured(4)], ("other", "ours"): [measured(3), measured(2)]}

    assert summary(series, [plain, other], "ours") == {"chat 1 KB": {}, "other": {"own": 1.0}}


def test_every_quick_scenario_is_compared_with_something_and_that_is_recorded() -> None:
    chosen, (found, _) = [each for each in SCENARIOS if each.name in QUICK], contenders(peers=False)
    series: Series = {
        (scenario.name, each.name): [measured(1)] for scenario in chosen for each in found if each.takes(scenario)
    }

    lines, _ = compare(summary(series, chosen, "gatewright"), read_ratios())

    named = {line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")} - {"scenario"}
    assert named == set(QUICK)
    assert not [line for line in lines if line.endswith("| new |")]


@pytest.mark.parametrize("part", [["--quick"], ["--no-peers"], ["--only", "chat"], ["--other", "before=../before"]])
def test_a_part_of_a_run_is_not_kept(monkeypatch: pytest.MonkeyPatch, part: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gateways", "--write", *part])

    with pytest.raises(SystemExit, match="2"):
        gateways.main()


def test_the_environment_names_no_commit_where_there_is_no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert "; commit " not in environment()


def test_threads_that_ended_and_threads_that_came_count() -> None:
    assert spent_s({1: 5_000_000_000, 2: 7}, {1: 6_000_000_000, 2: 7, 3: 500_000_000}) == 1.5


def test_a_scenario_is_worse_only_where_both_measures_say_so() -> None:
    recorded = {"a": {"nginx": 4.0, "floor": 1.0}, "b": {"nginx": 4.0, "floor": 1.0}}

    lines, worse = compare({"a": {"nginx": 8.0, "floor": 1.1}, "b": {"nginx": 8.0, "floor": 2.0}}, recorded)

    assert worse == ["b"]
    assert "| a | nginx | 8.00 | 4.0 | 2.00 |" in lines
    assert lines[-1] == "WORSE: b"


def test_what_was_never_recorded_is_new_and_not_worse() -> None:
    lines, worse = compare({"a": {"nginx": 8.0}}, {})

    assert worse == []
    assert "| a | nginx | 8.00 | – | new |" in lines


def test_the_page_says_what_was_asked_and_what_was_found() -> None:
    scenario = next(each for each in SCENARIOS if each.name == "chat 1 KB")
    series: Series = {
        (scenario.name, "ours"): [measured(0.1), measured(0.3)],
        (scenario.name, "nginx"): [measured(0.05), measured(0.05)],
    }
    machine = Machine(environment="here", command="so", rounds=2, missing=(), failures={}, versions={"nginx": "1"},
                      start_s={"ours": 0.5, "nginx": 0.01})  # fmt: skip

    text = page(series, [scenario], machine, "ours")

    assert "| chat 1 KB | 0.200 [0.100–0.300] | ≤ 0.2 | 4.0 [2.0–6.0] | ≤ 6 | – | ≥ 80 | yes · yes |" in text


def test_what_only_the_best_round_meets_is_said_to_be_met_at_best() -> None:
    scenario = next(each for each in SCENARIOS if each.name == "refused key")
    series: Series = {
        (scenario.name, "ours"): [measured(0.05), measured(0.08), measured(0.09)],
        (scenario.name, "nginx"): [measured(0.001)] * 3,
        (scenario.name, "LiteLLM"): [measured(5)] * 3,
    }
    machine = Machine(environment="here", command="so", rounds=3, missing=(), versions={}, start_s={"ours": 0.5},
                      failures={("refused key", "floor"): "floor, refused key: 0 of 8\nwere answered well"})  # fmt: skip

    text = page(series, [scenario], machine, "ours")

    assert "| ≥ 60 | at best · no · yes |" in text
    assert "* floor: refused key. 0 of 8 were answered well" in text


def test_the_page_says_what_crowds_and_the_start_are_held_to() -> None:
    scenario = next(each for each in SCENARIOS if each.name == "500 streams, 10 ms apart")
    series: Series = {
        (scenario.name, "ours"): [measured(1, 300_000), measured(1, 290_000)],
        (scenario.name, "nginx"): [measured(1, 60_000), measured(1, 50_000)],
    }
    fresh = Fresh(start_s=(0.4, 0.5, 0.6), worker_mb={scenario.name: (130, 130)})
    machine = Machine(environment="here", command="so", rounds=2, missing=(), failures={}, versions={}, fresh=fresh,
                      start_s={"ours": 0.5, "nginx": 0.01})  # fmt: skip

    text = page(series, [scenario], machine, "ours")

    assert f"| {scenario.name}: MB of a worker that was just started (RSS) | 130 [130–130] | ≤ 120 | no |" in text
    assert f"| {scenario.name}: longest delay of a piece beyond nginx's, ms | 240 [240–240] | ≤ 250 | yes |" in text
    assert "| start to first answer, s | 0.50 [0.40–0.60] | ≤ 1 | yes |" in text


def test_crowds_have_fewer_rounds_and_only_the_first_round_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []

    def measure_one(_: Path, serving: Serving, scenario: Scenario, scale: float, *, warm: bool) -> Measured:
        seen.append((scenario.name, warm))
        return measured(scale)

    monkeypatch.setattr("benchmarks.proxy.series.measure", measure_one)
    serving = Serving(contender=gatewright(), port=1, pid=1, provider_port=1, start_s=0)
    chosen = [Scenario(name="one"), Scenario(name="many", crowd=True)]

    series, failures = rounds(Path("load"), [serving], chosen, 5, 0.5, lambda _: None)

    assert {} == failures
    assert {("one", "gatewright"): 5, ("many", "gatewright"): 3} == {each: len(found) for each, found in series.items()}
    assert [warm for name, warm in seen if name == "one"] == [False, True, True, True, True]


def test_the_page_of_workers_says_what_the_second_brings() -> None:
    def shared(per_s: float, cpu_ms: float) -> Shared:
        return Shared(per_s=per_s, cpu_ms=cpu_ms, cores=1, beside=0.2, evenness=1)

    found = {("s", 1): [shared(100, 1), shared(100, 1)], ("s", 2): [shared(180, 1.1), shared(200, 1.1)]}

    text = workers_page(found, 2, 0.4)

    assert "| s | 1.90 [1.80–2.00] | 1.10 [1.10–1.10] |" in text
    assert "each held to 0.4 of a core" in text
    assert "none of them held" in workers_page(found, 2, None)


def test_who_may_not_ask_the_kernel_holds_nothing(tmp_path: Path) -> None:
    with held_to(0.5, [os.getpid()], [tmp_path / "none", tmp_path]) as held:
        assert not held
    assert not list(tmp_path.iterdir())


def test_options_of_the_server_are_compared_within_a_round() -> None:
    name = "chat 1 KB"
    found = {(name, each): [measured(cpu_ms=ms * (1 + nth)) for ms in (1.0, 3.0)] for nth, each in enumerate(OPTIONS)}
    lines = server_page(found | {(name, ALONE): [measured(cpu_ms=0.05)]}, 2).splitlines()

    assert "| as it is served | 2.000 [1.000–3.000] |" in lines
    assert "| multi-threaded runtime | 2.00 [2.00–2.00] |" in lines
    assert any("answers what was prepared, takes 0.050" in line for line in lines)
    assert len(OPTIONS) == sum(line.startswith("| ") for line in lines) - 1


def test_evenness_is_what_the_laziest_worker_did_of_its_fair_share() -> None:
    assert (1.0, 0.5) == (evenness([2, 2, 0.1], 2), evenness([3, 1], 2))


def test_another_interpreter_sees_the_packages_and_says_how_it_was_built(tmp_path: Path) -> None:
    packages = Path(pytest.__file__).parents[1]

    python = prepared(sys.executable, packages, tmp_path)

    found = subprocess.run(
        [python, "-c", "import pytest; print(pytest.__file__)"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == pytest.__file__
    assert described(python).startswith(sys.version.split()[0])
    assert "ms a loop" in described(python)


def test_names_of_scenarios_are_told_apart_and_the_quick_ones_exist() -> None:
    names = [each.name for each in SCENARIOS]

    assert len(set(names)) == len(names)
    assert set(QUICK) | set(COUNTED) <= set(names)


def test_a_prompt_has_the_size_it_says() -> None:
    body = request_body(Scenario(name="s", prompt_bytes=100_000), "m")

    assert 100_000 < len(body) < 100_400


def test_the_tree_of_a_process_holds_its_children_and_their_time() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as process:
        try:
            clock = CpuClock(process.pid)
            while clock.read_s() < 0.2:
                pass
            assert len(descendants(process.pid)) == 2
        finally:
            os.killpg(process.pid, 9)


def test_the_most_that_a_worker_held_is_forgotten_when_asked() -> None:
    held = "held = bytearray(40 << 20); held = None"
    worker = f"import sys; {held}; print(flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        now, most = worker_bytes(process.pid), worker_bytes(process.pid, "VmHWM")
        forget_peaks(process.pid)
        after = worker_bytes(process.pid, "VmHWM")
        process.communicate()

    assert most - now > 30 << 20
    assert abs(after - now) < 4 << 20


@compiled
def test_whole_answers_are_counted_and_timed(programs: tuple[Path, Path], port: int) -> None:
    request = http_request(port, "/v1/chat/completions", {}, b'{"model": "json-2000"}')

    shot = fire(programs[0], port, 4, 100, request, '"usage"')

    assert (shot.complete, shot.incomplete, shot.lost, shot.statuses) == (100, 0, 0, {"200": 100})
    assert shot.body_bytes > 200_000
    assert shot.latency_us.count == shot.first_us.count == 100
    assert 0 < shot.latency_us.p50 <= shot.latency_us.p99 <= shot.latency_us.max


@compiled
@pytest.mark.parametrize(
    ("path", "last"), [("/v1/chat/completions", "[DONE]"), ("/v1/messages", "message_stop")], ids=["chat", "messages"]
)
def test_every_piece_of_a_stream_carries_its_time(programs: tuple[Path, Path], port: int, path: str, last: str) -> None:
    request = http_request(port, path, {}, b'{"model":"stream-50-2"}')

    shot = fire(programs[0], port, 3, 6, request, last)

    assert (shot.complete, shot.delay_us.count) == (6, 300)
    assert shot.latency_us.p50 >= 100_000


@compiled
def test_an_answer_without_its_end_is_incomplete(programs: tuple[Path, Path], port: int) -> None:
    request = http_request(port, "/v1/chat/completions", {}, b'{"model":"stream-3-0"}')

    shot = fire(programs[0], port, 1, 2, request, "message_stop")

    assert (shot.complete, shot.incomplete) == (0, 2)


@compiled
def test_a_request_in_chunks_is_understood(programs: tuple[Path, Path], port: int) -> None:
    body = b'b\r\n{"model":"js\r\n8\r\non-100"}\r\n0\r\n\r\n'
    request = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + body

    shot = fire(programs[0], port, 1, 3, request, '"usage"')

    assert shot.complete == 3


@compiled
def test_vectors_are_as_many_and_as_long_as_asked(programs: tuple[Path, Path], port: int) -> None:
    request = http_request(port, "/v1/embeddings", {}, b'{"model":"embed-2x3"}')

    shot = fire(programs[0], port, 1, 1, request, '"index":1')

    assert shot.complete == 1


def test_instructions_are_read_by_the_name_of_their_dump() -> None:
    dump = "version: 1\ndesc: Trigger: Client Request: decode an event\nevents: Ir\n\nsummary: 1200\n\ntotals: 1234\n"

    assert totals({"a": dump, "b": "desc: Trigger: Program termination\ntotals: 9\n"}) == {"decode an event": 1200}


def test_a_twentieth_more_instructions_is_worse() -> None:
    lines, worse = compared({"a": 106, "b": 104, "c": 1}, {"a": 100, "b": 100})

    assert worse == ["a"]
    assert "| c | 1 | – | new |" in lines


def test_a_sample_counts_for_the_innermost_part_of_ours() -> None:
    main = "thread (7): MainThread;serve (runtime/server.py:1);main (granian/server/mp.py:1)"
    within = f"{main};call (runtime/web/exchange.py:2);feed (runtime/protocols/x.py:3);find (re.py:4)"
    callback = f"{main};run (uvloop/loop.pyx:5)"
    greenlet = "thread (7): MainThread;_whole (runtime/stores/connection.py:1);begin (sqlalchemy/engine/base.py:2)"
    elsewhere = "thread (8): Thread-2 (_worker);run (runtime/stores/connection.py:1)"

    found = shares([f"{within} 4", f"{callback} 1", f"{greenlet} 3", f"{elsewhere} 50"])

    assert found == {
        "codecs: reading, splicing, translating": 0.5,
        "the database: journal, prices": 0.375,
        "the loop between our callbacks: sockets, epoll": 0.125,
    }


def test_threads_that_python_started_are_told_from_granians() -> None:
    dump = """\
Process 7: python -m runtime.cli serve

Thread 7 (active+gil): "MainThread"
    main (granian/server/mp.py:1)
Thread 8 (idle): "sqlite_0"
    _worker (concurrent/futures/thread.py:81)
    run (threading.py:982)
Thread 9 (idle): "uvloop_0"
    _worker (concurrent/futures/thread.py:81)
Thread 10 (idle)
"""

    assert {8: DATABASE, 9: BESIDE} == owners(dump)
