"""The task ``programs``: small random Python programs with draws, run through the tracer in the sandbox.

A program has a few integer variables modulo ``modulus``, and statements over them: arithmetic, swaps, draws, and
branches and loops that depend on draws and on values. The tracer checks, replays and computes beliefs as for mined
code, so this task is slower than the others by far: about 15 rows a second on one core.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trace_mine.corpus.synthetic.permutations import NAMES, check_range
from trace_mine.corpus.synthetic.task import TRIES, Stage, draw_size, generator_for, split_of
from trace_mine.tracer.schema import Drop, Piece, Snippet, Trace
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

CODE = "from random import choice, randint, random\n"
# Spacing to the process's Tracer; see `_tracer`.
_tracers: dict[int, Tracer] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTask:
    """Random programs of ``variables`` variables modulo ``modulus``; a statement draws with probability ``p``.

    Raises:
        ValueError: a parameter is out of range.
    """

    name: str
    variables: int
    modulus: int
    p: float

    def __post_init__(self) -> None:
        check_range("variables", self.variables, 2, len(NAMES))
        check_range("modulus", self.modulus, 2, 10)
        check_range("p", self.p, 0.0, 1.0)

    @property
    def parameters(self) -> Mapping[str, object]:
        """The parameters of the rows, JSON."""
        return {"variables": self.variables, "modulus": self.modulus, "p": self.p}

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Make row ``index`` of the split: the stage's number of statements, its spacing between reveals.

        Raises:
            ValueError: the tracer drops the program, for the reason in the message, or no program belongs to the split.
        """
        for attempt in range(TRIES):
            length, spacing, generator = draw_size(stage, generator_for(self, seed, split, stage, index, attempt))
            source = program(generator, length, variables=self.variables, modulus=self.modulus, p=self.p)
            if split_of([source]) == split:
                break
        else:
            raise ValueError(f"expected programs of the {split} split, got none in {TRIES} tries; take longer ones")
        snippet = Snippet(
            kind="script",
            name=f"program {seed} {split} {index}",
            path="program.py",
            line=1,
            end_line=source.count("\n"),
            code=CODE,
            pieces=(Piece(source=source, line=1),),
        )
        result = _tracer(spacing).trace(snippet)
        if isinstance(result, Drop):
            raise ValueError(f"expected a program that can be traced, got {result.reason}: {result.evidence}")
        return result


def programs_task(*, variables: int = 3, modulus: int = 4, p: float = 0.4) -> ProgramTask:
    """Programs of ``variables`` integers modulo ``modulus``, run through the tracer; a statement draws with probability
    ``p``. ``--commands`` is the number of statements.

    Raises:
        ValueError: a parameter is out of range.
    """
    return ProgramTask(name="programs", variables=variables, modulus=modulus, p=p)


def program(generator: np.random.Generator, length: int, *, variables: int, modulus: int, p: float) -> str:
    """Return the source of one program: an assignment for each variable, then ``length`` statements."""
    names = NAMES[:variables]
    lines = [f"{name} = {int(generator.integers(modulus))}" for name in names]
    for _ in range(length):
        draws = generator.random() < p
        lines += _drawing(generator, names, modulus) if draws else _deterministic(generator, names, modulus)
    return "\n".join(lines) + "\n"


def _two_names(generator: np.random.Generator, names: str) -> tuple[str, str]:
    first, second = generator.choice(len(names), 2, replace=False)  # numpy integers
    return names[int(first)], names[int(second)]


def _simple(generator: np.random.Generator, names: str, modulus: int) -> str:
    """Return a swap or an addition, in one line."""
    x, y = _two_names(generator, names)
    k = int(generator.integers(1, modulus))
    forms = (f"{x}, {y} = {y}, {x}", f"{x} = ({x} + {k}) % {modulus}", f"{x} = ({x} + {y}) % {modulus}")
    return forms[int(generator.integers(len(forms)))]


def _deterministic(generator: np.random.Generator, names: str, modulus: int) -> list[str]:
    """Return the lines of a statement that draws nothing."""
    # Every form's parts are drawn before one form is chosen: the order of draws is a part of the format of rows.
    x, y = _two_names(generator, names)
    body = _simple(generator, names, modulus)
    forms = (
        [_simple(generator, names, modulus)],
        [f"if {x} > {y}:", f"    {body}"],
        # At most three rounds: the loop is unrolled in the session, and each round's states are followed in the belief.
        [f"for step in range({int(generator.integers(2, 4))}):", f"    {body}"],
    )
    return forms[int(generator.integers(len(forms)))]


def _drawing(generator: np.random.Generator, names: str, modulus: int) -> list[str]:
    """Return the lines of a statement that draws."""
    x, y = _two_names(generator, names)
    chance = int(generator.integers(1, 10)) / 10  # .1 to .9: the text has a short literal of the very number
    body, other = _simple(generator, names, modulus), _simple(generator, names, modulus)
    forms = (
        [f"if random() < {chance}:", f"    {body}"],
        [f"if random() < {chance}:", f"    {body}", "else:", f"    {other}"],
        [f"{x} = randint(0, {modulus - 1})"],
        [f"{x} = choice([{x}, {y}])"],
        ["for step in range(2):", f"    if random() < {chance}:", f"        {body}"],
    )
    return forms[int(generator.integers(len(forms)))]


def _tracer(spacing: int) -> Tracer:
    """Return this process's Tracer for a spacing. Only the newest is kept open, since each holds two sandboxed workers;
    rows come stage by stage, so the spacing seldom changes.
    """
    if spacing not in _tracers:
        _close()
        _tracers[spacing] = Tracer(TracerConfig(view=parse_view(f"branch+every:{spacing}+print")))
    return _tracers[spacing]


# Workers of the engine live for many units, so a Tracer has no other end than the process's.
@atexit.register
def _close() -> None:
    for tracer in _tracers.values():
        tracer.close()
    _tracers.clear()
