"""Runs of a program with other draws each: what it prints, if it raises, and how often it draws."""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import importlib
import io
import os
import random
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, TypedDict

from trace_mine_harvest.runs import within

PIECE = "<program> "
"""How the file of a piece's code is called, before its number."""


class GivenProgram(TypedDict):
    """A snippet as the supervisor sends it; paths are absolute ones of the jail.

    Attributes:
        number: it is told apart by.
        name: by which its draws of places are seeded, with the seed.
        module, code, pieces, is_script, folder, file, sys_path: as in ``trace_mine_harvest.runs.GivenSnippet``.
        is_notebook: its pieces are those of a notebook's cells.
        lines: of each piece, the line of the file at which it stands, as the finder of the snippet says.
        edited: ``pieces``, ``function`` or ``both``: what is edited.
        function: the file of the function, and a line of it.
    """

    number: int
    name: str
    module: str | None
    code: str
    pieces: list[str]
    lines: list[int]
    is_script: bool
    is_notebook: bool
    folder: str
    file: str
    sys_path: list[str]
    edited: str
    function: tuple[str, int]


def sample_runs(program: GivenProgram, pieces: Sequence[str], number: int, seconds: float) -> dict[str, int]:
    """Run a program some times: how many runs there were, how many raised or took too long, how many outputs differ,
    if any run drew (``drew``), how often the edits of all runs drew (``drawn``), and how many lines of the output
    differ from run to run (``open``).
    """
    outputs: set[str] = set()
    raised = runs = 0
    drew = False
    counts = [0]
    for seed in range(number):
        with _counted(counts):
            output = output_of(program, pieces, seed, seconds)
        runs += 1
        # a draw moves the generator on, which each run seeds
        drew |= random.getstate() != random.Random(seed).getstate()
        raised += output is None
        outputs.add(output or "")
        if not drew or 10 * raised > number:  # then each run is this one, or it is enough
            break
    lines = zip_longest(*(output.split("\n") for output in outputs))
    num_open = sum(len({*each}) > 1 for each in lines)
    return {
        "runs": runs, "raised": raised, "distinct": len(outputs), "drew": drew, "drawn": counts[0], "open": num_open
    }  # fmt: skip


@contextlib.contextmanager
def _counted(counts: list[int]) -> Iterator[None]:
    """A context in which calls of the functions that edits draw by add to ``counts``."""
    before = {name: getattr(random, name) for name in ("random", "choice")}

    def counting(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            counts[0] += 1
            return function(*arguments)

        return counted

    for name, function in before.items():
        setattr(random, name, counting(function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(random, name, function)


def output_of(program: GivenProgram, pieces: Sequence[str], seed: int, seconds: float) -> str | None:
    """Run a program; gives what it prints, None where it raises or takes too long."""
    output = io.StringIO()
    try:
        with within(seconds), contextlib.redirect_stdout(output):
            random.seed(seed)
            _run(program, pieces)
    except BaseException as error:  # whatever strangers' code raises, the next one is run
        if isinstance(error, KeyboardInterrupt):
            raise
        return None
    return output.getvalue()


def _run(program: GivenProgram, pieces: Sequence[str]) -> None:
    sys.path[:0] = [path for path in program["sys_path"] if path not in sys.path]
    main = types.ModuleType("__main__")
    if program["module"]:
        main.__dict__.update({**vars(importlib.import_module(program["module"])), "__name__": "__main__"})
    if program["is_script"]:
        with contextlib.suppress(OSError):  # a folder that is gone: the script says what it misses
            os.chdir(program["folder"])
    before, sys.modules["__main__"] = sys.modules["__main__"], main
    own = sys.modules.get(program["module"] or "")
    with _attributes_kept([*main.__dict__.values(), own]):
        try:
            exec(compile(program["code"], "<set-up>", "exec"), main.__dict__)
            for number, piece in enumerate(pieces):
                for one in _singles(number, piece, is_script=program["is_script"] and not program["is_notebook"]):
                    exec(one, main.__dict__)
        finally:
            sys.modules["__main__"] = before


@contextlib.contextmanager
def _attributes_kept(values: Sequence[object]) -> Iterator[None]:
    """A context that gives classes and modules among values back the attributes that they had: what is edited is bound
    to its class or module, which the next program has too.
    """
    kinds = [each for each in values if isinstance(each, type) and each.__module__ != "builtins"]
    classes = [*kinds, *(each for each in values if type(each) is types.ModuleType and each is not builtins)]
    before = [dict(vars(each)) for each in classes]
    try:
        yield
    finally:
        for each, attributes in zip(classes, before, strict=True):
            for name, value in dict(vars(each)).items():
                if name in attributes and attributes[name] is not value:
                    with contextlib.suppress(Exception):  # what a metaclass does not let us set
                        setattr(each, name, attributes[name])


def _singles(number: int, piece: str, *, is_script: bool) -> Iterator[types.CodeType]:
    """The code of a piece: of a prompt each statement shows its value."""
    if is_script:
        yield compile(piece, f"{PIECE}{number}", "exec")
        return
    for node in ast.parse(piece).body:
        yield compile(ast.Interactive([node]), f"{PIECE}{number}", "single")


def lines_of_run(
    program: GivenProgram, pieces: Sequence[str], seconds: float
) -> tuple[str | None, collections.Counter[tuple[int, int]]]:
    """Run a program once; gives what it prints as ``output_of`` does, and how often each line (piece, line) ran."""
    visits: collections.Counter[tuple[int, int]] = collections.Counter()

    def traced(frame: types.FrameType, event: str, argument: object) -> Any:  # typeshed's function of itself
        number = frame.f_code.co_filename.removeprefix(PIECE)
        if len(number) == len(frame.f_code.co_filename):
            return None
        if event == "line":
            visits[int(number), frame.f_lineno] += 1
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        output = output_of(program, pieces, 0, seconds)
    finally:
        sys.settrace(before)
    return output, visits
