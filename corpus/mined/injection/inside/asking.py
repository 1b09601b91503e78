"""Reveals put into an edited program: partial questions, at places and of variables that are fixed before the session.

After a statement that draws, at the end of each loop around it and after these loops, the program prints something of
what the statement changed: a variable, its length, an item, its parity, an attribute. Which of these, is chosen by how
the answers differ in runs of the program with other draws than those of the session that is shown. So neither a place
nor a question tells anything of the session's own draws.
"""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from trace_mine_inject.edits import DrawNames, Edit, Origins

PROBE = "note_values_of_program"
LONGEST_ANSWER = 80
MOST_TIMES = 3
"""Times that one place may print in one run; a loop of more turns has its questions after it."""
MOST_OF_PLACE = 2
LEAST_BITS = 0.05
EDGES = (0.6, 1.2, 2.0)
"""Bits that part the answers which are nearly certain, uncertain, and hardly to be answered."""
_PLAIN = (int, float, bool, str, bytes, type(None), list, tuple, dict, set, frozenset, range, collections.deque)
_BODIES = ("body", "orelse", "finalbody")


@dataclass(frozen=True)
class AskingPlace:
    """A place for questions.

    Attributes:
        line: of the text, after which they stand, from 1.
        indent: of their lines.
        names: variables that may be asked for, with the attributes of them that are changed.
    """

    line: int
    indent: str
    names: dict[str, tuple[str, ...]]


