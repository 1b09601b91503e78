"""Answers of the jobs that replay recorded draws and that follow choices: what was printed, how likely, and by which
states; the other half of ``answers``, which has the one list of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from trace_mine.tracer.inside.protocol.codec import AtMost, Between, ProtocolError, Record, record
from trace_mine.tracer.inside.protocol.jobs import Count, Evidence, Locals, Name, Probability

Move = tuple[Probability, str, str]
"""A move of an automaton: its probability, the next state and the text that is shown."""
MOST_STATES = 2_000
"""States of an automaton, of which its readers make matrices with a row and a column for each. More than any automaton
has that sequences can be drawn from; a variable that counts without end gets past it soon."""


@record
class ReplayedCommand(Record):
    """What a command of a replay printed, and the exception that it raised: the entry that doctest compares."""

    output: str
    error: str | None


@record
class ReplayReport(Record):
    """A replay: its commands in order, up to one that is not complete, and the watched values after each, as text."""

    commands: tuple[ReplayedCommand, ...]
    values: tuple[Locals, ...] = ()


# what follows choices -------------------------------------------------------------------------------------------------


@record
class CommandBelief(Record):
    """The law of a command's output; see ``trace_mine.tracer.schema.Belief``."""

    command: Count
    outcomes: tuple[str, ...]
    probabilities: tuple[Probability, ...]
    method: Literal["exact", "bounded", "sampled"]
    stderr: tuple[Annotated[float, Between(0.0, 1e300)], ...]

    def agree(self) -> None:
        if not len(self.outcomes) == len(self.probabilities) == len(self.stderr):
            raise ProtocolError("expected a probability and an error for each outcome of a belief, got more or fewer")


@record
class CommandWindow(Record):
    """The law of a command's output after the outputs of the last ``window`` commands; see
    ``trace_mine.tracer.schema.WindowBelief``.
    """

    command: Count
    window: Count
    outcomes: tuple[str, ...]
    # they sum to less than 1 where there are more outcomes than are listed
    probabilities: tuple[Probability, ...]

    def agree(self) -> None:
        if len(self.outcomes) != len(self.probabilities):
            raise ProtocolError("expected a probability for each outcome of a law after a window")


@record
class CommandStates(Record):
    """The joint law of variables and of a command's output; see ``trace_mine.tracer.schema.BeliefStates``."""

    command: Count
    variables: tuple[Name, ...]
    states: tuple[tuple[str | None, ...], ...]
    outcomes: tuple[Count, ...]
    probabilities: tuple[Probability, ...]
    absent: Literal["", "many_states", "long", "undrawn", "sampled"]

    def agree(self) -> None:
        if not len(self.states) == len(self.outcomes) == len(self.probabilities):
            raise ProtocolError("expected an outcome and a probability for each state of a law, got more or fewer")
        if bool(self.absent) == bool(self.states):
            raise ProtocolError("expected the states of a law, or why there are none, got both or neither")
        if not {*map(len, self.states)} <= {len(self.variables)}:
            raise ProtocolError("expected a value for each variable of a law, got more or fewer")


@record
class CommandChoice(Record):
    """One choice that a command made; see ``trace_mine.tracer.schema.Choice``."""

    command: Count
    kind: Name
    outcomes: tuple[str, ...]
    probabilities: tuple[Probability, ...]
    taken: Count

    def agree(self) -> None:
        # checked before a row is made of it: an index past the end would raise far from here, in who reads the row
        if len(self.outcomes) != len(self.probabilities) or self.taken >= len(self.outcomes):
            raise ProtocolError("expected a probability for each outcome of a choice, and the one taken among them")


@record
class BeliefsReport(Record):
    """Beliefs and choices in the order of the commands.

    ``failure`` says why there are fewer beliefs than outputs, ``mismatch`` how the session's draws differ from the
    recorded ones, so that there are no choices; both are None where all is well. ``num_forked`` counts forks.
    ``states`` are the laws of the variables, one for each belief. ``hangs_on`` says on what of the process outcomes may
    hang, so that another process has to be asked (``states.process_facts``). ``silent`` are laws of commands that
    showed nothing and could have shown something, which are no beliefs of a row.
    """

    beliefs: tuple[CommandBelief, ...]
    failure: Evidence | None
    choices: tuple[CommandChoice, ...]
    mismatch: Evidence | None
    num_forked: Count
    windows: tuple[CommandWindow, ...] = ()
    states: tuple[CommandStates, ...] = ()
    hangs_on: Literal["", "order", "process"] = ""
    silent: tuple[CommandBelief, ...] = ()


@record
class SampledTexts(Record):
    """The text that each command showed in one native run."""

    texts: tuple[str, ...]


@record
class PathChoice(Record):
    """One choice that a path met, with the index of the outcome that it took."""

    kind: Name
    probabilities: tuple[Probability, ...]
    taken: Count

    def agree(self) -> None:
        if self.taken >= len(self.probabilities):
            raise ProtocolError("expected the outcome taken among those of the choice, got another")


@record
class PathReport(Record):
    """One path: the text that each command showed, and the choices that were met.

    ``is_sampled``: some draw could not be enumerated, so that its outcome is one of many.
    """

    texts: tuple[str, ...]
    choices: tuple[PathChoice, ...]
    is_sampled: bool


@record
class SessionAutomaton(Record):
    """The automaton that a session's commands are: ``commands[source][state]`` are the moves from that state.

    A state is the text of the ``variables``' values.
    """

    variables: tuple[str, ...]
    states: Annotated[tuple[str, ...], AtMost(MOST_STATES)]
    start: str
    commands: Mapping[str, Mapping[str, tuple[Move, ...]]]

    def agree(self) -> None:
        states = set(self.states)
        if len(states) < len(self.states):
            raise ProtocolError("expected an automaton's states once each, got one twice")
        if self.start not in states:
            raise ProtocolError("expected the start among the automaton's states, got another")
        for table in self.commands.values():
            # from every state, also where a command can't be reached: a filter takes the table as a whole matrix
            if table.keys() != states:
                raise ProtocolError("expected moves of each command from each of the automaton's states")
            if any(after not in states for moves in table.values() for _, after, _ in moves):
                raise ProtocolError("expected moves to the automaton's states, got one to another")


@record
class AutomatonReport(Record):
    """The automaton, or the reason why there is none."""

    automaton: SessionAutomaton | None
    why_not: Evidence | None

    def agree(self) -> None:
        # two fields, not two kinds of answer: whoever asked for an automaton reads one record, whatever came of it
        if (self.automaton is None) == (self.why_not is None):
            raise ProtocolError("expected either an automaton or why there is none, got both or neither")
