"""Runs of a program with other draws each: what it prints, if it raises, and how often it draws."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import os
import random
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

from trace_mine_harvest.runs import within


class GivenProgram(TypedDict):
    """A snippet as the supervisor sends it; paths are absolute ones of the jail.

    Attributes:
        number: it is told apart by.
        name: by which its draws of places are seeded, with the seed.
        module, code, pieces, is_script, folder, file, sys_path: as in ``trace_mine_harvest.runs.GivenSnippet``.
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
    folder: str
    file: str
    sys_path: list[str]
    edited: str
    function: tuple[str, int]


def sample_runs(program: GivenProgram, pieces: Sequence[str], number: int, seconds: float) -> dict[str, int]:
    """Run a program some times: how many runs there were, how many raised or took too long, how many outputs differ,
    if any run drew (``drew``), and how often the edits of all runs drew (``drawn``).
    """
    outputs: set[str] = set()
    raised = drew = 0
    counts = [0]
    for seed in range(number):
        with _counted(counts):
            output = output_of(program, pieces, seed, seconds)
        # a draw moves the generator on, which each run seeds
        drew |= random.getstate() != random.Random(seed).getstate()
        if output is None:
            raised += 1
            if 10 * raised > number:  # it is enough
                return {"runs": seed + 1, "raised": raised, "distinct": len(outputs), "drew": drew, "drawn": counts[0]}
        outputs.add(output or "")
    return {"runs": number, "raised": raised, "distinct": len(outputs), "drew": drew, "drawn": counts[0]}


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
    try:
        exec(compile(program["code"], "<set-up>", "exec"), main.__dict__)
        for piece in pieces:
            for one in _singles(piece, is_script=program["is_script"]):
                exec(one, main.__dict__)
    finally:
        sys.modules["__main__"] = before


def _singles(piece: str, *, is_script: bool) -> Iterator[types.CodeType]:
    """The code of a piece: of a prompt each statement shows its value."""
    if is_script:
        yield compile(piece, "<program>", "exec")
        return
    for node in ast.parse(piece).body:
        yield compile(ast.Interactive([node]), "<program>", "single")
