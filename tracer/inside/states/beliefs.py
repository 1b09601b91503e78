"""Beliefs of a session, from its text alone: the law of each output, given all text that stands before it.

A belief does not depend on the view that made the text. The commands are run in order from every state that agrees
with the outputs so far (``support``), and the texts that a command may show, with their probabilities, are the belief.
Its method says how far it can be trusted:

``exact``    every outcome of every draw was followed
``bounded``  a known mass was not followed; ``stderr`` bounds the error of a probability
``sampled``  some draw has no outcomes to follow (a continuous one that is printed, hashed, multiplied): the draw is
             sampled, and the laws of several seeds are averaged, each weighted by how well it explains the outputs
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trace_mine.tracer.inside.draws import readings, resting
from trace_mine.tracer.inside.draws.deciders import DrawMismatch, Pinned, using
from trace_mine.tracer.inside.program import OutputFull
from trace_mine.tracer.inside.protocol.choice_answers import (
    CommandBelief,
    CommandChoice,
    CommandStates,
    CommandWindow,
)
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome
from trace_mine.tracer.inside.states.budget import spent_seconds
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.records import CannotSnapshot, Refused, Spent
from trace_mine.tracer.inside.states.state_laws import JointMass, StateLaw, StateLaws
from trace_mine.tracer.inside.states.support import Impossible, Support
from trace_mine.tracer.inside.states.windows import window_laws
from trace_mine.tracer.inside.states.world import World

Commands = Sequence[tuple[str, str]]
"""(source, output as a doctest has it) of each command of a session."""

MakeWorld = Callable[[int, float, bool], World]
"""Makes a world at the session's start, of a seed, the seconds that it may take, and ``lazy`` (see ``Guided``)."""

BOUNDED = 1e-9
"""The error of a probability from which on a belief is called bounded."""

