"""The support of a session that is written: the states that agree with its text so far, command by command.

A command's text may be another one in the end: one that raised is written again so that it binds its exception. The
support then goes back to where it was before that command, and on from there with the new text.

Where the support cannot be followed any further (its budget is spent, or something outside the namespace matters) there
is none from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from trace_mine.tracer.inside.draws import readings
from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.logging_settings import caches, put_caches
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states.beliefs import OutputLaws, SessionBeliefs
from trace_mine.tracer.inside.states.interpreter import TooMuch
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.records import NEGLIGIBLE, CannotSnapshot, Refused, Spent, State
from trace_mine.tracer.inside.states.support import Impossible, Mark, Outlook, Support
from trace_mine.tracer.inside.states.world import World

States = Sequence[State]

UNKNOWN = Outlook(False, frozenset())

_LOSSES = (Impossible, Refused, Spent, RunsDisagree, SyntaxError)
"""The exceptions that end a support."""

_MOST_MARKED = 256
"""States of a support that is kept at each command; of one with more states those are kept at some command before."""


class SessionSupport:
    """The support of one session.

    Args:
        make_world: makes a world, which executes commands from any state, at the session's start; called with ``lazy``.

    Attributes:
        states: the weight of each state; None once they are lost.
        failure, loss: why they are lost, in words and as a reason; None until then.
        num_uncertain: the commands so far that could have shown something else.
    """

    def __init__(self, make_world: Callable[[bool], World]) -> None:
        self.failure: str | None = None
        self.loss: Reason | None = None
        self.num_uncertain = 0
        self._make_world = make_world
        self._support: Support | None = None
        self._laws: OutputLaws | None = None
        self._lazy = True
        self._pushed: list[tuple[str, str]] = []
        self._marks: list[tuple[Mark, int] | None] = []
        """The support before each command that was pushed, with the number of commands whose outcome is not known; None
        where it has too many states to be kept."""
        self._lost: tuple[int, Support] | None = None
        """Where the text of a command contradicted the support: the command's number, and that support."""
        self._at_start = Ambient.now()
        self._begin()

    @property
    def states(self) -> dict[State, float] | None:
        return None if self._support is None else self._support.states

    def push(self, source: str, shown: str) -> None:
        """Execute a command from every state, and leave out the states that show something else."""
        self._pushed.append((source, shown))
        self._push_from(len(self._pushed) - 1)

    def rewrite(self, number: int, source: str, shown: str) -> None:
        """Give a command that was pushed another text, and execute it and those after it again.

        A support that the old text contradicted (a handler's bare ``raise``, which has no exception of its own) is
        gone on from.
        """
        if self._pushed[number] == (source, shown):
            return
        self._pushed[number] = source, shown
        if self._support is None:
            if self._lost is None or self._lost[0] < number:
                return
            self._support = self._lost[1]
            self.failure = self.loss = self._lost = None
        if number < len(self._marks) and self._laws is not None:
            while (marked := self._marks[number]) is None:
                number -= 1
            mark, self.num_uncertain = marked
            self._support.go_back(mark)
            self._laws.forget_from(number)
            self._push_from(number)

    def look(self, source: str, mode: Literal["single", "eval"] = "single") -> Outlook:
        """Run a command from all states and keep them as they are, as ``Support.look`` does.

        Once the states are lost nothing is known: what the command does is one outcome of many.
        """
        if self._support is None:
            return UNKNOWN
        try:
            return self._support.look(source, mode)
        except _LOSSES as error:
            self._fail(error)
            return self.look(source, mode)

    def ask(self, question: Callable[[World, States], bool]) -> bool:
        """Answer a question for the states of the support; False where there is none, or it is too much to follow."""
        if self._support is None:
            return False
        try:
            answer = question(self._support.world, list(self._support.states))
            if not self._lazy and self._support.world.sampled:
                raise Refused
            return answer
        except TooMuch:
            return False  # this construct alone is too large to look at: the support itself is as good as before
        except _LOSSES as error:
            self._fail(error)
            # where it begins again, the answer is that of the states which it has then
            return self.ask(question)

    def beliefs(self, commands: Sequence[tuple[str, str]]) -> SessionBeliefs | None:
        """The beliefs of a session, (text, what it showed) by command.

        None where a command stands otherwise in the session than it was pushed, and where draws were sampled: one pass
        over the commands is too few then.
        """
        if self._support is None or self._laws is None or self._support.world.sampled:
            return None
        informative = {law.command for law in (*self._laws.laws, *self._laws.silent)}
        numbers = _places_of(self._pushed, informative, commands)
        return None if numbers is None else self._laws.beliefs(numbers=numbers)

    def _push_from(self, number: int) -> None:
        """Execute the commands from this number on."""
        for at in range(number, len(self._pushed)):
            if self._support is None or self._laws is None:
                self.num_uncertain += 1  # nobody knows
                continue
            support = self._support
            try:
                self._push(self._laws, at, *self._pushed[at])
            except _LOSSES as failure:
                self._fail(failure)
                # what is left of the commands was pushed from the start where the support was begun again
                if self._support is not None:
                    return
                if self.loss is Reason.SUPPORT_LOST and isinstance(failure, Impossible):
                    self._lost = at, support

    def _begin(self) -> None:
        """Make a support, and execute from it what the session has executed so far.

        The session may be under way: its loggers, say, are not those that it began with.
        """
        present, remembered = Ambient.now(), caches()
        self._at_start.put_back()
        try:
            self._support = Support(self._make_world(self._lazy))
            self._laws = OutputLaws(self._support)
            self.num_uncertain = 0
            for number, (source, shown) in enumerate(self._pushed):
                self._push(self._laws, number, source, shown)
        except (CannotSnapshot, *_LOSSES) as error:
            self._fail(error)  # a lost support is no lost session: it shows less
        finally:
            present.put_back()
            put_caches(remembered)

    def _push(self, laws: OutputLaws, number: int, source: str, shown: str) -> None:
        is_small = number == 0 or len(laws.support.states) <= _MOST_MARKED
        self._marks[number:] = [(laws.support.mark(), self.num_uncertain) if is_small else None]
        law = laws.push(number, source, shown)
        support = laws.support
        self.num_uncertain += len(law) > 1
        # A sampled draw is one of many values: that the states agree on it would be no certainty.
        if not self._lazy and support.world.sampled:
            raise Refused

    def _fail(self, error: BaseException) -> None:
        """Give the support up, or begin it again with plain floats where C code refused a lazy number.

        What is refused may be an error of the program's own, which plain floats then meet as well.
        """
        self._support = None
        if isinstance(error, Refused) and self._lazy:
            self._lazy = readings.give_up()  # where clocks were read, these first
            self._begin()
            return
        self.failure = f"{type(error).__name__}: {error}"[:300]
        self.num_uncertain += 1
        # what was shown is no contradiction where it may be of the mass that was not followed
        is_spent = isinstance(error, Spent) or (isinstance(error, Impossible) and error.lost > NEGLIGIBLE)
        self.loss = Reason.OPENING_SPENT if is_spent else Reason.SUPPORT_LOST


def _places_of(
    pushed: Sequence[tuple[str, str]], informative: Collection[int], commands: Sequence[tuple[str, str]]
) -> dict[int, int] | None:
    """By the number with which it was pushed, the place of each command in the session that could have shown something
    else than it did.

    Other commands may have been taken back or put together since: they show nothing and tell nothing. None where a
    command that showed something stands otherwise in the session than it was pushed.
    """
    places: dict[int, int] = {}
    place = 0
    for number in sorted(informative):
        while place < len(commands) and commands[place] != pushed[number]:
            if commands[place][1]:
                return None  # it shows something, and was never pushed so
            place += 1
        if place == len(commands):
            return None
        places[number] = place
        place += 1
    return None if any(shown for _, shown in commands[place:]) else places
