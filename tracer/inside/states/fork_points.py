"""Fork points: processes that wait at a choice, so that what stands before it is run once and not for each path.

A run that has worked for longer than a fork costs, several times over, leaves a copy of itself where it meets its next
choice. A later path that goes through that choice is continued from there: the copy forks once more, and what it forked
goes on with the path's outcomes, tells the root what it met and found, and ends. The root (the process that explores)
chooses paths one after the other, as it does without; one path is run at a time.

What comes back is what the run would have given here, or nothing: where a fork raises, dies, answers what is no answer,
asks which process it is or learns what the root must know too (``mark``), the path is run again in the root. No fork
point is left after files were written or threads started. So forks save time and decide nothing.

Not covered: handlers of ``os.register_at_fork`` run in forks; a process id asked for through a name bound before, or a
signal to itself, are those of the fork. A run that leaves things behind in its process (a cache) leaves them in a fork.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.deciders import Choice, Guided
from trace_mine.tracer.inside.states.fork_pipes import Broken, Late, Pipes
from trace_mine.tracer.inside.states.fork_watch import answer_for, closed_descriptors, install_watch, is_alone, watch

LEAST_SECONDS = 0.005
"""Work before a choice that is worth a fork point, at the least."""
WORTH = 2.0
"""The same, in forks of this process: a fork point costs one, and one more for each path."""
MEASURED = 5
NEVER = float("inf")

clock = time.perf_counter  # bound, as all below, before a program can replace it
_fork, _wait, _exit, _getpid = os.fork, os.waitpid, os._exit, os.getpid

Outcomes = tuple[int, ...]
Waiting = Iterable[tuple[float, int, Outcomes, list[Choice]]]


class ForkPool:
    """What all explorations of one job share: how many processes there may be, their pipes, what a fork costs."""

    def __init__(self, forks: int) -> None:
        self.num_slots = max(0, forks - 1)  # the process that runs a path is one of them
        self.owner = _getpid()
        self.least_seconds = LEAST_SECONDS
        self.is_measured = False
        self.num_forked = 0
        self.broken = self.num_slots == 0
        self.closed: frozenset[int] = frozenset()
        self._pipes: Pipes | None = None
        if not self.broken:
            install_watch()
            self.closed = closed_descriptors()

    @property
    def pipes(self) -> Pipes:
        """Made when the first fork point is about to be left."""
        if self._pipes is None:
            self._pipes = Pipes(self.num_slots)
            self.closed -= self._pipes.descriptors  # and nothing else: the program may hold files by now
        return self._pipes

    def measure(self) -> None:
        """How long work must have taken to be worth a fork point; a process that can't fork at all leaves none."""
        self.is_measured = True
        times = []
        for _ in range(MEASURED):
            started = clock()
            pid = fork()
            if pid == 0:
                _exit(0)
            if pid < 0:
                self.give_up()
                return
            _wait(pid, 0)
            times.append(clock() - started)
        self.least_seconds = max(LEAST_SECONDS, WORTH * min(times))

    def give_up(self) -> None:
        """No more forks in this job; what waits hears that its pipe is closed, and ends."""
        self.broken = True
        if self._pipes is not None:
            self._pipes.close()


def fork() -> int:
    """``os.fork`` with nobody deciding over what its handlers draw; -1 where it is refused or there are too many."""
    before, draws.current = draws.current, None
    watch.ours = True
    try:
        return _fork()
    except OSError:
        return -1
    finally:
        watch.ours = False
        draws.current = before


@dataclass(frozen=True, slots=True)
class Point:
    """A fork that waits at the choice after ``outcomes``; ``pid`` where it is the root's own child."""

    outcomes: Outcomes
    mark: object
    pid: int | None


@dataclass(frozen=True, slots=True)
class Followed:
    """What a fork told of a path."""

    log: list[Choice]
    sampled: bool
    result: Any


