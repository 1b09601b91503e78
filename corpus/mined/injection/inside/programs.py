"""Programs with draws put into them, run a few times to see that they stay programs."""

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
from dataclasses import fields
from typing import TypedDict

from trace_mine_harvest.runs import within
from trace_mine_inject.asking import put_questions
from trace_mine_inject.edits import Edit, choose_places, edited, free_names
from trace_mine_inject.places import DrawPlace, places_of

SAMPLES = 20
"""Runs of an edited program."""
TRIES = 3
"""Programs that are made for each one that is kept."""
MORE_TRIES = 6
"""The same where a number of draws is wanted."""
_NO_METHODS = frozenset(("super", "__class__"))


class GivenProgram(TypedDict):
    """A snippet as the supervisor sends it; paths are absolute ones of the jail.

    Attributes:
        number: it is told apart by.
        name: by which its draws of places are seeded, with the seed.
        module, code, pieces, is_script, folder, file, sys_path: as in ``trace_mine_harvest.runs.GivenSnippet``.
        edited: ``pieces``, ``function`` or ``both``: what is edited.
        function: the file of the function, and a line of it.
    """

    number: int
    name: str
    module: str | None
    code: str
    pieces: list[str]
    is_script: bool
    folder: str
    file: str
    sys_path: list[str]
    edited: str
    function: tuple[str, int]


class Wanted(TypedDict):
    """The edits that are wanted: kinds with their laws, how many a program, programs of each snippet, and the seed.

    ``reveals``: the questions of one program, at most; ``draws``: those that a run is to make.
    """

    laws: dict[str, list[float]]
    edits: int
    variants: int
    reveals: int
    draws: int
    seed: int


class _Unfit(Exception):
    """A snippet that gets no edits; a word says why."""


def edit_programs(
    write: Callable[[dict[str, object]], None], programs: Sequence[GivenProgram], wanted: Wanted, seconds: float
) -> None:
    """Edit programs, and run each edited one.

    Args:
        write: writes a record for each edited program, and one for each snippet that gave none.
        programs: in the order in which they are edited.
        wanted: the edits.
        seconds: of CPU for one run.
    """
    for program in programs:
        sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), io.StringIO()
        try:
            made = _edited_programs(program, wanted, seconds)
        except _Unfit as unfit:
            write({"not_edited": {"number": program["number"], "why": str(unfit)}})
            continue
        for variant, (pieces, edits, sample) in enumerate(made):
            write(
                {
                    "edited_program": {
                        "number": program["number"],
                        "variant": variant,
                        "pieces": pieces,
                        # a list of records is a record of lists, as the supervisor's codec has it
                        "edits": {field.name: [getattr(edit, field.name) for edit in edits] for field in fields(Edit)},
                        **sample,
                    }
                }
            )


_Made = tuple[list[str], list[Edit], dict[str, int]]


def _edited_programs(program: GivenProgram, wanted: Wanted, seconds: float) -> list[_Made]:
    """The edited programs of a snippet. Raises _Unfit."""
    text, wrap, places = _text_with_places(program, [*wanted["laws"]])
    names = free_names(text)
    # what raises without any edit says nothing of the edits
    if _sample(program, wrap(text, ""), 1, seconds)["raised"]:
        raise _Unfit("raises_unedited")
    candidates: dict[str, _Made] = {}
    num_bad = num_unreached = 0
    ranks: dict[str, tuple[bool, bool, bool]] = {}
    least = 1  # edits
    for number in range((TRIES if not wanted["draws"] else MORE_TRIES) * wanted["variants"]):
        source = random.Random(f"{wanted['seed']} {program['name']} {number}")
        chosen = choose_places(places, source.randint(least, wanted["edits"]), source)
        laws = [source.choice(wanted["laws"][place.kind]) for place in chosen]
        new, edits = edited(text, chosen, laws, names)
        if new in candidates:
            continue
        try:
            if wanted["reveals"]:

                def run(text: str, seed: int) -> bool:
                    return _once(program, wrap(text, names.imports(text)), seed, seconds) is not None

                new, asked = put_questions(new, names, wanted["reveals"], run, range(SAMPLES), source)
                edits += asked
            pieces = wrap(new, names.imports(new))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            num_bad += 1
            continue
        sample = _sample(program, pieces, SAMPLES, seconds)
        drawn = sample.pop("drawn") / max(sample["runs"], 1)
        if drawn < wanted["draws"]:
            least = min(2 * least, wanted["edits"])
        if not sample.pop("drew"):
            num_unreached += 1
            continue
        if 10 * sample["raised"] > sample["runs"]:
            num_bad += 1
            continue
        candidates[new] = (pieces, edits, sample)
        ranks[new] = (sample["distinct"] == 1, bool(wanted["draws"] and sample["raised"]), drawn < wanted["draws"])
        if sum(not any(rank) for rank in ranks.values()) >= wanted["variants"]:
            break
    if not candidates:
        raise _Unfit("raises" if num_bad else "not_reached" if num_unreached else "no_program")
    # those come first whose draws are seen in what is printed, and, where draws are counted, that raise in no run
    return [candidates[new] for new in sorted(candidates, key=ranks.__getitem__)][: wanted["variants"]]


