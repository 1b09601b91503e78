"""Small random Python programs with choices, run through the tracer itself: sandboxed, checked, replayed, believed.

Each is a few integer variables modulo ``modulus`` and statements over them: arithmetic, swaps, draws, and branches and
loops that depend on draws and on values. Slower than the other tasks by far (about 15 rows a second a core).
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trace_mine.corpus.synthetic.permutations import NAMES, check_range
from trace_mine.corpus.synthetic.task import TRIES, Stage, key_of, sized, split_of
from trace_mine.tracer.schema import Drop, Piece, Snippet, Trace
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

CODE = "from random import choice, randint, random\n"
_tracers: dict[int, Tracer] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTask:
    """Random programs of ``variables`` variables modulo ``modulus``; a share ``p`` of the statements draws."""

    name: str
    parameters: Mapping[str, Any]

    def trace(self, index: int, *, seed: int, split: str, stage: Stage) -> Trace:
        """Row ``index`` of the split: the stage's number of statements, its spacing between reveals.

        Raises:
            ValueError: the tracer drops the program; the message says why.
        """
        for attempt in range(TRIES):
            parts = (self.name, dict(self.parameters), seed, split, stage.commands, stage.spacing, int(index), attempt)
            length, spacing, generator = sized(stage, key_of(*parts))
            source = program(generator, length, **self.parameters)
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
        made = _tracer(spacing).trace(snippet)
        if isinstance(made, Drop):
            raise ValueError(f"expected a program that can be traced, got {made.reason}: {made.evidence}")
        return made


def programs_task(*, variables: int = 3, modulus: int = 4, p: float = 0.4) -> ProgramTask:
    """Programs of ``variables`` integers modulo ``modulus``, run through the tracer; a share ``p`` of their statements
    draws. ``--commands`` is the number of statements.

    Raises:
        ValueError: a parameter is out of range.
    """
    check_range("variables", variables, 2, len(NAMES))
    check_range("modulus", modulus, 2, 10)
    check_range("p", p, 0.0, 1.0)
    return ProgramTask(name="programs", parameters={"variables": variables, "modulus": modulus, "p": p})


def program(generator: np.random.Generator, length: int, *, variables: int, modulus: int, p: float) -> str:
    """The source of one program with ``length`` statements after its assignments."""
    names = NAMES[:variables]
    lines = [f"{name} = {int(generator.integers(modulus))}" for name in names]
    for _ in range(length):
        drawn = generator.random() < p
        lines += _drawing(generator, names, modulus) if drawn else _plain(generator, names, modulus)
    return "\n".join(lines) + "\n"


def _two(generator: np.random.Generator, names: str) -> tuple[str, str]:
    first, second = generator.choice(len(names), 2, replace=False)
    return names[int(first)], names[int(second)]


def _simple(generator: np.random.Generator, names: str, modulus: int) -> str:
    x, y = _two(generator, names)
    k = int(generator.integers(1, modulus))
    forms = (f"{x}, {y} = {y}, {x}", f"{x} = ({x} + {k}) % {modulus}", f"{x} = ({x} + {y}) % {modulus}")
    return forms[int(generator.integers(len(forms)))]


def _plain(generator: np.random.Generator, names: str, modulus: int) -> list[str]:
    x, y = _two(generator, names)
    body = _simple(generator, names, modulus)
    forms = (
        [_simple(generator, names, modulus)],
        [f"if {x} > {y}:", f"    {body}"],
        [f"for step in range({int(generator.integers(2, 4))}):", f"    {body}"],
    )
    return forms[int(generator.integers(len(forms)))]


def _drawing(generator: np.random.Generator, names: str, modulus: int) -> list[str]:
    x, y = _two(generator, names)
    chance = int(generator.integers(1, 10)) / 10
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
    """This process's tracer for a spacing; the newest is kept, since each holds two sandboxed workers."""
    if spacing not in _tracers:
        _close()
        _tracers[spacing] = Tracer(TracerConfig(view=parse_view(f"branch+every:{spacing}+print")))
    return _tracers[spacing]


@atexit.register
def _close() -> None:
    for tracer in _tracers.values():
        tracer.close()
    _tracers.clear()
