"""Programs with draws put into them, run a few times to see that they stay programs."""

from __future__ import annotations

import ast
import io
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TypedDict

from trace_mine_inject.asking import put_questions
from trace_mine_inject.edits import Edit, Origins, choose_places, edited, free_names
from trace_mine_inject.places import DrawPlace, places_of
from trace_mine_inject.sampling import GivenProgram, output_of, sample_runs

SAMPLES = 20
"""Runs of an edited program."""
TRIES = 3
"""Programs that are made for each one that is kept."""
MORE_TRIES = 6
"""The same where a number of draws is wanted."""
_NO_METHODS = frozenset(("super", "__class__"))


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
        for variant, (pieces, origins, edits, sample) in enumerate(made):
            write(
                {
                    "edited_program": {
                        "number": program["number"],
                        "variant": variant,
                        "pieces": pieces,
                        "origins": origins,
                        # a list of records is a record of lists, as the supervisor's codec has it
                        "edits": {field.name: [getattr(edit, field.name) for edit in edits] for field in fields(Edit)},
                        **sample,
                    }
                }
            )


_Made = tuple[list[str], Origins, list[Edit], dict[str, int]]
"""The pieces of an edited program, the origins of all their lines, the edits, and what is told of its runs."""


def _edited_programs(program: GivenProgram, wanted: Wanted, seconds: float) -> list[_Made]:
    """The edited programs of a snippet. Raises _Unfit."""
    text, wrap, places, origins = _text_with_places(program, [*wanted["laws"]])
    names = free_names(text)
    # what raises without any edit says nothing of the edits
    if sample_runs(program, wrap(text, "", origins)[0], 1, seconds)["raised"]:
        raise _Unfit("raises_unedited")
    candidates: dict[str, _Made] = {}
    num_bad = num_unreached = 0
    ranks: dict[str, tuple[bool, bool, bool]] = {}
    least = 1  # edits
    for number in range((TRIES if not wanted["draws"] else MORE_TRIES) * wanted["variants"]):
        source = random.Random(f"{wanted['seed']} {program['name']} {number}")
        chosen = choose_places(places, source.randint(least, wanted["edits"]), source)
        laws = [source.choice(wanted["laws"][place.kind]) for place in chosen]
        new, edits, new_origins = edited(text, chosen, laws, names, origins)
        if new in candidates:
            continue
        try:
            if wanted["reveals"]:

                def run(text: str, seed: int) -> bool:
                    tried, _ = wrap(text, names.imports(text), [0] * (text.count("\n") + 1))
                    return output_of(program, tried, seed, seconds) is not None

                new, asked, new_origins = put_questions(
                    new, names, wanted["reveals"], run, range(SAMPLES), source, new_origins
                )
                edits += asked
            pieces, all_origins = wrap(new, names.imports(new), new_origins)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            num_bad += 1
            continue
        sample = sample_runs(program, pieces, SAMPLES, seconds)
        drawn = sample.pop("drawn") / max(sample["runs"], 1)
        if drawn < wanted["draws"]:
            least = min(2 * least, wanted["edits"])
        if not sample.pop("drew"):
            num_unreached += 1
            continue
        if 10 * sample["raised"] > sample["runs"]:
            num_bad += 1
            continue
        candidates[new] = (pieces, all_origins, edits, sample)
        ranks[new] = (sample["distinct"] == 1, bool(wanted["draws"] and sample["raised"]), drawn < wanted["draws"])
        if sum(not any(rank) for rank in ranks.values()) >= wanted["variants"]:
            break
    if not candidates:
        raise _Unfit("raises" if num_bad else "not_reached" if num_unreached else "no_program")
    # those come first whose draws are seen in what is printed, and, where draws are counted, that raise in no run
    return [candidates[new] for new in sorted(candidates, key=ranks.__getitem__)][: wanted["variants"]]


_Wrap = Callable[[str, str, Origins], tuple[list[str], Origins]]
"""Makes a snippet's pieces of the edited text, of the import of what draws, and of the origins of the text's lines;
gives the origins of all lines of the pieces too, one piece after the other.
"""


def _text_with_places(program: GivenProgram, kinds: Sequence[str]) -> tuple[str, _Wrap, list[DrawPlace], Origins]:
    """The text that is edited, what makes pieces of it, its places, and the origins of its lines. Raises _Unfit.

    Of a snippet that has both, its own statements are edited, and where they have no place its function: a test may be
    its body's statements, or one call.
    """
    ways = [each for each in ("pieces", "function") if each == program["edited"] or program["edited"] == "both"]
    for way in ways:
        text, wrap, origins = _own_text(program) if way == "pieces" else _function_text(program)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _Unfit("syntax") from None
        if places := places_of(tree, text.split("\n"), kinds):
            return text, wrap, places, origins
    raise _Unfit("no_place")