_Wrap = Callable[[str, str], list[str]]
"""Makes a snippet's pieces of the edited text, and of the import of what draws."""


def _text_with_places(program: GivenProgram, kinds: Sequence[str]) -> tuple[str, _Wrap, list[DrawPlace]]:
    """The text that is edited, what makes pieces of it, and its places. Raises _Unfit.

    Of a snippet that has both, its own statements are edited, and where they have no place its function: a test may be
    its body's statements, or one call.
    """
    ways = [each for each in ("pieces", "function") if each == program["edited"] or program["edited"] == "both"]
    for way in ways:
        text, wrap = _own_text(program) if way == "pieces" else _function_text(program)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _Unfit("syntax") from None
        if places := places_of(tree, text.split("\n"), kinds):
            return text, wrap, places
    raise _Unfit("no_place")


def _own_text(program: GivenProgram) -> tuple[str, _Wrap]:
    own = program["pieces"]
    if program["is_script"] and len(own) == 1:
        return own[0], lambda text, imports: [_with_import(text, imports)]
    return "".join(own), lambda text, imports: [*filter(None, (imports,)), *_pieces_of(text)]


def _function_text(program: GivenProgram) -> tuple[str, _Wrap]:
    """The definition of a snippet's function as it stands in its file. Raises _Unfit."""
    own = program["pieces"]
    path, line = program["function"]
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        raise _Unfit("no_source") from None
    node, owner = _function_at(tree, line)
    if owner is not None and (node.decorator_list or _names_in(node) & _NO_METHODS or _has_private(node)):
        raise _Unfit("method")
    lines = text.split("\n")
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    body = _without_docstring(lines, node, first)
    indent = " " * node.col_offset
    if not all(each.startswith(indent) or not each.strip() for each in body):
        raise _Unfit("layout")
    function = "\n".join(each[node.col_offset :] if each.strip() else "" for each in body).rstrip("\n") + "\n"
    bind = [f"{owner}.{node.name} = {node.name}\n"] if owner is not None else []
    return function, lambda text, imports: [*filter(None, (imports,)), text, *bind, *own]


def _function_at(tree: ast.Module, line: int) -> tuple[ast.FunctionDef, str | None]:
    """The function at a line that is a module's own or a method, with its class's name. Raises _Unfit."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _spans(node, line):
            return node, None
        if isinstance(node, ast.ClassDef) and _spans(node, line):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and _spans(each, line):
                    return each, node.name
    raise _Unfit("no_function")


def _spans(node: ast.FunctionDef | ast.ClassDef, line: int) -> bool:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first <= line <= (node.end_lineno or node.lineno)


def _names_in(node: ast.AST) -> frozenset[str]:
    return frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _has_private(node: ast.AST) -> bool:
    """Tell if names are there that mean something else outside of a class."""
    named = (each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute))
    return any(name.startswith("__") and not name.endswith("__") for name in (*named, *_names_in(node)))


def _without_docstring(lines: Sequence[str], node: ast.FunctionDef, first: int) -> list[str]:
    """The lines of a function; its docstring, which speaks of the program as it was, is left out."""
    head = node.body[0]
    own = [*lines[first - 1 : node.end_lineno]]
    is_doc = isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant) and isinstance(head.value.value, str)
    if not is_doc or len(node.body) == 1 or node.body[1].lineno <= (head.end_lineno or 0):
        return own
    return [*lines[first - 1 : head.lineno - 1], *lines[head.end_lineno or 0 : node.end_lineno]]


def _pieces_of(text: str) -> list[str]:
    """A program's statements, each with the lines before it."""
    lines = text.split("\n")
    pieces: list[str] = []
    done = 0
    for node in ast.parse(text).body:
        end = node.end_lineno or node.lineno
        pieces.append("\n".join(lines[done:end]).strip("\n") + "\n")
        done = end
    return pieces


def _with_import(text: str, imports: str) -> str:
    """A script with a statement in front of it, behind its docstring and ``__future__``, which must come first."""
    body = ast.parse(text).body
    place = 0
    for number, node in enumerate(body):
        is_doc = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_doc and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        place = node.end_lineno or node.lineno
    lines = text.split("\n")
    return "\n".join([*lines[:place], *filter(None, (imports.rstrip("\n"),)), *lines[place:]])


def _sample(program: GivenProgram, pieces: Sequence[str], number: int, seconds: float) -> dict[str, int]:
    """Run a program some times: how many runs there were, how many raised or took too long, how many outputs differ,
    if any run drew (``drew``), and how often the edits of all runs drew (``drawn``).
    """
    outputs: set[str] = set()
    raised = drew = 0
    counts = [0]
    for seed in range(number):
        with _counted(counts):
            output = _once(program, pieces, seed, seconds)
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


def _once(program: GivenProgram, pieces: Sequence[str], seed: int, seconds: float) -> str | None:
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
