"""From plays to traces: text, states, choices and beliefs of generated sessions, in the same records as mined ones.

Nothing is run. The tests replay such sessions in an interpreter, with the draws of ``setup["choices"]``, and run their
programs through the tracer to compare beliefs.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.exact_filter import beliefs_along
from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays, reveal_laws
from trace_mine.tracer.formats import repl
from trace_mine.tracer.schema import Belief, Choice, Step, Trace

# `_pick` subtracts instead of summing up: `_picked` below repeats the same float operations in the same order, so that
# a replay under the recorded draws takes the same outcomes, whatever the rounding.
AUTOMATON_SETUP = """\
from random import random
_emissions = {emissions!r}
_transitions = {transitions!r}
_state = {state!r}
def _pick(law):
    left = random()
    for name, probability in law:
        left -= probability
        if left < 0:
            break
    return name
def step():
    global _state
    symbol = _pick(_emissions[_state])
    _state = _pick(_transitions[symbol][_state])
    return symbol
"""


def trace_of(
    steps: Sequence[Step],
    *,
    setup: str,
    view: Mapping[str, object],
    draws: Sequence[float],
    choices: Sequence[Choice],
    beliefs: Sequence[tuple[int, Sequence[str], Sequence[float]]],
) -> Trace:
    """Return the trace of generated steps.

    Args:
        steps: the commands in order.
        setup: code that runs silently before the first command.
        view: the view, as JSON.
        draws: what ``random()`` gives in a replay, in order.
        choices: the draws with two or more outcomes.
        beliefs: (step, outcomes, probabilities) of each belief; its step is the index of a command with output.
    """
    rendered = repl.render(steps)
    # A belief belongs to the segment of the output: a step has one segment with the role `value` at most.
    value_segments = {segment.step: n for n, segment in enumerate(rendered.segments) if segment.role == "value"}
    return Trace(
        text=rendered.text,
        segments=rendered.segments,
        steps=tuple(steps),
        setup={"sys_path": [], "module": None, "code": setup, "hash_seed": 0, "choices": list(draws)},
        view=view,
        outcome="ok",
        exception=None,
        integrity="clean",
        sandbox={"level": 0, "layers": "none: generated, nothing was run"},
        python=platform.python_version(),  # the column has no null; the version that made the row stands for it
        opened_calls=0,
        kept_whole={},  # no construct was kept as one command: a game's `if` is a command by design
        doctest_passed=None,
        choices=tuple(choices),
        beliefs=tuple(
            Belief(
                segment=value_segments[step],
                outcomes=tuple(outcomes),
                probabilities=tuple(probabilities),
                method="exact",
                stderr=(0.0,) * len(outcomes),
            )
            for step, outcomes, probabilities in beliefs
        ),
    )


def game_traces(game: Game, plays: Plays) -> Iterator[Trace]:
    """Yield one trace for each play, in order; with beliefs if the game hides something."""
    laws = reveal_laws(game, plays) if game.is_hidden else None
    for row in range(len(plays.actions)):
        yield _GameTrace(game, plays, row, None if laws is None else laws[row]).trace()


class _GameTrace:
    """Writes one play as a trace, command by command.

    Args:
        game, plays: the batch.
        row: the play's place in the batch.
        laws: [reveals, items], the law of each reveal (with ``shows_all`` [reveals, states]); None: no beliefs.
    """

    def __init__(self, game: Game, plays: Plays, row: int, laws: Floats | None) -> None:
        self._game, self._plays, self._row, self._laws = game, plays, row, laws
        self._labels = [str(label) for label in plays.labels[row]] if game.num_labels else list(game.items)
        self._variables = self._labels_of(game.holds[game.start])
        self._steps: list[Step] = []
        self._draws: list[float] = []
        self._choices: list[Choice] = []
        self._beliefs: list[tuple[int, Sequence[str], Sequence[float]]] = []

    def trace(self) -> Trace:
        """Return the trace of the play."""
        game, plays = self._game, self._plays
        self._assign()
        for number, (action, state) in enumerate(zip(plays.actions[self._row], plays.states[self._row], strict=True)):
            self._act(number, int(action), int(state))
            if (number + 1) % plays.spacing == 0:
                self._show((number + 1) // plays.spacing - 1, int(state))
        # The view of a mined session that shows as much: readers of the column need not know the origin.
        view = {"policy": "branch" if game.is_hidden else "written", "style": game.style, "every": plays.spacing}
        return trace_of(
            self._steps,
            setup=game.setup,
            view={**view, "partial": not game.shows_all},
            draws=self._draws,
            choices=self._choices,
            beliefs=self._beliefs,
        )

    def _labels_of(self, items: Ints) -> dict[str, str]:
        """Return the variables with the labels of the items that they hold."""
        return {name: self._labels[item] for name, item in zip(self._game.variables, items, strict=True)}

    def _assign(self) -> None:
        """Write the commands that give the variables their first values."""
        game = self._game
        for number, (source, name) in enumerate(zip(game.opening, game.variables, strict=True), 1):
            assigned = {each: self._variables[each] for each in game.variables[:number]}
            filled = source.format(*(self._variables[each] for each in game.variables))
            self._steps.append(Step(source=filled, output="", kind="statement", wrote=(name,), state=assigned))

    def _act(self, number: int, action: int, state: int) -> None:
        """Write command ``number``, which leads to ``state``, with the choice that it made."""
        before, self._variables = self._variables, self._labels_of(self._game.holds[state])
        chance = float(self._game.chances[action])
        # A visible action's draw is not recorded: its command doesn't call random().
        if chance < 1.0:
            draw = float(self._plays.draws[self._row, number])
            self._draws.append(draw)
            self._choices.append(
                Choice(
                    step=len(self._steps),
                    kind="random",
                    outcomes=(f"< {chance!r}", f">= {chance!r}"),
                    probabilities=(chance, 1.0 - chance),
                    taken=int(draw >= chance),
                )
            )
        # As the tracer counts it: a variable is written if its value changed. A swap of two like values writes none.
        wrote = tuple(name for name in self._game.variables if self._variables[name] != before[name])
        source = self._game.actions[action]
        self._steps.append(Step(source=source, output="", kind="statement", wrote=wrote, state=self._variables))

    def _show(self, reveal: int, state: int) -> None:
        """Write reveal number ``reveal``, with its belief if there is one."""
        game = self._game
        variable = int(self._plays.shown[self._row, reveal])
        texts = game.reveal_texts(variable, self._labels)
        if self._laws is not None:
            law = self._laws[reveal] if game.shows_all else _law_by_state(game, self._laws[reveal], variable)
            self._beliefs.append((len(self._steps), *_law_by_text(texts, law)))
        source = game.reveal_source(variable)
        self._steps.append(Step(source=source, output=texts[state], kind="reveal", state=self._variables))


def _law_by_state(game: Game, law: Floats, variable: int) -> Floats:
    """Turn a law over the items of a variable into one over states: an item's weight goes to the first state with it.

    A reveal's texts are listed by state, and all states that have the item show the same text.
    """
    by_state = np.zeros(len(game.holds))
    first_states = {int(item): state for state, item in reversed(list(enumerate(game.holds[:, variable])))}
    for item, state in first_states.items():
        by_state[state] = law[item]
    return by_state


def _law_by_text(texts: Sequence[str], law: Floats) -> tuple[list[str], list[float]]:
    """Return the distinct possible texts, sorted, and their probabilities; equal texts are one outcome."""
    by_text: dict[str, float] = {}
    for text, probability in zip(texts, law, strict=True):
        if probability > 0:
            by_text[text] = by_text.get(text, 0.0) + float(probability)
    total = sum(by_text.values())  # 1 but for rounding; a row's probabilities sum to 1 within 1e-12
    outcomes = sorted(by_text)
    return outcomes, [by_text[text] / total for text in outcomes]


def automaton_setup(automaton: Automaton) -> str:
    """Return the code that runs silently before a session of the automaton: ``step()`` emits a symbol and moves on.

    Raises:
        ValueError: the first state is drawn: a session begins in a known state.
    """
    # A drawn first state would be a choice before the first command, which no command of the session makes.
    certain = np.flatnonzero(automaton.start == 1.0)
    if len(certain) != 1:
        raise ValueError(f"expected q0 to be one state for a session, got {automaton.start.tolist()}; name one")

    def law(column: Floats, names: Sequence[str]) -> list[tuple[str, float]]:
        return [(name, float(p)) for name, p in zip(names, column, strict=True) if p > 0]

    symbol_law = automaton.symbol_law()
    return AUTOMATON_SETUP.format(
        emissions={state: law(symbol_law[:, q], automaton.symbols) for q, state in enumerate(automaton.states)},
        transitions={
            symbol: {
                state: law(automaton.transitions[s, :, q], automaton.states) for q, state in enumerate(automaton.states)
            }
            for s, symbol in enumerate(automaton.symbols)
        },
        state=automaton.states[int(certain[0])],
    )


def automaton_trace(automaton: Automaton, length: int, generator: np.random.Generator) -> Trace:
    """Play an automaton that has one first state. Each command is ``step()``, which shows the next symbol.

    The belief at a command is the law of its symbol given the symbols before it, by the exact filter.

    Args:
        automaton: one for which ``automaton_setup`` has a set-up.
        length: number of commands.
        generator: the source of the draws: two a command, the symbol and the next state.
    """
    law = automaton.symbol_law()
    state = int(np.flatnonzero(automaton.start == 1.0)[0])
    symbol = 0
    steps: list[Step] = []
    draws: list[float] = []
    symbols: list[int] = []
    choices: list[Choice] = []

    def draw(column: Floats, names: Sequence[str]) -> int:
        # A draw with one possible outcome is no choice, but takes a number all the same: `_pick` calls random() for it.
        draws.append(float(generator.random()))
        taken, possible = _picked(column, draws[-1]), np.flatnonzero(column > 0).tolist()
        if len(possible) > 1:
            choices.append(
                Choice(
                    step=len(steps),
                    kind="random",
                    outcomes=tuple(names[n] for n in possible),
                    probabilities=tuple(float(column[n]) for n in possible),
                    taken=possible.index(taken),
                )
            )
        return taken

    # Symbol first, then the state: the set-up's step() draws in this order.
    for _ in range(length):
        symbol = draw(law[:, state], automaton.symbols)
        state = draw(automaton.transitions[symbol, :, state], automaton.states)
        symbols.append(symbol)
        shown = repr(automaton.symbols[symbol])
        steps.append(Step(source="step()", output=shown, kind="statement", state={"_state": automaton.states[state]}))
    # weigh=True: the symbol itself is evidence of the state here, since the state's emissions decide which one comes.
    state_beliefs = beliefs_along(automaton, symbols, weigh=True)
    texts = [repr(symbol) for symbol in automaton.symbols]
    beliefs = [(n, *_law_by_text(texts, law @ state_beliefs[n])) for n in range(length)]
    view = {"policy": "branch", "style": "echo", "every": 1, "partial": True}
    return trace_of(steps, setup=automaton_setup(automaton), view=view, draws=draws, choices=choices, beliefs=beliefs)


def _picked(law: Floats, draw: float) -> int:
    """Return the outcome that the set-up's ``_pick`` gives for this draw: the same subtractions in the same order."""
    left, last = draw, 0
    for index in np.flatnonzero(law > 0):
        left -= float(law[index])
        last = int(index)
        if left < 0:
            break
    return last
