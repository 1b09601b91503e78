"""No command tells a hidden outcome by the way in which it is written: sessions that look alike go on alike.

Each program has outcomes of which a doctest can show some as they are and others not, or which one process alone
would show. Its sessions are written with draws of their own; where two have the same text up to a command, it is the
same command.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from trace_mine.tracer.schema import Drop, Piece, Snippet, Trace
from trace_mine.tracer.session import TracerConfig
from trace_mine.tracer.views import parse_view

VIEW = "branch+every:2+full"


@pytest.fixture(scope="module")
def tracer(kit: SimpleNamespace) -> Iterator[Any]:
    with kit.PlainTracer(TracerConfig(view=parse_view(VIEW))) as made:
        yield made


def forks(traces: Iterable[Trace]) -> dict[str, set[str]]:
    """Texts after which sessions go on with different commands, or end where others go on."""
    following: defaultdict[str, set[str]] = defaultdict(set)
    for trace in traces:
        starts: dict[int, int] = {}
        for segment in trace.segments:
            starts.setdefault(segment.step, segment.start)
        for step, start in starts.items():
            following[trace.text[:start]].add(trace.steps[step].source)
        following[trace.text].add("")
    return {text: commands for text, commands in following.items() if len(commands) > 1}


def sessions(tracer: Any, snippet: Snippet, number: int) -> tuple[list[Trace], Counter[str]]:
    """Sessions with draws of their own, and the reasons why others are none."""
    made = [tracer.trace(replace(snippet, session=session)) for session in range(number)]
    dropped = Counter(each.reason for each in made if isinstance(each, Drop))
    return [each for each in made if isinstance(each, Trace)], dropped


def script(source: str) -> Snippet:
    return Snippet(
        kind="script",
        name="game",
        path="game.py",
        line=1,
        end_line=source.count("\n") + 1,
        pieces=(Piece(source=source, line=1),),
        code="__name__ = '__main__'",
    )


def prompt(*sources: str) -> Snippet:
    """Examples of a docstring, after a set-up of their own."""
    pieces = tuple(Piece(source=f"{source}\n", line=number + 1) for number, source in enumerate(sources))
    return Snippet(
        kind="doctest", name="game", path="game.py", line=1, end_line=len(pieces), pieces=pieces, continue_on_error=True
    )


HIDDEN = "from random import random\nx = 2 if random() < 0.5 else 1\n"
PROGRAMS = {
    "prints and raises": script(
        HIDDEN + "def f(x):\n    if random() < .5:\n        print('x')\n"
        "    if x > 1:\n        raise ValueError('two')\n    return x\nfor i in range(2):\n    f(x)\nprint(x)\n"
    ),
    "prints and raises at a prompt": prompt(
        HIDDEN.split("\n")[0],
        "def f():\n    print(1)\n    return 1 // (random() < 0.5)",
        "f()",
        "f()",
        "x = f()",
        "random() < 0.5",
    ),
    "prints and raises in a loop": script(
        HIDDEN + "for i in range(4):\n    print(i)\n    if i == x or random() < .3:\n        raise KeyError(i)\n"
    ),
    "prints a tab": script(
        HIDDEN + "def f(x):\n    print('a\\tb' if x > 1 else 'c')\n    return x\nf(x)\ny = f(x)\nprint(y)\n"
    ),
    "prints a tab or raises": script(
        HIDDEN
        + "def f(x):\n    if x > 1 and random() < .5:\n        raise ValueError\n    print('a\\tb')\nf(x)\nprint(x)\n"
    ),
    "a long echo": prompt(
        HIDDEN.split("\n")[0],
        "def f():\n    return list(range(1000 if random() < .5 else 3))",
        "f()",
        "f()[0]",
        "random() < .5",
    ),
    "an address": prompt(
        HIDDEN.split("\n")[0],
        "def f():\n    return object() if random() < .5 else None",
        "f()",
        "y = f()",
        "y",
        "[y, random() < .5]",
        "random() < .5",
    ),
    "tests of all kinds": script(
        HIDDEN + "y = [] if x > 1 else 0\nif y:\n    print('never')\nif x > 0 and y:\n    print('neither')\nprint(x)\n"
    ),
    "sometimes None": prompt(
        HIDDEN.split("\n")[0],
        "def f(x):\n    y = None if random() < .5 else x\n    return y",
        "f(3)",
        "f(4)",
        "y = f(5)",
        "y",
    ),
    "an order": prompt(
        HIDDEN.split("\n")[0],
        "def f(words):\n    return list(set(words)) if random() < .5 else sorted(words)",
        "f(['a', 'b', 'c'])",
        "f(['a', 'b', 'c', 'd', 'e'])",
        "x = f('ab')",
        "x",
        "len(x), random() < .5",
    ),
    "an order that is printed": script(
        HIDDEN
        + "def f(x):\n    print({'a', 'b', 'c', 'd'} if x > 1 else 'none')\n    return x\nf(x)\nprint(f(3))\nprint(x)\n"
    ),
    "a message that no doctest shows": script(
        HIDDEN + "class E(Exception):\n    def __str__(self):\n        return 'a\\tb' if x > 1 else 'c'\n"
        "def f(x):\n    raise E\ntry:\n    f(x)\nfinally:\n    print(x)\n"
    ),
}
DROPPED = {
    "an order that is printed": set(),
    "a message that no doctest shows": {"tells_outcome"},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_command_is_written_in_one_way_for_all_outcomes(name: str, tracer: Any) -> None:
    made, dropped = sessions(tracer, PROGRAMS[name], 8)
    assert not forks(made)
    assert not any("unstable" in each.kept_whole or "replay_differs" in each.kept_whole for each in made)
    assert set(dropped) <= DROPPED.get(name, set())
    assert made or dropped
    assert len({each.text for each in made}) > 1 or dropped, "nothing was hidden"


def test_what_was_shown_and_what_was_not_is_believed_alike(tracer: Any) -> None:
    made, _ = sessions(tracer, PROGRAMS["prints and raises at a prompt"], 8)
    laws = defaultdict(set)
    for each in made:
        for belief in each.beliefs:
            assert belief.method == "exact"
            start = each.segments[belief.segment].start
            laws[each.text[:start]].add((belief.outcomes, belief.probabilities))
    assert laws and all(len(law) == 1 for law in laws.values())
    assert any("ZeroDivisionError" in outcome for (law,) in laws.values() for outcome in law[0])


def test_a_session_whose_check_fails_is_none(tracer: Any) -> None:
    """It was written again with the construct whole, and whether it was told what was drawn."""
    source = HIDDEN + "import sys\nif x > 1:\n    print(sys._getframe().f_code.co_filename)\nprint(x)\n"
    made, dropped = sessions(tracer, script(source), 6)
    assert (made and dropped and set(dropped) == {"replay_mismatch"}) or not forks(made)
    assert not forks(made)


# random programs: draws, values of many types, prints and exceptions, in functions, loops and branches

NAMES = "abc"
VALUES = ("1", "2", "[]", "None", "'t\\t'", "{'p', 'q', 'r'}", "[1, 2]", "(3,)", "True", "0", "{1: 2}", "object()")
TESTS = ("{0}", "{0} == 1", "not {0}", "random() < .5", "{0} and {1}", "isinstance({0}, list)")
STATEMENTS = (
    "{0} = {v}",
    "{0} = {v} if random() < .5 else {w}",
    "{0} = choice([{v}, {w}])",
    "{0} = {1}",
    "print({0})",
    "print('{0}', random() < .5)",
    "{0} = {1} + {2}",
    "{0} = [{1}, {2}]",
    "{0} = len({1})",
    "{0} = sorted({1})",
    "{0} = str({1})",
    "assert {0}",
    "{0}",
    "{0} = f({1})",
    "f({1})",
    "print(f({1}))",
    "print(*{0})",
)


def program_of(seed: int) -> str:
    """A program with a function, loops and branches, of some fifteen lines."""
    generator = random.Random(seed)

    def statement(names: Sequence[str], depth: int, in_function: bool) -> list[str]:
        kind = generator.random()
        if depth and kind < 0.3:
            test = fill(generator.choice(TESTS), names)
            lines = [f"if {test}:", *indented(block(names, depth - 1, in_function))]
            return lines + (
                ["else:", *indented(block(names, depth - 1, in_function))] if generator.random() < 0.4 else []
            )
        if depth and kind < 0.4:
            return [
                f"for {generator.choice(names)} in range({generator.choice((1, 2, 3))}):",
                *indented(block(names, depth - 1, in_function)),
            ]
        if depth and kind < 0.47:
            caught = generator.choice(("TypeError", "Exception", "ValueError as e"))
            return ["try:", *indented(block(names, depth - 1, in_function)), f"except {caught}:", *indented(["pass"])]
        text = fill(generator.choice(STATEMENTS), names)
        return ["pass" if in_function and "f(" in text else text]

    def fill(text: str, names: Sequence[str]) -> str:
        one, other, third = (generator.choice(names) for _ in range(3))
        return text.format(one, other, third, v=generator.choice(VALUES), w=generator.choice(VALUES))

    def block(names: Sequence[str], depth: int, in_function: bool) -> list[str]:
        return [line for _ in range(generator.choice((1, 2))) for line in statement(names, depth, in_function)]

    def indented(lines: Sequence[str]) -> list[str]:
        return [f"    {line}" for line in lines]

    body = [*block("xyz", 1, True), *block("xyz", 1, True)]
    result = f"return {generator.choice('xyz')}" if generator.random() < 0.8 else "return"
    lines = [
        "from random import choice, random",
        "def f(x):",
        "    y = z = 0",
        *indented(body),
        f"    {result}",
        "a = b = c = 1",
    ]
    for _ in range(6):
        lines += statement(NAMES, 2, False)
    return "\n".join([*lines, "print(random() < .5)", "print(a)"]) + "\n"


@given(st.integers(0, 2**32))
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_random_programs_tell_nothing(tracer: Any, seed: int) -> None:
    source = program_of(seed)
    made, _ = sessions(tracer, script(source), 4)
    assert not forks(made), source
