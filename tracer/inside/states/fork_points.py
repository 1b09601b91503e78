"""Fork points: processes that wait at a choice, so that what stands before it is run once and not for each path.

The *root* is the process that explores. A run that has worked for several times as long as a fork costs leaves a copy
of itself, a *fork point*, where it meets its next choice. A later path that goes through that choice is continued from
there: the fork point forks once more, and this second fork goes on with the path's outcomes, sends the choices that it
met and its result to the root, and ends. The root chooses paths one after the other, as it does without forks; one path
is run at a time.

    root        runs a path ──fork──► goes on, chooses the next path, asks ─────────► reads the answer
    fork point                └─────► waits ──────────────────────────────► forks ──► waits for the next request
    fork                                                                      └─────► goes on, answers, ends

An answer is what the run would have given in the root, or there is none: where a fork raises, dies, sends something
else, asks which process it is, or learns something that the root must know too (``mark``), the path is run again in the
root. No fork point is left after files were written or threads started. So forks save time and decide nothing
(docs/decisions/0007-forks-on-request.md).

Not covered: handlers of ``os.register_at_fork`` run in forks; a process id asked for through a name bound before, or a
signal to itself, are those of the fork. A run that leaves things behind in its process (a cache) leaves them in a fork.

Over 400 lines because the root's and the forks' part of one conversation are read side by side.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.deciders import DrawnChoice, Guided
from trace_mine.tracer.inside.states.budget import count_forked, process_seconds, spent_seconds
from trace_mine.tracer.inside.states.fork_pipes import Broken, Late, Pipes
from trace_mine.tracer.inside.states.fork_watch import answer_for, closed_descriptors, install_watch, is_alone, watch

LEAST_SECONDS = 0.005
"""The work before a choice that is worth a fork point, at the least: small programs give 10,000 paths a second by being
run again, and 300 by forks."""
WORTH = 2.0
"""The same in forks of this process: a fork point costs one, and one more for each path."""
MEASURED = 5
"""Forks that are timed to know the cost of one; the least counts, as other processes only make it longer."""
LATE, LATE_SECONDS = 3.0, 1.0
"""How long the root waits for a path of a fork, by the clock: so many times the budget's time that is left, and so much
more. A path that takes longer than all of it would take as long in the root, where nothing but the run's limits ends
it."""
NEVER = float("inf")

clock = time.perf_counter  # bound, as all below, before a program can replace it
_fork, _wait, _exit, _getpid = os.fork, os.waitpid, os._exit, os.getpid

Outcomes = tuple[int, ...]
Waiting = Iterable[tuple[float, int, Outcomes, list[DrawnChoice]]]
"""The paths that wait to be followed: see ``paths.Waiting``."""
PathAnswer = tuple[list[tuple[str, tuple[float, ...], int]], bool, object]
"""A path as a fork sends it: (kind, probabilities, index taken) of each choice, if a draw was sampled, the result."""

R = TypeVar("R")


class ForkPool:
    """All that the explorations of one job share: the number of processes allowed, their pipes, the cost of a fork.

    Attributes:
        num_slots: the number of fork points that may wait at a time.
        owner: the process id of the root.
        broken: True where there can be no more forks in this job.
        closed: the descriptors that are closed in the root; a process with others has files of the program open.
    """

    def __init__(self, forks: int) -> None:
        self.num_slots = max(0, forks - 1)  # the process that runs a path is one of them
        self.owner = _getpid()
        self.least_seconds = LEAST_SECONDS
        self.is_measured = False
        self.num_forked = 0
        self.broken = self.num_slots == 0  # with one process none could wait
        self.closed: frozenset[int] = frozenset()
        self._pipes: Pipes | None = None
        if not self.broken:
            install_watch()
            self.closed = closed_descriptors()

    @property
    def pipes(self) -> Pipes:
        """The pipes; made when the first fork point is about to be left."""
        if self._pipes is None:
            self._pipes = Pipes(self.num_slots)
            self.closed -= self._pipes.descriptors  # and nothing else: the program may hold files by now
        return self._pipes

    def measure(self) -> None:
        """Find out how long work must take to be worth a fork point, and if this process can fork at all."""
        self.is_measured = True
        # A process with much memory takes longer to copy: its pages' table is copied, though not the pages.
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
        """Fork no more in this job. Fork points that wait see that their pipes are closed, and end."""
        self.broken = True
        if self._pipes is not None:
            self._pipes.close()


def fork() -> int:
    """Fork this process; -1 where that is refused, or there are too many.

    Nobody decides draws meanwhile: the standard library's handlers seed the global generator in every fork.
    """
    before, draws.current = draws.current, None
    watch.ours = True
    try:
        return _fork()
    except OSError:
        return -1
    finally:
        watch.ours = False
        draws.current = before


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A fork that waits at a choice.

    Attributes:
        outcomes: those of the choices before it.
        mark: that of the root when it was left.
        pid: its process id where it is the root's own child, which has to be waited for; else None.
    """

    outcomes: Outcomes
    mark: object
    pid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed(Generic[R]):
    """A path that was run: the choices that it met, if a draw was sampled, and the result of ``run``."""

    log: list[DrawnChoice]
    sampled: bool
    result: R