FAILURE_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBeliefs:
    """The beliefs of a session, in the order of its commands; ``failure`` says why there are fewer than outputs.

    ``states`` are the laws of the variables, one for each belief.
    ``windows`` are laws of the exact ones' outputs for a reader who saw a part of the session (``states.windows``).
    ``silent`` are laws of commands that showed nothing and could have shown something.
    ``world`` is the one that they were found in; None where draws were sampled, as nothing is exact there.
    """

    beliefs: tuple[CommandBelief, ...]
    failure: str | None
    windows: tuple[CommandWindow, ...] = ()
    states: tuple[CommandStates, ...] = ()
    world: World | None = None
    silent: tuple[CommandBelief, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputLaw:
    """The law of one output in one pass.

    Attributes:
        command: the index of the command that shows the output.
        mass_by_text: the mass of each text; all of it together is less than 1 where mass was not followed.
        log_mass: the logarithm of the mass of all outputs before this one: the evidence for the pass's sampled draws.
        error: the largest error that mass not followed can cause in a probability of this law.
        joint: the mass of each state after the command with its text; None where the command showed nothing.
    """

    command: int
    mass_by_text: Mapping[str, float]
    log_mass: float
    error: float
    joint: JointMass | None


class OutputLaws:
    """The laws of a session's outputs, as a support meets them.

    Attributes:
        support: the one that the commands are run from.
        laws: of commands that showed something.
        silent: of commands that showed nothing and could have shown something.
    """

    def __init__(self, support: Support) -> None:
        self.support = support
        self.laws: list[_OutputLaw] = []
        self.silent: list[_OutputLaw] = []

    def push(self, command: int, source: str, output: str) -> dict[str, float]:
        """Run a command from the support's states, keep those that agree with its output, and gives its law.

        Args:
            command: its index in the session.
            source: its text.
            output: what it showed.

        Raises:
            Impossible: no state agrees. The law is right all the same: it was found before the output contradicted it.
            Spent, RunsDisagree: see ``World.run``; there is no law.
        """
        support = self.support
        # Both are read before the command runs: the belief at an output is conditioned on those before it alone.
        log_mass, lost = support.log_mass, support.lost
        joint = JointMass() if output else None
        try:
            law = support.push(source, output, joint)
        except Impossible as error:
            self._add(command, error.law, log_mass, lost, joint)
            raise
        self._add(command, law, log_mass, lost, joint)
        return law

    def forget_from(self, command: int) -> None:
        """Forget the laws of this command and later ones, which are pushed once more."""
        for laws in (self.laws, self.silent):
            laws[:] = [law for law in laws if law.command < command]

    def _add(self, command: int, law: dict[str, float], log_mass: float, lost: float, joint: JointMass | None) -> None:
        if joint is None and len(law) < 2:
            return
        followed = sum(law.values())
        if followed <= 0:  # each path's probability was too small for a float: the law says nothing
            return
        missing = max(0.0, 1.0 - followed)
        made = _OutputLaw(
            command=command, mass_by_text=law, log_mass=log_mass, error=_largest_error(lost, missing), joint=joint
        )
        (self.silent if joint is None else self.laws).append(made)

    def beliefs(self, failure: str | None = None, numbers: Mapping[int, int] | None = None) -> SessionBeliefs:
        """The beliefs where every draw was followed, or all but a known mass.

        Args:
            failure: why there are no more of them.
            numbers: by the indices that commands had, those that they have in the session; None: the same ones.
        """
        state_laws = StateLaws(self.support.world)
        laws, silent = _renumbered(self.laws, numbers), _renumbered(self.silent, numbers)
        beliefs = _unsampled_beliefs(laws)
        states = [_states(belief, _law_of(state_laws, law.joint)) for belief, law in zip(beliefs, laws, strict=True)]
        return SessionBeliefs(
            beliefs=beliefs,
            failure=failure,
            states=tuple(states),
            world=self.support.world,
            silent=_unsampled_beliefs(silent),
        )


def _renumbered(laws: Sequence[_OutputLaw], numbers: Mapping[int, int] | None) -> Sequence[_OutputLaw]:
    if numbers is None:
        return laws
    return [replace(law, command=numbers[law.command]) for law in laws]


@dataclass(slots=True, kw_only=True)
class _Pass:
    """One pass over the commands with one seed: the laws met so far, why it ended early, and if a draw was sampled.

    ``outputs`` is None where there is no world to find them in.
    """

    outputs: OutputLaws | None = None
    failure: str | None = None
    sampled: bool = False

    @property
    def laws(self) -> Sequence[_OutputLaw]:
        return () if self.outputs is None else self.outputs.laws


def beliefs_of(
    commands: Commands, make_world: MakeWorld, *, seeds: int, max_seconds: float, windows: Sequence[int] = ()
) -> SessionBeliefs:
    """Find the belief at each output of a session.

    One pass is enough where no draw is sampled. Otherwise passes with further seeds follow until there are ``seeds`` of
    them or the time is over, and their laws are averaged.

    Args:
        commands: the session; an output of "" is no output and gets no belief.
        make_world: called once for each pass, since what a pass does to the process must not reach the next.
        seeds: the largest number of passes.
        max_seconds: of processor time, for all passes together.
        windows: numbers of commands; for each there is a further law of every open output whose belief is exact.

    Returns:
        One belief for each command with an output. They end early, with ``failure``, where the output has no mass, or
        the namespace can't be saved, or the time is over.
    """
    until = spent_seconds() + max_seconds
    lazy = True
    first: _Pass | None = None
    while first is None:
        try:
            first = _run_pass(commands, make_world, 0, max_seconds, lazy)
        except Refused:
            # Clocks are read at once then, or all draws are plain floats. The world has run parts of the session.
            if not lazy:
                raise
            lazy = readings.give_up()
    if not first.sampled:
        if first.outputs is None:
            return SessionBeliefs(beliefs=(), failure=first.failure)
        made = first.outputs.beliefs(first.failure)
        # after the beliefs, in the same world: it has learnt what the commands do
        return replace(made, windows=window_laws(commands, made.beliefs, first.outputs.support.world, windows))
    passes = [first]
    # The first pass tells how long one takes. Another is begun only where it will probably end in time: one that is cut
    # off says nothing of the later outputs, and what it says of the others is not worth an overrun.
    pass_seconds = max(spent_seconds() - until + max_seconds, 0.01)
    while len(passes) < seeds and spent_seconds() + pass_seconds < until:
        passes.append(_run_pass(commands, make_world, len(passes), until - spent_seconds(), lazy))
    # One seed's draws may be impossible under the outputs (a sampled number was shown) while another's are not.
    failure = None if any(each.failure is None for each in passes) else first.failure
    beliefs = _sampled_beliefs(passes)
    none = StateLaw(absent="sampled")
    return SessionBeliefs(beliefs=beliefs, failure=failure, states=tuple(_states(each, none) for each in beliefs))


def _run_pass(commands: Commands, make_world: MakeWorld, seed: int, seconds: float, lazy: bool) -> _Pass:
    """Run the commands from every state that agrees with the outputs, with one seed for sampled draws."""
    run = _Pass()
    try:
        world = make_world(seed, seconds, lazy)
        run.outputs = OutputLaws(Support(world))
    except (CannotSnapshot, Spent) as error:
        run.failure = f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS]
        return run
    for index, (source, output) in enumerate(commands):
        try:
            run.outputs.push(index, source, output)
        except (Impossible, Spent, RunsDisagree, SyntaxError) as error:
            run.failure = f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS]
            break
        finally:
            run.sampled = run.sampled or world.sampled
    return run


def _law_of(state_laws: StateLaws, joint: JointMass | None) -> StateLaw:
    assert joint is not None  # of a command that showed something
    try:
        return state_laws.law(joint)
    except (Spent, Refused):  # a state that is a way to it, run again
        return StateLaw(absent="many_states")


def _states(belief: CommandBelief, law: StateLaw) -> CommandStates:
    numbers = {text: number for number, text in enumerate(belief.outcomes)}
    return CommandStates(
        command=belief.command,
        variables=law.variables,
        states=law.states,
        outcomes=tuple(numbers[text] for text in law.texts),
        probabilities=law.probabilities,
        absent=law.absent,
    )


