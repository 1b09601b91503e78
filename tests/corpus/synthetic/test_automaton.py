"""The automaton's record: what it refuses, that it stays as it is, its sessions, and the ones that it plays."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from trace_mine.corpus.synthetic.automaton import Automaton, AutomatonCommand
from trace_mine.corpus.synthetic.play_traces import automaton_trace
from worked_automata import coin

PARTS = {
    "name": "switch",
    "states": ("on", "off"),
    "symbols": ("tick", "see on"),
    "transitions": np.array([[[0.9, 0.0], [0.1, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]),
    "reveals": np.array([[True, True], [True, False]]),
    "start": np.array([1.0, 0.0]),
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"states": ("on", "on")}, "states of switch to be distinct"),
        ({"symbols": ()}, "symbols of switch to be distinct and at least one"),
        ({"start": np.ones(3) / 3}, "start of shape \\(2,\\), got \\(3,\\)"),
        ({"transitions": PARTS["transitions"][:1]}, "transitions of shape \\(2, 2, 2\\)"),
        ({"transitions": PARTS["transitions"].transpose(0, 2, 1)}, "delta\\(on, tick\\) to sum to 1, got 0.9"),
        ({"start": np.array([1.0 + 1e-8, 0.0])}, "q0 to sum to 1, got 1.00000001"),
        ({"start": np.array([1.5, -0.5])}, "q0 to be probabilities"),
        ({"start": np.array([np.nan, 1.0])}, "q0 to be probabilities"),
        ({"reveals": np.array([[True, True], [False, False]])}, "rho\\(see on\\) to hold a state, got none"),
        ({"reveals": np.array([[True, False], [True, False]])}, "may be emitted in state off, got none"),
        ({"reveals": np.array([[1, 1], [1, 0]])}, "reveals of dtype bool, got int"),
        ({"start": np.array([1j, 0])}, "start of dtype float64, got complex"),
        ({"emissions": np.array([[0.5, 0.5], [0.5, 0.5]])}, "emissions in state off to respect rho"),
        ({"emissions": np.array([[0.5, 0.9], [0.5, 0.0]])}, "emissions in state off to sum to 1, got 0.9"),
        ({"commands": (AutomatonCommand(source="tick()"),)}, "a command for each of 2 symbols, got 1"),
    ],
)
def test_what_is_no_automaton_is_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        Automaton(**(PARTS | changed))


def test_an_automaton_stays_as_it_was_made():
    start = np.array([1.0, -0.0])
    automaton = Automaton(**(PARTS | {"start": start}))
    start[0] = 0.0
    assert automaton.start.tolist() == [1.0, 0.0] and not np.signbit(automaton.start).any()
    for array in (automaton.start, automaton.transitions, automaton.reveals):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_played_symbols_keep_to_rho_and_to_the_law():
    """5,000 steps of the coin: after a flip each side is up half the time, within 5 standard errors."""
    automaton = coin()
    trace = automaton_trace(automaton, 5_000, np.random.default_rng(0))
    symbols = [automaton.index(ast.literal_eval(step.output)) for step in trace.steps]
    states = [int(automaton.start.argmax()), *(automaton.states.index(step.state["_state"]) for step in trace.steps)]
    assert len(states) == len(symbols) + 1
    assert all(automaton.reveals[symbol, state] for symbol, state in zip(symbols, states, strict=False))
    after_flips = [states[n + 1] for n, symbol in enumerate(symbols) if symbol == 0]
    assert abs(np.mean(after_flips) - 0.5) < 5 * 0.5 / len(after_flips) ** 0.5
    assert all(states[n + 1] == states[n] for n, symbol in enumerate(symbols) if symbol)
    # of the two symbols that a side allows, each is emitted half the time
    assert abs(np.mean(np.array(symbols) == 0) - 0.5) < 5 * 0.5 / len(symbols) ** 0.5


def test_symbols_are_known_by_name():
    assert coin().index("see 2") == 2
    with pytest.raises(ValueError, match=r"flip, see 1, see 2.* got 'see 3'; see Sigma"):
        coin().index("see 3")


def test_a_session_shows_each_symbol_s_command():
    commands = (
        AutomatonCommand(source="if random() < 0.1:\n    on = False"),
        AutomatonCommand(source="on", output="True"),
    )
    automaton = Automaton(**PARTS, commands=commands)
    session = automaton.session([1, 0])
    assert session.text == ">>> on\nTrue\n>>> if random() < 0.1:\n...     on = False\n"
    assert [segment.role for segment in session.segments][:3] == ["prompt", "reveal", "value"]
    with pytest.raises(ValueError, match="expected commands for the symbols of coin, got none"):
        coin().session([0])


@pytest.mark.parametrize(
    ("source", "output"), [("", "x"), (" ", ""), ("x\n", ""), ("x", "1\n>>> y"), ("x", "1\n"), ("x", "1\n\n2")]
)
def test_commands_that_a_prompt_can_t_show_are_refused(source, output):
    with pytest.raises(ValueError, match="that can be told apart at a prompt"):
        AutomatonCommand(source=source, output=output)
