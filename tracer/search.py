"""Finds a plan by which a session passes all checks, and keeps no more whole than it must.

A session is written again for each construct that has to be kept as one command. A driver names it (``Again``); a
check that fails names the constructs around the command that differs (``Differs``), which are tried from the inside
out. Where none helps, the whole program is written with each statement as one command; if that session holds, the one
of its statements that must be whole is looked for by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.rounds import Again, Differs, Failed, MissesFocus, Native, Plan, told_apart
from trace_mine.tracer.schema import Trace

ROUNDS_IN_FULL = 4
"""All rounds of a snippet together may take so many times the CPU time that one run may take; after that each statement
is one command. Most sessions take two runs of a few ms."""

MAX_ROUNDS = 10
"""How often a session is written again for what its driver or its replay named: nested functions that fail one by one
need a round each. The bound of time is for rounds that take long; this one for those that take none."""

MOST_TRIED = 6
"""Constructs around the commands that differ that are kept whole, one after the other, to see if that helps."""

MAX_HALVINGS = 8
"""Rounds that look for the one statement to keep: enough for a program of some 100 that were opened."""


@dataclass(slots=True, kw_only=True)
class PlanSearch:
    """The search for the plan of one snippet's session.

    Attributes:
        attempt: makes a session by a plan and checks it; raises Again, Differs or Failed.
        again: runs the program natively once more, in the other world, and says what differed by itself.
        native: the snippet's native run.
        plan: the plan of the next attempt.
        spent: the seconds of CPU that the snippet's runs took so far.
        most_seconds: after so many no more is opened.
        is_fixed: no construct is kept whole for a failed check, nor for want of time: which ones these are may hang on
            outcomes that the session hides, and its text would tell them. Such a session is none.
        opening: False from the last plan on, after which no other is left to try.
        first: the plan by which a check failed for the first time, before anything was kept whole for that.
        tried: constructs that were kept whole for a check that failed.
    """

    attempt: Callable[[Native, Plan], Trace]
    again: Callable[[Native], Native]
    native: Native
    plan: Plan
    spent: Callable[[], float]
    most_seconds: float
    is_fixed: bool = False
    opening: bool = True
    first: Plan | None = None
    tried: list[Place] = field(default_factory=list)
    _before: tuple[Plan, str] | None = None
    """The plan before the last construct was kept whole for a failed check, with the evidence of that check."""
    _outermost: tuple[Place, ...] = ()
    _rounds: int = 0

    def trace(self) -> Trace:
        """Write sessions by one plan after the other until one passes all checks.

        A round ends in one of these ways:

        * The session passes.
        * ``Again``: the attempt knows what to keep as one command or not to show; the next round does so.
        * ``Differs`` by the result or path check, the first time: the program is run natively once more, in the other
          world. Values that differ between the two runs are left out of the checks from then on, under the same plan.
        * ``Differs`` otherwise: the next construct around the command that differs is kept whole.
        * ``Failed``, or no construct is left, or the time for all rounds is used up: each statement becomes one
          command. If that fails, there is no session.

        Raises:
            Failed: no plan gives a session that passes.
            MissesFocus: the first session doesn't open the function that the snippet is for.
        """
        # constructs that are tried for a failed check have a limit of their own
        while self._rounds < MAX_ROUNDS:
            self._rounds += 1
            try:
                trace = self.attempt(self.native, self.plan)
            except Again as again:
                self._written_again(again)
            except Differs as differs:
                self._keep_more(differs)
            except MissesFocus:
                raise
            except Failed as failed:
                self._close(failed)
            else:
                return trace if self.opening or not self._outermost else self._narrowed(trace)
            if self.opening and self._is_late():
                self._close(Failed(Reason.ROUNDS))
        # ``UNFAITHFUL`` and not the last round's reason: no single one of them is why there is no session.
        reasons = ", ".join(self.plan.reasons)
        raise Failed(Reason.UNFAITHFUL, f"still failing after {MAX_ROUNDS} rounds: {reasons}")

    def _written_again(self, again: Again) -> None:
        if again.plan.unshown != self.plan.unshown:
            self._rounds -= 1  # these have a limit of their own
        self.plan = again.plan
        # Only a replay that differs leaves it open who is to blame; the other reasons name a construct.
        if self.plan.reasons[-1:] == (Reason.REPLAY_DIFFERS.value,):
            if self.native.unstable is None:
                self.native = self.again(self.native)
            self.plan = told_apart(self.plan, self.native, again.pieces, again.commands)

    def _keep_more(self, differs: Differs) -> None:
        """Keep the next construct whole, or every statement where none is left.

        Raises:
            Differs: nothing else can be tried.
        """
        drop = differs.drop
        # The program comes before the tracer as a suspect, because asking costs one run.
        if drop.reason in (Reason.RESULT_DIFFERS, Reason.PATH_DIFFERS) and self.native.unstable is None:
            self.native = self.again(self.native)
            return
        if self.is_fixed:
            raise differs
        if self.first is None:
            self.first = self.plan
        if self._before is not None and self._before[1] == drop.evidence:
            self.plan = self._before[0]  # what was kept whole last changed nothing
        left = [place for place in differs.blame.places if place not in self.tried]
        if not self.opening or not left or len(self.tried) == MOST_TRIED or self._is_unstable(differs):
            self._outermost = differs.blame.outermost
            self._close(differs)
            return
        self._rounds -= 1
        self.tried.append(left[0])
        self._before = self.plan, drop.evidence
        self.plan = replace(self.plan, whole=(*self.plan.whole, left[0]), reasons=(*self.plan.reasons, drop.reason))

    def _is_unstable(self, differs: Differs) -> bool:
        """Return True if what the program prints differs by itself, so that no construct is to blame for a replay."""
        unstable = self.native.unstable
        return differs.drop.reason == Reason.REPLAY_MISMATCH and unstable is not None and bool(unstable.pieces)

    def _is_late(self) -> bool:
        return self.spent() > self.most_seconds

    def _close(self, failed: Failed) -> None:
        """Make every statement of the snippet one command, and follow no call.

        Raises:
            Failed: they are already, or the plan is fixed.
        """
        if not self.opening or self.is_fixed:
            raise failed
        self.opening = False
        # before what was kept whole for failed checks, which did not help
        self.plan = closed(self.first or self.plan, failed.drop.reason)

    def _narrowed(self, trace: Trace) -> Trace:
        """Look for the one statement that must be whole, now that a session with all of them whole holds.

        Returns:
            The session in which that one alone is, or ``trace`` where there is no such statement.
        """
        assert self.first is not None
        suspects: Sequence[Place] = self._outermost
        session = trace
        reason = self.plan.reasons[-1]
        for _ in range(MAX_HALVINGS):
            if self._is_late():
                return session
            half = suspects[len(suspects) // 2 :]  # the later half first: what differs stands near the end
            kept = replace(self.first, whole=(*self.first.whole, *half), reasons=(*self.first.reasons, reason))
            try:
                session, suspects = self.attempt(self.native, kept), half
            except (Again, Failed):
                if len(half) == len(suspects):
                    return session
                suspects = suspects[: len(suspects) // 2]
                continue
            if len(half) == 1:
                return session
        return session


def as_file(plan: Plan, reason: str) -> Plan:
    """The plan of a script that is run from its file by one command, after sessions failed for the reason."""
    reasons = (*plan.reasons, reason, Reason.RUN_AS_FILE.value)
    return replace(plan, follow=-1, whole=(), as_file=True, reasons=reasons)


def closed(plan: Plan, reason: str) -> Plan:
    """The last plan: every statement of the snippet is one command, and no call is followed."""
    # ``whole`` has no meaning any more, ``hide`` keeps its own: an output that differs does so in one command too
    return replace(plan, follow=-1, open_statements=False, whole=(), reasons=(*plan.reasons, reason))