class ForkPoints(Generic[R]):
    """The fork points of one exploration.

    Args:
        pool: shared by the explorations of a job.
        mark: gives a value that changes when a run changes something in this process that the root has to know.
        accept: makes a path's result of the plain data that came from a fork; raises ValueError where it is none.

    Attributes:
        num_forked: the number of paths that went on from a fork point.
    """

    def __init__(self, pool: ForkPool, mark: Callable[[], object], accept: Callable[[object], R]) -> None:
        self._pool = pool
        self._mark = mark
        self._accept = accept
        self._points: dict[int, Point] = {}
        self._waiting: Waiting = ()
        self._number = 0
        # in a fork that goes on with a path: the number of the request that it serves, the slots that it may use
        self._serves: int | None = None
        self._offered: list[int] = []
        self._first_mark: object = None
        self._due = NEVER
        self._since = 0.0
        self.num_forked = 0

    # in the root

    def begin(self, decider: Guided, waiting: Waiting) -> None:
        """Prepare a path that is about to be run here; it may leave fork points for those that are waiting."""
        if self._pool.broken or _getpid() != self._pool.owner:
            return
        self._waiting = waiting
        self._first_mark = self._mark()
        self._start(decider)

    def follow(self, prefix: Outcomes, before: list[DrawnChoice], waiting: Waiting, until: float) -> Followed[R] | None:
        """Run a path from the deepest fork point on its way; None: the caller has to run it here.

        Args:
            prefix: its forced outcomes.
            before: the choices of the path that it branches from, which it must meet again along ``prefix``.
            waiting: the other paths, for which fork points are kept.
            until: the time of ``budget.spent_seconds`` by which it must have ended.

        Raises:
            Late: it did not come to its end in time. Also all that ``accept`` raises, but for ValueError.
        """
        if not self._points or self._pool.broken or _getpid() != self._pool.owner:
            return None
        mark = self._mark()
        # The root has learned of objects since that these copies don't have: their snapshots would not fit.
        for slot in [slot for slot, point in self._points.items() if point.mark != mark]:
            self._dismiss(slot)
        deepest = self._deepest(prefix)
        if deepest is None:
            return None
        self._number += 1
        self._waiting = waiting
        try:
            answer = self._ask(deepest, prefix, until)
        except Late:
            self._give_up()  # its answer may still come, and would be taken for that of another path
            raise
        except Broken:
            self._give_up()
            return None
        followed = None if answer is None else self._checked(answer, prefix, before)
        if followed is not None:
            self.num_forked += 1
            self._pool.num_forked += 1
        return followed

    def close(self) -> None:
        """End all forks that wait."""
        watch.active = False
        if _getpid() == self._pool.owner:
            for slot in list(self._points):
                self._dismiss(slot)

    def _ask(self, slot: int, prefix: Outcomes, until: float) -> PathAnswer | None:
        """Ask a fork point for a path; None where the fork that went on with it ended without an answer."""
        pipes, mark = self._pool.pipes, self._points[slot].mark
        pipes.request(slot, ("path", self._number, prefix, self._free_slots(prefix)))
        answer: PathAnswer | None = None
        # what a fork has used is known only when it says so: meanwhile the clock bounds it
        latest = clock() + LATE * max(0.0, until - spent_seconds()) + LATE_SECONDS
        while True:
            kind, number, *rest = pipes.answered(latest)
            # An answer to an earlier request is of a fork that was given up, and so would all later ones be.
            if number != self._number:
                raise Broken(f"expected an answer to request {self._number}, got one to {number}")
            if kind == "left":  # it left a fork point of its own
                self._points[rest[0]] = Point(outcomes=rest[1], mark=mark, pid=None)
            elif kind == "told":
                log, sampled, result, seconds = rest
                count_forked(seconds)
                answer = log, sampled, result
            else:  # "gone": its process has ended, and no longer counts among those that are allowed
                return answer

    def _checked(self, answer: PathAnswer, prefix: Outcomes, before: list[DrawnChoice]) -> Followed[R] | None:
        """The path that a fork sent; None where it is not the one that was asked for, or its result is none.

        The root weighs the path by these choices, so that a wrong answer is run again and not believed.
        """
        log, sampled, result = answer
        choices = [DrawnChoice(kind, tuple, probabilities, taken) for kind, probabilities, taken in log]
        # ``before`` lacks the last forced outcome, which its path did not take: so the prefix is compared by itself.
        if tuple(choice.taken for choice in choices[: len(prefix)]) != prefix:
            return None
        for old, new in zip(before[: len(prefix)], choices, strict=False):
            if old.kind != new.kind or old.probabilities != new.probabilities:
                return None
        try:
            return Followed(log=choices, sampled=sampled, result=self._accept(result))
        except ValueError:
            return None

    def _deepest(self, prefix: Outcomes) -> int | None:
        """The slot of the fork point with the most of the path behind it; None where none is on its way.

        At the choice where it waits the path's outcome is still to be forced, so that it must be within the prefix.
        """
        fitting = [
            (len(point.outcomes), slot)
            for slot, point in self._points.items()
            if len(point.outcomes) < len(prefix) and prefix[: len(point.outcomes)] == point.outcomes
        ]
        return max(fitting)[1] if fitting else None

    def _free_slots(self, running: Outcomes) -> list[int]:
        """The slots for new fork points. Where all are taken, some are given up: those that no waiting path would be
        continued from, nor any path that the running one may add.
        """
        free_slots = [slot for slot in range(self._pool.num_slots) if slot not in self._points]
        if free_slots:
            return free_slots
        # Waiting paths are far more than slots: all but the deepest fork point on the way of each can be spared.
        useful = {self._deepest(item[2]) for item in self._waiting}
        useful |= {slot for slot, point in self._points.items() if running[: len(point.outcomes)] == point.outcomes}
        for slot in [slot for slot in self._points if slot not in useful]:
            self._dismiss(slot)
            free_slots.append(slot)
        return [] if self._pool.broken else free_slots

    def _dismiss(self, slot: int) -> None:
        """End the fork point of a slot, and wait until it has ended: its process counts among those allowed."""
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
        """Leave a fork point where the run is about to make a choice, if that is worth it and would be right.

        The cheap questions come first: they are asked at every choice.
        """
        now = clock()
        if now < self._due:
            return
        if self._pool.broken or watch.touched or not is_alone():
            self._due = NEVER  # nor will it be right at a later choice of this path
            return
        if not self._pool.is_measured:
            self._pool.measure()
            self._due = self._since + self._pool.least_seconds
            if now < self._due:
                return
        self._due = now + self._pool.least_seconds
        if not self._is_wanted(decider) or self._mark() != self._first_mark:
            return
        if self._serves is None:
            self._offered = self._free_slots(decider.outcomes)
        if not self._offered or self._pool.broken:
            return
        pipes = self._pool.pipes
        if closed_descriptors() != self._pool.closed:
            return  # a file that is open would be one file to all, with one position
        self._leave(decider, pipes, self._offered.pop(0))

    def _is_wanted(self, decider: Guided) -> bool:
        """Return True if other paths go through the choice: always where this one is the first to meet it."""
        passed = decider.outcomes
        if len(passed) >= len(decider.prefix):
            return True
        return any(len(item[2]) > len(passed) and item[2][: len(passed)] == passed for item in self._waiting)

    def _leave(self, decider: Guided, pipes: Pipes, slot: int) -> None:
        outcomes, ambient = decider.outcomes, Ambient.now()
        pid = fork()
        if pid == 0:
            ambient.put_back()  # the standard library has seeded the global generator in the fork
            self._wait_at(decider, pipes, slot, ambient)
            return
        if pid > 0:
            if self._serves is None:
                self._points[slot] = Point(outcomes=outcomes, mark=self._first_mark, pid=pid)
            else:
                pipes.answer(("left", self._serves, slot, outcomes))
        self._since = clock()
        self._due = self._since + self._pool.least_seconds

    # in forks

    def _wait_at(self, decider: Guided, pipes: Pipes, slot: int, ambient: Ambient) -> None:
        """Wait for requests, in the fork point; returns only in the forks that go on with a path."""
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
            _exit(1)  # whatever it is, the program's handlers must not see it in a copy
        ambient.put_back()
        self._serves, self._offered, self._waiting, self._points = number, offered, (), {}
        decider.prefix = prefix
        answer_for(self._pool.owner)
        self._start(decider)

    def ended(self, decider: Guided, result: R) -> None:
        """Take note that a path came to its end. In a fork: answer the root, and end the process."""
        if self._serves is not None:
            self._answer(decider, result)

    def _answer(self, decider: Guided, result: R) -> NoReturn:
        try:
            if not watch.asked and self._mark() == self._first_mark:
                log = [(choice.kind, choice.probabilities, choice.taken) for choice in decider.log]
                self._pool.pipes.answer(("told", self._serves, log, bool(decider.sampled), result, process_seconds()))
        finally:
            _exit(0)  # without the program's exit handlers, which the root runs

    def abandoned(self) -> None:
        """Take note that a path ended in an exception. In a fork: end the process, so that the root runs it again."""
        if self._serves is not None:
            _exit(1)
