"""Every way in which a fork gives nothing: what does not come back from a fork is run again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from forking import alike, forked, wait

from trace_mine.tracer.inside.draws.ambient import is_seeded
from trace_mine.tracer.inside.states import fork_points
from trace_mine.tracer.inside.states.fork_pipes import Pipes
from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
from trace_mine.tracer.inside.states.paths import RunsDisagree, explore
from trace_mine.tracer.inside.states.records import Refused, Spent


def root_of(value: Any) -> bool:
    return bool(os.stat("/proc/self").st_ino and value == _root())


def _root() -> int:
    return int(Path("/proc/self/stat").read_text().split()[0])


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("how", ["exit", "killed", "other result", "closed", "raises", "process id", "signal"])
def test_a_fork_that_gives_nothing(how: str) -> None:
    """On one path, in forks only, so that the same path run again has its result."""
    here = _root()

    def run() -> Any:
        first, second = random.randrange(3), random.randrange(2)
        in_fork = _root() != here
        if first == 1 and second == 1:
            if how == "process id":
                return first, second, os.getpid()
            if how == "signal":
                with contextlib.suppress(PermissionError):
                    signal.raise_signal(signal.SIGCHLD)
                    return first, second, in_fork
            if in_fork:
                if how == "exit":
                    os._exit(0)
                if how == "killed":
                    os.kill(_root(), signal.SIGKILL)
                if how == "other result":
                    return object()
                if how == "closed":
                    os.closerange(3, 1 << 16)
                if how == "raises":
                    raise KeyError
        return first, second, here if how == "process id" else False

    found = forked(run)
    assert sorted(path.result[:2] for path in found.paths) == [(i, j) for i in range(3) for j in range(2)]
    assert {path.result[2] for path in found.paths} == {here if how == "process id" else False}
    assert found.unexplored < 1e-9 and 1 <= found.num_forked < 5
    assert all(path.weight == pytest.approx(1 / 6, abs=1e-15) for path in found.paths)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("what", ["answers", "requests"])
def test_nonsense_on_a_pipe_ends_forking_and_nothing_else(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Pipes] = []

    class Known(Pipes):
        def __init__(self, num_slots: int) -> None:
            super().__init__(num_slots)
            made.append(self)

    monkeypatch.setattr(fork_points, "Pipes", Known)

    def run() -> tuple[int, int]:
        seen = random.randrange(3), random.randrange(2)
        if seen == (1, 1) and made:
            ends = made[0]._ends[-1:] if what == "answers" else made[0]._ends[:-1]
            for _, writer in ends:
                with contextlib.suppress(OSError):
                    os.write(writer, b"nonsense" * 20)
        return seen

    found = forked(run, max_seconds=2)
    assert sum(path.weight for path in found.paths) + found.unexplored == pytest.approx(1.0)
    assert {path.result for path in found.paths} <= {(i, j) for i in range(3) for j in range(2)}
    assert all(path.weight == pytest.approx(1 / 6) for path in found.paths)
    for _ in range(1000):  # forks that heard the pipes close
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        wait(0.001)


@pytest.mark.usefixtures("everywhere")
def test_a_forged_answer_of_another_path_is_none() -> None:
    """A fork whose log is not that of the asked prefix is no answer, whatever it weighs."""

    class Lying(ForkPoints):
        def _ask(self, slot: int, prefix: tuple[int, ...], until: float) -> tuple[Any, ...] | None:
            told = super()._ask(slot, prefix, until)
            assert told is not None
            log, sampled, result = told
            if prefix == (1,):
                log = [(kind, probabilities, 0) for kind, probabilities, _ in log]
            if prefix == (2,):
                log = [(kind, (0.9, 0.05, 0.05), taken) for kind, _, taken in log]
            return log, sampled, result

    run = lambda: (random.randrange(3), random.randrange(2))  # noqa: E731
    found = explore(run, forks=Lying(ForkPool(4), int, lambda x: x))
    assert found.paths == explore(run).paths and 0 < found.num_forked < 5


@pytest.mark.usefixtures("everywhere")
def test_a_result_that_is_not_accepted_is_run_again() -> None:
    def accept(told: Any) -> Any:
        raise ValueError("no")

    found = forked(lambda: random.randrange(3), accept=accept)
    assert len(found.paths) == 3 and found.num_forked == 0


@pytest.mark.usefixtures("everywhere")
def test_what_is_learned_in_a_fork_is_learned_here() -> None:
    learned: set[int] = set()

    def run() -> int:
        first = random.randrange(3)
        learned.add(first)
        return first * 10 + random.randrange(2)

    found = forked(run, mark=lambda: len(learned))
    assert learned == {0, 1, 2} and found.paths == explore(run).paths


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("what", ["write", "open", "thread", "timer", "handler"])
def test_what_a_copy_does_not_share_keeps_fork_points_away(what: str, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("abc")
    stop = threading.Event()

    def run() -> tuple[Any, ...]:
        if what == "write":
            place.write_text("new")
        if what == "thread":
            stop.clear()
            thread = threading.Thread(target=stop.wait)
            thread.start()
        if what == "timer":
            signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
        if what == "handler":
            signal.signal(signal.SIGCHLD, lambda *_: None)
        held = place.open()
        if what != "open":
            held.close()
        seen: list[Any] = [random.randrange(2), random.randrange(2)]
        if what == "write":
            place.write_text(place.read_text() + "x")
            seen.append(place.read_text())
        if what == "open":
            seen.append(held.read())
            held.close()
        stop.set()
        if what == "thread":
            thread.join()
        return tuple(seen)

    try:
        assert alike(run).num_forked == 0
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@pytest.mark.usefixtures("everywhere")
def test_files_may_be_read_before_and_written_after(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("abc")

    def run() -> tuple[Any, ...]:
        text = place.read_text()
        seen = random.randrange(2), random.randrange(2)
        (tmp_path / "other").write_text(str(seen))
        return (*seen, text, (tmp_path / "other").read_text())

    assert alike(run).num_forked == 3


@pytest.mark.usefixtures("everywhere")
def test_late_paths_are_mass_that_was_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_points, "LATE", 1.0)
    monkeypatch.setattr(fork_points, "LATE_SECONDS", 0.0)
    here = _root()

    def run() -> int:
        first = random.randrange(4)
        if first == 2 and _root() != here:
            wait(1.0)
        return first

    found = forked(run, max_seconds=0.4)
    assert [path.result for path in found.paths] == [0, 1] and found.unexplored == pytest.approx(0.5)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, 0)  # the fork point, once the late one has ended


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("stop", [KeyError, SystemExit, KeyboardInterrupt, Spent, Refused, RunsDisagree])
def test_what_a_run_raises_ends_it_all_as_without(stop: type[BaseException]) -> None:
    def run() -> int:
        first = random.randrange(3)
        if random.randrange(2) and first == 1:
            raise stop("this one")
        return first

    for follow in (explore, forked):
        with pytest.raises(stop, match="this one"):
            follow(run)


@pytest.mark.usefixtures("everywhere")
def test_a_refused_real_and_an_unstable_run() -> None:
    def refused() -> Any:
        return random.randint(1, 2), __import__("json").dumps(random.random())

    assert not alike(refused).is_lazy
    seen: list[int] = []

    def unstable() -> int:
        seen.append(1)
        return random.randrange(3) if len(seen) < 2 else random.randrange(2)

    with pytest.raises(RunsDisagree):
        explore(unstable)


@pytest.mark.usefixtures("everywhere")
def test_a_program_can_not_fork_while_paths_are_followed() -> None:
    def run() -> tuple[int, str]:
        first = random.randrange(2)
        try:
            return first, str(os.fork())
        except OSError as error:
            return first, str(error)

    refused = "[Errno 1] Operation not permitted"
    assert sorted(path.result for path in forked(run).paths) == [(0, refused), (1, refused)]


@pytest.mark.usefixtures("everywhere")
def test_a_seeded_generator_stays_what_it_is() -> None:
    random.seed(11)
    run = lambda: (random.SystemRandom().randrange(3), random.random(), random.SystemRandom().randrange(2))  # noqa: E731
    found = alike(run)
    assert found.num_forked == 5 and len({path.result[1] for path in found.paths}) == 1
    assert is_seeded(random._inst)  # type: ignore[attr-defined]
    random.seed()