def _own_text(program: GivenProgram) -> tuple[str, _Wrap, Origins]:
    own = program["pieces"]
    origins = _own_origins(program)
    if program["is_script"] and len(own) == 1:
        return own[0], _script, [*origins, 0]

    def wrap(text: str, imports: str, origins: Origins) -> tuple[list[str], Origins]:
        parts = [*_imported(imports), *_pieces_of(text, origins)]
        return [piece for piece, _ in parts], [line for _, lines in parts for line in lines]

    return "".join(own), wrap, [*origins, 0]


def _own_origins(program: GivenProgram) -> Origins:
    """The lines of the file in which the pieces' lines stand; a piece that was spelt anew stands in none."""
    try:
        with open(program["file"], encoding="utf-8") as file:
            there = [line.strip() for line in file.read().split("\n")]
    except (OSError, ValueError):
        there = []
    origins: Origins = []
    for piece, first in zip(program["pieces"], program["lines"], strict=True):
        for number, line in enumerate(_lines_of(piece), start=first):
            # a doctest's line stands behind a prompt
            stands = 0 < number <= len(there) and there[number - 1].removeprefix(">>> ").removeprefix("... ")
            origins.append(number if line.strip() and stands == line.strip() else 0)
    return origins


def _lines_of(piece: str) -> list[str]:
    return piece.removesuffix("\n").split("\n")


def _imported(imports: str) -> list[tuple[str, Origins]]:
    return [(imports, [0])] if imports else []


def _function_text(program: GivenProgram) -> tuple[str, _Wrap, Origins]:
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
    origins = _without_docstring(node, first)
    body = [lines[number - 1] for number in origins]
    indent = " " * node.col_offset
    if not all(each.startswith(indent) or not each.strip() for each in body):
        raise _Unfit("layout")
    function = "\n".join(each[node.col_offset :] if each.strip() else "" for each in body).rstrip("\n") + "\n"
    bind = [f"{owner}.{node.name} = {node.name}\n"] if owner is not None else []
    own_origins = _own_origins(program)

    def wrap(text: str, imports: str, origins: Origins) -> tuple[list[str], Origins]:
        before = _imported(imports)
        pieces = [*(piece for piece, _ in before), text, *bind, *own]
        all_origins = [0] * len(before) + origins[: len(_lines_of(text))] + [0] * len(bind) + own_origins
        return pieces, all_origins

    return function, wrap, [*origins[: function.count("\n")], 0]


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


def _without_docstring(node: ast.FunctionDef, first: int) -> list[int]:
    """The numbers of a function's lines; its docstring, which speaks of the program as it was, is left out."""
    head = node.body[0]
    end = (node.end_lineno or node.lineno) + 1
    is_doc = isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant) and isinstance(head.value.value, str)
    if not is_doc or len(node.body) == 1 or node.body[1].lineno <= (head.end_lineno or 0):
        return [*range(first, end)]
    return [*range(first, head.lineno), *range((head.end_lineno or head.lineno) + 1, end)]


def _pieces_of(text: str, origins: Origins) -> list[tuple[str, Origins]]:
    """A program's statements, each with the lines before it, and the origins of its lines."""
    lines = text.split("\n")
    pieces: list[tuple[str, Origins]] = []
    done = 0
    for node in ast.parse(text).body:
        end = node.end_lineno or node.lineno
        while done + 1 < end and not lines[done]:
            done += 1
        pieces.append(("\n".join(lines[done:end]) + "\n", origins[done:end]))
        done = end
    return pieces


def _script(text: str, imports: str, origins: Origins) -> tuple[list[str], Origins]:
    """A script with a statement in front of it, behind its docstring and ``__future__``, which must come first."""
    body = ast.parse(text).body
    place = 0
    for number, node in enumerate(body):
        is_doc = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_doc and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        place = node.end_lineno or node.lineno
    lines = text.split("\n")
    added = [imports.removesuffix("\n")] if imports else []
    piece = "\n".join([*lines[:place], *added, *lines[place:]])
    return [piece], [*origins[:place], *([0] * len(added)), *origins[place:]][: len(_lines_of(piece))]