def _largest_error(lost: float, missing: float) -> float:
    """Bound how far a probability of a law can be off.

    ``lost`` is the mass not followed before the command, relative to the states' weights, which sum to 1; ``missing``
    the mass not followed in the command itself, so that the law's own mass is ``1 - missing``. All of it may belong to
    one text or to none: with q of the followed mass on a text, its true probability lies between q / (1 + lost) and
    (q + lost + missing) / (1 + lost), and q / (1 - missing) is reported. Both ends are at most this far away.
    """
    return min(1.0, (lost + missing) / (1.0 + lost))


def _unsampled_beliefs(laws: Sequence[_OutputLaw]) -> tuple[CommandBelief, ...]:
    """The beliefs of a pass in which every draw was followed, or all but a known mass."""
    beliefs = []
    for law in laws:
        total = sum(law.mass_by_text.values())
        probabilities = {text: mass / total for text, mass in law.mass_by_text.items()}
        is_bounded = law.error > BOUNDED
        errors = dict.fromkeys(probabilities, law.error if is_bounded else 0.0)
        beliefs.append(_belief(law.command, probabilities, "bounded" if is_bounded else "exact", errors))
    return tuple(beliefs)


def _belief(
    command: int,
    probabilities: Mapping[str, float],
    method: Literal["exact", "bounded", "sampled"],
    errors: Mapping[str, float],
) -> CommandBelief:
    # Sorted, since rows are compared byte by byte: the order in which paths meet the texts depends on the budget.
    outcomes = sorted(probabilities)
    return CommandBelief(
        command=command,
        outcomes=tuple(outcomes),
        probabilities=tuple(probabilities[text] for text in outcomes),
        method=method,
        stderr=tuple(errors[text] for text in outcomes),
    )


def _sampled_beliefs(passes: Sequence[_Pass]) -> tuple[CommandBelief, ...]:
    """Average the laws of several passes, output by output.

    A pass with sampled draws u gives P(text | outputs before, u) and the weight w = P(outputs before | u). The belief
    is the ratio of the means of w * P and w over the seeds (self-normalized importance sampling), and its standard
    error is sqrt(sum of w^2 (P - mean)^2) / sum of w, that of a ratio of means. The laws are not scaled to a sum of 1
    first: mass that a pass did not follow makes all of its texts lighter.

    Source: A. B. Owen, Monte Carlo theory, methods and examples, section 9.2.
    """
    tables = [{law.command: law for law in each.laws} for each in passes]
    beliefs = []
    for command in sorted(set().union(*tables)):
        laws = [table[command] for table in tables if command in table]
        # Relative to the heaviest: the masses of a long session are below what a float can hold.
        heaviest = max(law.log_mass for law in laws)
        weighted = [(math.exp(law.log_mass - heaviest), law.mass_by_text) for law in laws]
        total = sum(weight for weight, _ in weighted)
        probabilities, errors = {}, {}
        for text in sorted(set().union(*(law.mass_by_text for law in laws))):
            mean = sum(weight * masses.get(text, 0.0) for weight, masses in weighted) / total
            squares = sum((weight * (masses.get(text, 0.0) - mean)) ** 2 for weight, masses in weighted)
            probabilities[text], errors[text] = mean, math.sqrt(squares) / total
        beliefs.append(_belief(command, probabilities, "sampled", errors))
    return tuple(beliefs)


def choices_of(commands: Commands, world: World, outcomes: Sequence[DrawnOutcome]) -> tuple[CommandChoice, ...]:
    """Tell the choices that a session's recorded draws made, command by command.

    Args:
        commands: the session.
        world: at the session's start.
        outcomes: what each primitive gave in the recorded run, in order.

    Raises:
        DrawMismatch: the session draws something else than was recorded.
    """
    choices: list[CommandChoice] = []
    decider = Pinned(outcomes, laws=world.limits.laws)

    def run() -> None:
        with world.aside() as capture, using(decider):
            world.restore(world.start)
            for index, (source, _) in enumerate(commands):
                num_before = len(decider.log)
                try:
                    with resting.running:
                        exec(world.code(source, "single"), world.namespace)
                except (Refused, Spent, OutputFull, DrawMismatch):  # ours: no snippet raises them
                    raise
                except BaseException as error:  # SystemExit is one
                    # A command that raised is part of the session. Its traceback would keep the locals of frames alive.
                    error.__traceback__ = None
                capture.take()  # the output is known already: only the draws are asked for
                choices.extend(
                    CommandChoice(
                        command=index,
                        kind=choice.kind,
                        outcomes=choice.outcome_texts(),
                        probabilities=tuple(choice.probabilities),
                        taken=choice.taken,
                    )
                    for choice in decider.log[num_before:]
                )

    world.apart(run)
    return tuple(choices)


def sample_path(commands: Commands, world: World, seed: int) -> list[str]:
    """Run the commands once, natively, with no draw intercepted; gives the texts that they show.

    Many of these runs give the frequencies that beliefs are tested against, with nothing of the support in them.
    """
    random.seed(seed)
    texts: list[str] = []

    def run() -> None:
        with world.aside() as capture:
            world.restore(world.start)
            for source, _ in commands:
                texts.append(world.execute(source, "single", capture)[0])

    world.apart(run)
    return texts
