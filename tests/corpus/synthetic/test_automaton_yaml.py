"""Automata as files: written and read back bit for bit, and errors that say what is wrong and on which line."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.synthetic.automaton import Automaton, AutomatonCommand
from trace_mine.corpus.synthetic.automaton_yaml import AutomatonError, parse_automaton, read_automaton, write_automaton
from worked_automata import sample

ROOT = Path(__file__).resolve().parents[3]
NAMES = st.one_of(
    st.text(min_size=1), st.sampled_from(["on", "null", "01", "1:30", "1e5", "<<", "=", "~", "a: b", "- a"])
)
HEAD = "Q: [a, b]\nSigma: [s, t]\nq0: a\n"


@st.composite
def laws(draw, num_rows):
    """A law over the rows: some weights zero, some tiny, or all on one."""
    weights = draw(
        st.lists(st.sampled_from([0.0, 1e-300, 1e-17, 1 / 3, 1.0, 7.0]), min_size=num_rows, max_size=num_rows)
    )
    weights[draw(st.integers(0, num_rows - 1))] += 1.0
    return np.array(weights) / sum(weights)


@st.composite
def automata(draw):
    states = tuple(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    symbols = tuple(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    reveals = np.array([[draw(st.booleans()) for _ in states] for _ in symbols])
    reveals[~reveals.any(axis=1), 0] = True
    reveals[-1, ~reveals.any(axis=0)] = True
    emissions = None
    if draw(st.booleans()):
        weights = np.where(reveals, [draw(laws(len(states))) + 0.1 for _ in symbols], 0.0)
        emissions = weights / weights.sum(axis=0)
    texts = st.sampled_from(["print('a', a)", "if x:\n    y = 1", "yes", "1", "'\u00e9' \"#\""])
    commands = tuple(
        AutomatonCommand(source=draw(texts), output=draw(st.sampled_from(["", "a 1", "on", "x\ny"]))) for _ in symbols
    )
    return Automaton(
        name=draw(st.text()),
        states=states,
        symbols=symbols,
        transitions=np.array([[draw(laws(len(states))) for _ in states] for _ in symbols]).transpose(0, 2, 1),
        reveals=reveals,
        start=draw(laws(len(states))),
        emissions=emissions,
        commands=commands if draw(st.booleans()) else None,
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(automata())
def test_what_is_written_is_read_back_bit_for_bit(automaton):
    again = parse_automaton(write_automaton(automaton), "not this name")
    for part in ("name", "states", "symbols", "commands"):
        assert getattr(again, part) == getattr(automaton, part)
    for part in ("transitions", "reveals", "start", "emissions"):
        first, second = getattr(automaton, part), getattr(again, part)
        assert (first is None) == (second is None)
        assert first is None or first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "delta:\n  s:\n    a: {a: 0.5, b: 0.4}\n", "delta of s in a to sum to 1, got 0.9 \\(line 6\\)"),
        (HEAD + "delta:\n  s:\n    a: {c: 1}\n", "delta of s in a to speak of a, b, got 'c' \\(line 6\\)"),
        (HEAD + "delta:\n  s: {c: a}\n", "delta of s to speak of a, b, got 'c' \\(line 5\\)"),
        (HEAD + "delta:\n  u: {a: b}\n", "delta to speak of s, t, got 'u' \\(line 5\\)"),
        (HEAD + "delta: {s: {a: {a: '1'}}}", "in delta of s in a for a, got '1' \\(line 4\\); write it without quotes"),
        (HEAD + "delta: {s: {a: {a: half}}}", "a number or a fraction like 1/3.*got 'half'"),
        (HEAD + "delta: {s: {a: {a: 1/0}}}", "got '1/0' \\(line 4\\); correct it"),
        (HEAD + "delta: {s: {a: {a: 3/2, b: -1/2}}}", "delta of s in a for a to be between 0 and 1"),
        (HEAD + "delta: {s: {a: {a: .nan}}}", "a number or a fraction like 1/3"),
        (HEAD + "delta: {s: {a: {a: 1e999}}}", "between 0 and 1.*got '1e999'"),
        (HEAD + "delta: {s: {a: [a, b]}}", "text in delta of s in a, got a list"),
        (HEAD + "delta: {s: {a: a, a: b}}", "each key of delta of s once, got 'a' twice \\(line 4\\)"),
        (HEAD + "delta: [s]", "delta to be a mapping, got a list \\(line 4\\)"),
        (HEAD + "rho:\n  s: []\n", "rho of s to be a list of states, got a list \\(empty\\) \\(line 5\\)"),
        (HEAD + "rho:\n  s: [a, c]\n", "rho of s to speak of a, b, got 'c' \\(line 5\\)"),
        (HEAD + "rho: {s: [a], t: [a]}", "a symbol that may be emitted in state b, got none"),
        (HEAD + "emissions: {a: {s: 1}}", "emissions for every state, got none for b"),
        (HEAD + "rho: {s: [a]}\nemissions: {a: t, b: s}", "emissions in state b to respect rho"),
        (HEAD + "commands: {s: {source: x}}", "commands for every symbol, got none for t"),
        (HEAD + "commands: {s: {output: x}, t: {source: x}}", "commands of s to have a source"),
        (HEAD + "commands: {s: {source: x, out: y}, t: {source: x}}", "to speak of source, output, got 'y'|got 'out'"),
        (HEAD + "commands: {s: {source: ''}, t: {source: x}}", "commands of s: expected a command and an output"),
        (HEAD + "q0: b\n", "each key of the file once, got 'q0' twice \\(line 4\\)"),
        (HEAD + "start: b\n", "unknown \\['start'\\], missing \\[\\]"),
        ("Q: [a]\nSigma: [s]\nq0: b\n", "q0 to speak of a, got 'b' \\(line 3\\)"),
        ("Q: [a]\nSigma: [s]\nq0: {a: 1/2}\n", "q0 to sum to 1, got 0.5 \\(line 3\\)"),
        ("Q: [a, a]\nSigma: [s]\nq0: a\n", "distinct names in Q, got a more than once \\(line 1\\)"),
        ("Q: []\nSigma: [s]\nq0: a\n", "Q to be a list of names, got a list \\(empty\\)"),
        ("Q: a\nSigma: [s]\nq0: a\n", "Q to be a list of names, got 'a' \\(line 1\\)"),
        (
            "Q: [a]\nSigma: [s]\nq0: !!python/object/apply:os.getcwd []\n",
            "with the tag tag:yaml.org,2002:python/object",
        ),
        ("Q: [!name a]\nSigma: [s]\nq0: a\n", "text in Q, got 'a' with the tag !name"),
        ("Q: &q [*q]\nSigma: [s]\nq0: a\n", "text in Q, got a list"),
        ("Q: [a\n", "expected YAML, got .*line 2"),
        ("Q: [a]\n---\nQ: [b]\n", "expected YAML, got expected a single document"),
        ("[" * 5000, "expected YAML"),
        ("", "expected a mapping with Q, Sigma, delta, rho, q0, got nothing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, says):
    with pytest.raises(AutomatonError, match=says):
        parse_automaton(text)


def test_names_are_text_and_numbers_are_numbers():
    automaton = parse_automaton(
        "Q: [01, on, null]\nSigma: [1:30]\nq0: {01: 1/3, on: 66e-2, null: .00666666666666666}\n"
    )
    assert automaton.states == ("01", "on", "null") and automaton.symbols == ("1:30",)
    assert automaton.start.tolist() == [1 / 3, 0.66, 0.00666666666666666]


def test_what_is_left_out_stays_and_is_allowed_anywhere():
    automaton = parse_automaton(HEAD + "delta: {s: {a: b}}\nrho:\n", "from a file")
    assert automaton.name == "from a file" and automaton.reveals.all() and automaton.emissions is None
    assert automaton.transitions.tolist() == [[[0, 0], [1, 1]], [[1, 0], [0, 1]]]
    assert write_automaton(automaton).count("\n") == 7  # six keys, and delta's one entry below it


def test_an_anchor_is_the_law_it_stands_for():
    automaton = parse_automaton(HEAD + "delta: {s: {a: &even {a: 1/2, b: 1/2}, b: *even}}")
    assert automaton.transitions[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_a_file_that_can_t_be_read_is_said(tmp_path):
    with pytest.raises(AutomatonError, match=r"expected a YAML file, got .*nowhere\.yaml"):
        read_automaton(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"Q: [\xe9]")
    with pytest.raises(AutomatonError, match=r"expected a YAML file, got .*latin\.yaml"):
        read_automaton(tmp_path / "latin.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_read_and_write(path):
    automaton = read_automaton(path)
    assert automaton.name != path.stem and len(sample(automaton, 20, np.random.default_rng(0))) == 20
    assert np.array_equal(parse_automaton(write_automaton(automaton)).transitions, automaton.transitions)


def test_the_document_prints_what_it_shows(monkeypatch):
    document = (ROOT / "docs" / "automata.md").read_text(encoding="utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n```text\n(.*?)```", document, re.DOTALL).groups()
    monkeypatch.chdir(ROOT)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(code, {"__name__": "example"})
    assert told.getvalue() == printed
    coin = (ROOT / "docs" / "examples" / "hidden_coin.yaml").read_text(encoding="utf-8")
    broken = [coin.replace("{heads: 3/4, tails: 1/4}", "{heads: 0.9}"), coin.replace("q0: heads", "q0: edge")]
    shown = re.search(r"reported with its line:\n\n```text\n(.*?)```", document, re.DOTALL).group(1).splitlines()
    assert len(shown) == len(broken)
    for text, line in zip(broken, shown, strict=True):
        with pytest.raises(AutomatonError, match=re.escape(line)):
            parse_automaton(text)