class ForkPoints:
    """Those of one exploration.

    ``mark`` gives what a run may change in this process that the root has to know; ``accept`` makes a path's result of
    the plain data that came from a fork (and raises ValueError where it is none).
    """

    def __init__(self, pool: ForkPool, mark: Callable[[], object], accept: Callable[[Any], Any]) -> None:
        self._pool = pool
        self._mark = mark
        self._accept = accept
        self._points: dict[int, Point] = {}
        self._waiting: Waiting = ()
        self._number = 0
        self._serves: int | None = None
        self._offered: list[int] = []
        self._known: object = None
        self._due = NEVER
        self._since = 0.0
        self.num_forked = 0

    # in the root

    def begin(self, decider: Guided, waiting: Waiting) -> None:
        """A path is about to be run here; it may leave fork points for those that are waiting."""
        if self._pool.broken or _getpid() != self._pool.owner:
            return
        self._waiting = waiting
        self._known = self._mark()
        self._start(decider)

    def follow(self, prefix: Outcomes, before: list[Choice], waiting: Waiting, until: float) -> Followed | None:
        """A path from the deepest fork point on its way; None: run it here.

        Raises:
            Late: it did not come to its end in time. And what ``accept`` raises, but for ValueError.
        """
        if not self._points or self._pool.broken or _getpid() != self._pool.owner:
            return None
        mark = self._mark()
        for slot in [slot for slot, point in self._points.items() if point.mark != mark]:
            self._dismiss(slot)
        deepest = self._deepest(prefix)
        if deepest is None:
            return None
        self._number += 1
        self._waiting = waiting
        try:
            told = self._ask(deepest, prefix, until)
        except Late:
            self._give_up()
            raise
        except Broken:
            self._give_up()
            return None
        found = None if told is None else self._checked(told, prefix, before)
        if found is not None:
            self.num_forked += 1
            self._pool.num_forked += 1
        return found

    def close(self) -> None:
        """Ends all that wait."""
        watch.active = False
        if _getpid() == self._pool.owner:
            for slot in list(self._points):
                self._dismiss(slot)

    def _ask(self, slot: int, prefix: Outcomes, until: float) -> tuple[Any, ...] | None:
        pipes, mark = self._pool.pipes, self._points[slot].mark
        pipes.request(slot, ("path", self._number, prefix, self._free_slots(prefix)))
        told: tuple[Any, ...] | None = None
        while True:
            kind, number, *rest = pipes.answered(until)
            if number != self._number:
                raise Broken(f"expected an answer to request {self._number}, got one to {number}")
            if kind == "left":
                self._points[rest[0]] = Point(rest[1], mark, None)
            elif kind == "told":
                told = tuple(rest)
            else:  # "gone": it has ended, so that its process no longer counts
                return told

    def _checked(self, told: tuple[Any, ...], prefix: Outcomes, before: list[Choice]) -> Followed | None:
        log, sampled, result = told
        choices = [Choice(kind, tuple, probabilities, taken) for kind, probabilities, taken in log]
        if tuple(choice.taken for choice in choices[: len(prefix)]) != prefix:
            return None
        for old, new in zip(before[: len(prefix)], choices, strict=False):
            if old.kind != new.kind or old.probabilities != new.probabilities:
                return None
        try:
            return Followed(choices, sampled, self._accept(result))
        except ValueError:
            return None

    def _deepest(self, prefix: Outcomes) -> int | None:
        """Where the path leaves the most behind it: its outcome at the choice is still to be forced."""
        fitting = [
            (len(point.outcomes), slot)
            for slot, point in self._points.items()
            if len(point.outcomes) < len(prefix) and prefix[: len(point.outcomes)] == point.outcomes
        ]
        return max(fitting)[1] if fitting else None

    def _free_slots(self, running: Outcomes) -> list[int]:
        """Slots for new fork points; where there are none, those that no waiting path would be continued from, nor any
        that the running one may add.
        """
        free = [slot for slot in range(self._pool.num_slots) if slot not in self._points]
        if free:
            return free
        useful = {self._deepest(item[2]) for item in self._waiting}
        useful |= {slot for slot, point in self._points.items() if running[: len(point.outcomes)] == point.outcomes}
        for slot in [slot for slot in self._points if slot not in useful]:
            self._dismiss(slot)
            free.append(slot)
        return [] if self._pool.broken else free

    def _dismiss(self, slot: int) -> None:
        point = self._points.pop(slot)
        if self._pool.broken:
            return
        try:
            self._pool.pipes.request(slot, ("end", 0, (), []))
            while self._pool.pipes.answered(clock() + 1.0)[0] != "end":
                continue
            if point.pid is not None:
                _wait(point.pid, 0)
        except (Broken, Late, ChildProcessError):
            self._give_up()

    def _give_up(self) -> None:
        self._points.clear()
        self._pool.give_up()

    # where a path is run, in the root or in a fork

    def _start(self, decider: Guided) -> None:
        watch.active, watch.touched, watch.asked = True, False, False
        self._since = clock()
        self._due = self._since + self._pool.least_seconds
        decider.before_choice = self._met

    def _met(self, decider: Guided) -> None:
        """The run is about to make a choice: leaves a fork point where that is worth it."""
        now = clock()
        if now < self._due:
            return
        if self._pool.broken or watch.touched or not is_alone():
            self._due = NEVER
            return
        if not self._pool.is_measured:
            self._pool.measure()
            self._due = self._since + self._pool.least_seconds
            if now < self._due:
                return
        self._due = now + self._pool.least_seconds
        if not self._is_wanted(decider) or self._mark() != self._known:
            return
        if self._serves is None:
            self._offered = self._free_slots(decider.outcomes)
        if not self._offered or self._pool.broken:
            return
        pipes = self._pool.pipes
        if closed_descriptors() != self._pool.closed:
            return  # a file that is open would be one file to all
        self._leave(decider, pipes, self._offered.pop(0))

    def _is_wanted(self, decider: Guided) -> bool:
        """True if other paths go through the choice: always where this one meets it first."""
        passed = decider.outcomes
        if len(passed) >= len(decider.prefix):
            return True
        return any(len(item[2]) > len(passed) and item[2][: len(passed)] == passed for item in self._waiting)

    def _leave(self, decider: Guided, pipes: Pipes, slot: int) -> None:
        outcomes, ambient = decider.outcomes, Ambient.now()
        pid = fork()
        if pid == 0:
            ambient.put_back()  # the standard library seeds the global generator in every fork
            self._wait_at(decider, pipes, slot, ambient)
            return
        if pid > 0:
            if self._serves is None:
                self._points[slot] = Point(outcomes, self._known, pid)
            else:
                pipes.answer(("left", self._serves, slot, outcomes))
        self._since = clock()
        self._due = self._since + self._pool.least_seconds

    # in forks

    def _wait_at(self, decider: Guided, pipes: Pipes, slot: int, ambient: Ambient) -> None:
        """The fork point: comes back only in the forks that go on with a path."""
        try:
            if self._serves is None:
                pipes.keep_forks_ends()
            self._pool.closed = closed_descriptors()
            while True:
                kind, number, prefix, offered = pipes.requested(slot)
                if kind == "end":
                    pipes.answer(("end", number))
                    _exit(0)
                pid = fork()
                if pid == 0:
                    break
                if pid > 0:
                    _wait(pid, 0)
                pipes.answer(("gone", number))
        except BaseException:
            _exit(1)
        ambient.put_back()
        self._serves, self._offered, self._waiting, self._points = number, offered, (), {}
        decider.prefix = prefix
        answer_for(self._pool.owner)
        self._start(decider)

    def ended(self, decider: Guided, result: Any) -> None:
        """A path came to its end; in a fork: tells the root, and ends the process."""
        if self._serves is not None:
            self._tell(decider, result)

    def _tell(self, decider: Guided, result: Any) -> NoReturn:
        try:
            if not watch.asked and self._mark() == self._known:
                log = [(choice.kind, choice.probabilities, choice.taken) for choice in decider.log]
                self._pool.pipes.answer(("told", self._serves, log, bool(decider.sampled), result))
        finally:
            _exit(0)

    def abandoned(self) -> None:
        """A path ended in what its caller must see; in a fork: ends the process, and the root runs it again."""
        if self._serves is not None:
            _exit(1)
