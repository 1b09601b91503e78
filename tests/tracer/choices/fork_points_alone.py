"""Fork points: the same paths as without them, fewer runs of what stands before the choices, and every way to fail."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tracer.inside import fork_points, program, support
from tracer.inside.draws import Laws
from tracer.inside.fork_pipes import Pipes
from tracer.inside.fork_points import ForkPoints, ForkPool
from tracer.inside.fork_watch import watch
from tracer.inside.patches import install, is_seeded
from tracer.inside.paths import Explored, Unstable, explore

wait = functools.partial(select.select, [], [], [])  # time.sleep waits for nobody while paths are followed
Run = Callable[[], Any]
LAWS = Laws.from_json(
    {
        "inputs": [[["1", 0.25], ["2", 0.75]], [["3", 0.5], ["", 0.5]]],
        "environ": {"MODE": [["fast", 0.5], [None, 0.5]]},
    }
)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    install()
    signal.setitimer(signal.ITIMER_REAL, 0)  # the test runner's own timer would keep fork points away
    yield
    assert not watch.active
    with pytest.raises(ChildProcessError):  # nobody is left, nobody unheard
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every choice is worth a fork point."""
    monkeypatch.setattr(fork_points, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(fork_points, "WORTH", 0.0)


def forked(
    run: Run, forks: int = 6, mark: Run = int, accept: Callable[[Any], Any] = lambda x: x, **budget: Any
) -> Explored:
    return explore(run, forks=ForkPoints(ForkPool(forks), mark, accept), **budget)


def alike(run: Run, forks: int = 6, **budget: Any) -> Explored:
    """With forks as without: the same paths in the same order, to the last bit."""
    plain, found = explore(run, **budget), forked(run, forks, **budget)
    assert (found.paths, found.unexplored, found.num_runs) == (plain.paths, plain.unexplored, plain.num_runs)
    assert found.is_lazy == plain.is_lazy
    return found


def work(seconds: float) -> None:
    until = fork_points.clock() + seconds
    while fork_points.clock() < until:
        sum(range(100))


def program_of(seed: int) -> Run:
    """A random program that draws in every way that there is; its result tells all that it saw."""
    shape = random.Random(seed)

    def some(depth: int) -> list[tuple[Any, ...]]:
        kinds = ["below", "real", "shuffle", "sampled", "clock", "gauss", "input", "environ", "seed", "twice", "round"]
        steps: list[tuple[Any, ...]] = []
        for _ in range(shape.randint(1, 3)):
            kind = shape.choice(kinds)
            branch = some(depth + 1) if depth < 2 and shape.random() < 0.4 else []
            steps.append((kind, shape.random(), shape.randint(2, 3), branch))
        return steps

    def follow(steps: list[tuple[Any, ...]], seen: list[Any]) -> None:
        for kind, p, n, branch in steps:
            if kind == "below":
                seen.append(random.randrange(n))
            elif kind == "real":
                seen.append(random.random() < p)
            elif kind == "shuffle":
                order = list(range(n))
                random.shuffle(order)
                seen.append(order)
            elif kind == "sampled":
                seen.append(math.sin(random.random()))
            elif kind == "clock":
                time.sleep(p)
                seen.append(time.time())
            elif kind == "gauss":
                seen.append(random.gauss(0, 1) > p)
            elif kind == "input":
                seen.append(input())
            elif kind == "environ":
                seen.append(os.environ.get("MODE"))
            elif kind == "seed":
                random.seed(n)
                seen.append(random.random())
                random.seed()
            elif kind == "twice":
                drawn = random.random()
                seen.append((drawn < p, drawn < 0.5, drawn > 0.9))
            else:
                seen.append(round(3 * random.random()))
            if branch and seen[-1]:
                follow(branch, seen)

    steps = some(0)

    def run() -> tuple[Any, ...]:
        seen: list[Any] = []
        follow(steps, seen)
        random.seed(3)
        return (repr(seen), random.random())

    return run


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.usefixtures("everywhere")
def test_random_programs_are_followed_as_without_forks(seed: int) -> None:
    found = alike(program_of(seed), forks=2 + seed % 7, laws=LAWS, seed=seed, max_paths=25, max_seconds=60)
    assert found.num_forked > 0 or len(found.paths) == 1


def test_a_long_way_is_gone_once() -> None:
    def run() -> tuple[int, ...]:
        work(0.1)
        return tuple(random.randrange(2) for _ in range(4))

    started = fork_points.clock()
    found = forked(run, forks=2, max_seconds=60)
    assert (len(found.paths), found.num_forked, found.is_complete) == (16, 15, True)
    assert fork_points.clock() - started < 1.2  # 1.6 s of work without


def test_long_ways_between_choices_are_gone_once_each() -> None:
    def run() -> tuple[bool, ...]:
        seen = []
        for _ in range(3):
            work(0.06)
            seen.append(random.random() < 0.5)
        return tuple(seen)

    started = fork_points.clock()
    found = forked(run, forks=8, max_seconds=60)
    assert (len(found.paths), found.num_forked) == (8, 7)
    assert fork_points.clock() - started < 1.2  # 0.42 s of work for the tree, 1.44 s for its paths


def test_a_short_way_is_gone_again() -> None:
    found = forked(lambda: tuple(random.randrange(2) for _ in range(6)))
    assert (len(found.paths), found.num_forked) == (64, 0)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("forks", [0, 1])
def test_one_process_is_none_to_wait_with(forks: int) -> None:
    assert alike(lambda: tuple(random.randrange(2) for _ in range(3)), forks=forks).num_forked == 0


@pytest.mark.usefixtures("everywhere")
def test_a_budget_of_paths_and_light_siblings() -> None:
    def run() -> tuple[bool, ...]:
        return tuple(random.random() < 0.1 for _ in range(6))

    assert alike(run, max_paths=9).num_forked == 8
    assert alike(run, epsilon=1e-4, max_seconds=60).unexplored > 0


@pytest.mark.usefixtures("everywhere")
def test_a_loop_that_is_left_by_chance() -> None:
    def run() -> int:
        tries = 0
        while random.random() < 0.6:
            tries += 1
        return tries

    alike(run, max_paths=12, max_seconds=60)


# what does not come back from a fork is run again


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
    assert found.is_complete and 1 <= found.num_forked < 5
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
def test_late_paths_are_mass_that_was_not_followed() -> None:
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
@pytest.mark.parametrize("stop", [KeyError, SystemExit, KeyboardInterrupt, support.Spent, support.Refused, Unstable])
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

    with pytest.raises(Unstable):
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


# as supports use it


CODE = """
from random import random, randrange, choice, gauss
import json
def slow(): return sum(range(1000))
class Box:
    def __init__(self, held): self.held = held
"""


def world(forks: int, code: str = CODE, output_limit: int = 1 << 20, seconds: float = 60.0) -> support.World:
    told = {
        "pieces": [],
        "module": None,
        "code": code,
        "single": False,
        "continue_on_error": False,
        "own": [],
        "opens": [],
    }
    namespace = program.fresh_namespace(told)
    return support.World(
        namespace,
        0,
        lambda path: False,
        output_limit=output_limit,
        max_seconds=seconds,
        forks=ForkPool(forks) if forks else None,
    )


SESSIONS = {
    "plain": ["x = [slow(), randrange(3), randrange(2)]", "y = x[1] + choice([1, 2, 3])", "print(x, y)"],
    "text": ["print(randrange(2), randrange(2))", "print('a' if random() < 0.3 else 'b')"],
    "raises": ["x = 1 / randrange(2)", "print(randrange(3), [1, 2][randrange(3)])"],
    "a function": ["def f(k=randrange(3)): return k + randrange(2)", "f.calls = randrange(2)", "print(f(), f.calls)"],
    "a function made on one way": ["g = (lambda: 1) if randrange(2) and randrange(2) else None", "print(g is None)"],
    "objects": ["b = Box(randrange(3)); b.more = [randrange(2)]", "print(b.held, b.more)"],
    "a generator": ["g = (randrange(2) for _ in range(3))", "a = next(g), next(g)", "print(a, next(g))"],
    "sampled": ["s = random() * random()", "print(randrange(2), s > 0.5)"],
    "a builtin": ["h = choice([json.dumps, json.loads, print]); k = randrange(2)", "print(h.__name__, k)"],
}


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", SESSIONS)
def test_worlds_agree(name: str) -> None:
    def laws(one: support.World) -> list[Any]:
        states: list[tuple[support.State, float]] = [(one.start, 1.0)]
        told = []
        for turn, source in enumerate(SESSIONS[name]):
            found: dict[tuple[Any, ...], float] = {}
            after: dict[support.State, float] = {}
            for state, weight in states:
                reach = one.run(source, "single", state, turn)
                assert sum(r.probability for r in reach.results) + reach.unexplored == pytest.approx(1.0)
                for result in reach.results:
                    key = (result.text, result.value, result.raised)
                    found[key] = found.get(key, 0.0) + weight * result.probability
                    after[result.state] = after.get(result.state, 0.0) + weight * result.probability
            told.append((found, sorted(after.values())))
            states = list(after.items())
        return told

    plain, forking = world(0), world(5)
    if name == "sampled":  # its draws depend on the state's bytes, which hold addresses
        assert len(laws(plain)) == len(laws(forking))
    else:
        assert laws(plain) == laws(forking)
    assert plain.num_forked == 0 and (forking.num_forked > 0 or name == "a generator")


@pytest.mark.usefixtures("everywhere")
def test_states_are_the_same_bytes() -> None:
    """In one world, so that addresses are the same: once with forks, once without."""
    one = world(5)
    pool = one._forks
    for source in ("x = [slow(), randrange(3), {randrange(2)}]", "z = Box(randrange(4)), slow, randrange(2)"):
        one._known.clear()
        one._forks = None
        plain = one.run(source, "single", one.start)
        one._known.clear()
        one._forks = pool
        before = one.num_forked
        found = one.run(source, "single", one.start)
        assert one.num_forked > before
        assert [(r.probability, r.state, r.text, r.value, r.raised) for r in found.results] == [
            (r.probability, r.state, r.text, r.value, r.raised) for r in plain.results
        ]


@pytest.mark.usefixtures("everywhere")
def test_output_of_forks_counts() -> None:
    source = "print('x' * 100, randrange(8))"
    for forks in (0, 4):
        with pytest.raises(support.Spent):
            one = world(forks, output_limit=500)
            one.run(source, "single", one.start)
        one = world(forks, output_limit=1000)
        assert len(one.run(source, "single", one.start).results) == 8


@pytest.mark.usefixtures("everywhere")
def test_a_real_that_is_refused_in_a_fork() -> None:
    for forks in (0, 4):
        one = world(forks)
        with pytest.raises(support.Refused):
            one.run("x = json.dumps([random()]) if randrange(3) == 1 and randrange(2) else 0", "single", one.start)