@dataclass
class _Walk:
    lines: Sequence[str]
    draws: frozenset[str]
    places: dict[tuple[int, str], dict[str, set[str]]] = field(default_factory=dict)

    def block(self, body: Sequence[ast.stmt]) -> dict[str, set[str]]:
        """Find the places in a block; gives the variables that its drawing statements change."""
        changed: dict[str, set[str]] = {}
        for statement in body:
            mine = self._inside(statement)
            if mine and not isinstance(statement, ast.Return | ast.Break | ast.Continue | ast.Raise):
                self._add(statement, statement.col_offset, mine)
            _join(changed, mine)
        return changed

    def _inside(self, statement: ast.stmt) -> dict[str, set[str]]:
        """The variables that a statement changes by draws."""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.block(statement.body)
            return {}
        changed: dict[str, set[str]] = {}
        is_loop = isinstance(statement, ast.For | ast.While)
        is_compound = False
        for name in _BODIES:
            block = getattr(statement, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                is_compound = True
                if is_loop or not self._draws_in(statement):
                    inner = self.block(block)
                    _join(changed, inner)
                    last = block[-1]
                    if (
                        is_loop
                        and name == "body"
                        and inner
                        and not isinstance(last, ast.Continue | ast.Break | ast.Return)
                    ):
                        self._add(last, block[0].col_offset, inner)
        if self._draws_in(statement) or (not is_compound and self._uses(statement)):
            _join(changed, _changed_by(statement))
        return changed

    def _draws_in(self, statement: ast.stmt) -> bool:
        """Tell if the test of an ``if`` draws: then its branches are what is drawn, and no place is in them."""
        return isinstance(statement, ast.If) and self._uses(statement.test)

    def _uses(self, node: ast.AST) -> bool:
        return any(isinstance(each, ast.Name) and each.id in self.draws for each in ast.walk(node))

    def _add(self, statement: ast.stmt, column: int, names: dict[str, set[str]]) -> None:
        end = statement.end_lineno or statement.lineno
        line = self.lines[end - 1]
        indent = self.lines[statement.lineno - 1][:column]
        behind = line.encode()[statement.end_col_offset or 0 :].decode(errors="replace").strip()
        if indent.strip() or (behind and not behind.startswith("#")):
            return  # other statements stand on the line
        _join(self.places.setdefault((end, indent), {}), names)


def places_to_ask(text: str, names: DrawNames) -> list[AskingPlace]:
    """The places of a text where questions may be put."""
    lines = text.split("\n")
    walk = _Walk(lines, frozenset((names.random, names.choice)))
    walk.block(ast.parse(text).body)
    return [
        AskingPlace(line, indent, {name: tuple(sorted(attributes)) for name, attributes in sorted(named.items())})
        for (line, indent), named in sorted(walk.places.items())
    ]


def _join(into: dict[str, set[str]], other: dict[str, set[str]]) -> None:
    for name, attributes in other.items():
        into.setdefault(name, set()).update(attributes)


def _changed_by(statement: ast.stmt) -> dict[str, set[str]]:
    """The variables that a statement binds or changes, by its syntax."""
    named: dict[str, set[str]] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            named.setdefault(node.id, set())
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            _join(named, _root(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            _join(named, _root(node.func.value))
    return named


def _root(node: ast.expr) -> dict[str, set[str]]:
    """The variable under attributes and items, with the attribute of it that is named."""
    attribute = ""
    while isinstance(node, ast.Attribute | ast.Subscript):
        attribute = node.attr if isinstance(node, ast.Attribute) else ""
        node = node.value
    if not isinstance(node, ast.Name):
        return {}
    return {node.id: {attribute} if attribute and not attribute.startswith("__") else set()}


def _probed(text: str, places: Sequence[AskingPlace]) -> str:
    """The text with a call of the probe at each place."""
    lines = text.split("\n")
    for number, place in reversed([*enumerate(places)]):
        new = []
        for name in place.names:
            call = f"{PROBE}({number}, {name!r}, {name})"
            new += [f"{place.indent}try:", f"{place.indent}    {call}", f"{place.indent}except NameError:"]
            new += [f"{place.indent}    {PROBE}({number}, {name!r})"]
        lines[place.line : place.line] = new
    return "\n".join(lines)


def _is_plain(value: object, depth: int = 3) -> bool:
    if type(value) not in _PLAIN:
        return False
    if isinstance(value, dict):
        return (
            depth > 0 and len(value) < 50 and all(_is_plain(each, depth - 1) for pair in value.items() for each in pair)
        )
    if isinstance(value, list | tuple | set | frozenset | collections.deque):
        return depth > 0 and len(value) < 50 and all(_is_plain(each, depth - 1) for each in value)
    return True


def _answers(name: str, attributes: Sequence[str], value: object) -> Iterator[tuple[str, str]]:
    """(question, answer) of all questions that a variable's value has an answer to."""
    if not _is_plain(value):
        # attributes as the object has them: no code of the program is to run that it would not run itself
        own = vars(value) if isinstance(getattr(value, "__dict__", None), dict) else {}
        for attribute in attributes:
            if attribute in own and _is_plain(own[attribute]):
                yield f"{name}.{attribute}", str(own[attribute])
        return
    yield name, str(value)
    if type(value) is int:
        yield f"{name} % 2", str(value % 2)
    elif isinstance(value, list | tuple | str | collections.deque):
        yield f"len({name})", str(len(value))
        if not isinstance(value, collections.deque):
            # slices, which no length makes raise: an exception in few runs would keep all around it as one command
            yield f"{name}[-1:]", str(value[-1:])
            yield f"{name}[:1]", str(value[:1])
    elif isinstance(value, dict | set | frozenset):
        yield f"len({name})", str(len(value))


Run = Callable[[str, int], bool]
"""Runs a text with a seed; False where it raises or does not end."""


def put_questions(
    text: str,
    names: DrawNames,
    number: int,
    run: Run,
    seeds: Sequence[int],
    source: random.Random,
    origins: Origins,
    times: int = MOST_TIMES,
) -> tuple[str, list[Edit], Origins]:
    """Return a text with so many questions at most, the questions as edits of kind ``reveal``, and the origins of the
    new text's lines: a question has none.

    Args:
        text: an edited program.
        names: of the functions that draw.
        run: tries a text.
        seeds: of the runs whose answers are counted.
        source: draws among questions that are as good.
        origins: of the lines of ``text``.
        times: that one place may print in one run.
    """
    if any(isinstance(each, ast.Name) and each.id in ("print", "len") and isinstance(each.ctx, ast.Store)
           for each in ast.walk(ast.parse(text))):  # fmt: skip
        return text, [], origins
    places = places_to_ask(text, names)
    questions = _asked(text, places, run, seeds, times)
    chosen = _spread(questions, number, source)
    lines, new_origins = text.split("\n"), [*origins]
    edits: list[Edit] = []
    num_before = 0
    for index, place in enumerate(places):
        for question in (each for at, each in chosen if at == index):
            command = f"print({question!r}, {question})"
            lines.insert(place.line + num_before, f"{place.indent}{command}")
            new_origins.insert(place.line + num_before, 0)
            num_before += 1
            after = origins[place.line - 1]
            edits.append(Edit("reveal", place.line + num_before, (), "", command, author_line=after))
    return "\n".join(lines), edits, new_origins


def _asked(
    text: str, places: Sequence[AskingPlace], run: Run, seeds: Sequence[int], times: int
) -> dict[tuple[int, str], float]:
    """The bits of the answers of each question that has one each time, by place and question."""
    probed = _probed(text, places)
    answers: dict[tuple[int, str], list[tuple[str, ...]]] = {}
    num_runs = 0
    for seed in seeds:
        answered: dict[tuple[int, str], list[str]] = {}
        visits: dict[tuple[int, str], int] = {}

        def note(number: int, name: str, *values: object) -> None:
            visits[number, name] = visits.get((number, name), 0) + 1  # noqa: B023  # of this run
            for value in values:
                for question, answer in _answers(name, places[number].names[name], value):
                    answered.setdefault((number, question), []).append(answer)  # noqa: B023

        with _builtin(PROBE, note):
            if not run(probed, seed):
                continue
        num_runs += 1
        by_place = {number: count for (number, _), count in visits.items()}
        for key, texts in answered.items():
            # a question without an answer at one of the visits is none
            if len(texts) == by_place[key[0]] <= times and max(map(len, texts)) <= LONGEST_ANSWER:
                answers.setdefault(key, []).append(tuple(texts))
    bits = {}
    for key, each in answers.items():
        if 2 * len(each) < num_runs:
            continue  # where the program seldom comes
        counts = collections.Counter(each)
        bits[key] = -sum(n / len(each) * math.log2(n / len(each)) for n in counts.values())
    unanswered = {key for key, each in answers.items() if key not in bits}
    return {key: value for key, value in bits.items() if value >= LEAST_BITS and key not in unanswered}


@contextlib.contextmanager
def _builtin(name: str, value: object) -> Iterator[None]:
    setattr(builtins, name, value)
    try:
        yield
    finally:
        delattr(builtins, name)


def _spread(questions: dict[tuple[int, str], float], number: int, source: random.Random) -> list[tuple[int, str]]:
    """Choose questions of all degrees of uncertainty, in turn, a few at each place."""
    kinds: list[list[tuple[int, str]]] = [[] for _ in range(len(EDGES) + 1)]
    for key in sorted(questions):
        kinds[sum(questions[key] > edge for edge in EDGES)].append(key)
    for kind in kinds:
        source.shuffle(kind)
    chosen: list[tuple[int, str]] = []
    at_place: collections.Counter[int] = collections.Counter()
    while len(chosen) < number and any(kinds):
        for kind in kinds:
            while kind:
                key = kind.pop()
                if at_place[key[0]] < MOST_OF_PLACE:
                    at_place[key[0]] += 1
                    chosen.append(key)
                    break
    return sorted(chosen[:number])
