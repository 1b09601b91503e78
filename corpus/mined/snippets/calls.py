"""Calls with hidden inputs: one session a function, whose input is drawn from a prior, shown the output, and asked for.

    >>> from random import choice
    >>> from pkg.mod import f
    >>> n = choice([3, 3, 5, 8])
    >>> f(n)
    9
    >>> print('n', n)
    n 3

The prior is the law of the repository's literal calls of the function, or a declared grid (``Context.prior``), and
stands in the text. What is drawn stays as it was drawn: where it could be changed, the function gets a copy. Of a
function that returns nothing, the changed copy is the output.

Found and not run: ``thin_prior`` (no two distinct calls), ``no_grid``, ``async_function``, ``not_importable``. Not
found: methods, functions inside functions, test functions, functions that are wrapped by a later statement.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.call_index import CallIndex, LiteralCall, statements
from trace_mine.corpus.mined.snippets.candidate import Candidate, Context, PriorNotes
from trace_mine.corpus.mined.snippets.grids import declared_grid
from trace_mine.corpus.mined.snippets.priors import Arguments, Signature, mined_prior, signature
from trace_mine.corpus.mined.snippets.testcases import is_test_file, own_nodes
from trace_mine.tracer.schema import Piece, Snippet
from trace_mine.tracer.views import question

Function = ast.FunctionDef | ast.AsyncFunctionDef

READ_SHARE = 3
"""A reader is the function's where one call in so many has it: bare calls of an iterator are mostly in loops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One ``choice`` of a session: the arguments that it gives, and the values of each of its outcomes."""

    keys: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    def outcomes(self) -> list[str]:
        """The source of each outcome: a value, or a tuple of them."""
        return [texts[0] if len(texts) == 1 else f"({', '.join(texts)})" for texts in self.values]


def find_calls(source: SourceText, context: Context) -> Iterator[Candidate]:
    """One candidate for each module-level function that has literal calls or, with a grid, that has parameters."""
    if source.tree is None:
        return
    index = context.once(CallIndex)
    last = {node.name: node for node in statements(source.tree.body) if isinstance(node, Function)}
    for name, node in last.items():
        if not index.is_function(source.path, name) or (is_test_file(source.path) and name.startswith("test")):
            continue
        finder = _Finder(source, context, node, index.calls(source.path, name))
        candidate = finder.with_grid() if context.prior == "grid" else finder.with_calls()
        if candidate is not None:
            yield candidate


class _Finder:
    """Makes the candidate of one function, or None where it can have none."""

    def __init__(self, source: SourceText, context: Context, node: Function, calls: Sequence[LiteralCall]) -> None:
        self._source, self._context, self._node, self._calls = source, context, node, calls
        self._function = signature(node)

    def with_calls(self) -> Candidate | None:
        """With the law of its literal calls."""
        if not any(call.args or call.keywords for call in self._calls):
            return None
        prior = mined_prior(self._function, self._calls)
        if not prior.drawn:
            number = len(self._calls)
            return self._refused(
                "thin_prior", f"{number} literal calls, no two distinct ones that make a prior; try inverse:grid"
            )
        draw = Draw(keys=prior.drawn, values=prior.draws)
        return self._candidate([draw], prior.constant, {"calls": prior.num_calls, "left_out": prior.num_left_out})

    def with_grid(self) -> Candidate | None:
        """With declared values of its parameters."""
        arguments = self._node.args
        has_parameters = bool(arguments.args or arguments.posonlyargs or arguments.kwonlyargs)
        if is_test_file(self._source.path) or not has_parameters:
            return None
        grids = declared_grid(self._node, self._function, self._calls)
        if isinstance(grids, str):
            return self._refused("no_grid", grids)
        draws = [Draw(keys=(grid.name,), values=tuple((value,) for value in grid.values)) for grid in grids]
        return self._candidate(draws, (), {"chosen_by": {grid.name: grid.chosen_by for grid in grids}})

    def _candidate(self, draws: Sequence[Draw], constant: Arguments, notes: PriorNotes) -> Candidate:
        module = self._context.place(self._source.path).module
        if module is None or isinstance(self._node, ast.AsyncFunctionDef):
            return self._refused("", "")
        writer = Writer(self._node.name, module, self._function, draws, constant)
        commands = writer.commands(_reader(self._node, self._calls), is_procedure=_is_procedure(self._node))
        return Candidate(
            snippet=replace(
                self._snippet(),
                pieces=tuple(Piece(source=f"{text}\n", line=self._node.lineno) for text in commands),
                asks=tuple(writer.names[key] for draw in draws for key in draw.keys),
            ),
            sys_path=self._context.place(self._source.path).sys_path,
            source_hash=self._source.hash,
            prior={"prior": self._context.prior, "inputs": writer.inputs(), **notes},
        )

    def _refused(self, reason: str, evidence: str) -> Candidate:
        """Found, and not run; a coroutine or a file that can't be imported are the reason before any other."""
        place = self._context.place(self._source.path)
        if isinstance(self._node, ast.AsyncFunctionDef):
            reason, evidence = "async_function", "async def: a call gives a coroutine"
        if place.module is None:
            reason, evidence = "not_importable", "no module name leads to this file"
        return Candidate(
            snippet=self._snippet(),
            sys_path=place.sys_path,
            source_hash=self._source.hash,
            reason=reason,
            evidence=evidence,
        )

    def _snippet(self) -> Snippet:
        """The snippet without its commands."""
        node, place = self._node, self._context.place(self._source.path)
        return Snippet(
            kind="call",
            name=f"{place.module or self._source.path}.{node.name}",
            path=self._source.path,
            line=min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]),
            end_line=node.end_lineno or node.lineno,
            pieces=(),
            continue_on_error=True,
        )


class Writer:
    """Writes the commands of one session. ``names`` are the variables of its drawn arguments, by key."""

    def __init__(self, name: str, module: str, function: Signature, draws: Sequence[Draw], constant: Arguments) -> None:
        taken = {"choice", "deepcopy", *keyword.kwlist, *dir(builtins)}
        self._import = f"from {module} import {name}"
        self._name = _free(name, taken)
        if self._name != name:
            self._import += f" as {self._name}"
        taken.add(self._name)
        self._function = function
        self._draws = draws
        self._constant = dict(constant)
        self.names: dict[str, str] = {}
        for key in (*(key for draw in draws for key in draw.keys), *self._constant):
            self.names[key] = _free(key.strip("*"), taken)
            taken.add(self.names[key])
        self._taken = taken
        self._texts = {
            key: [texts[n] for texts in draw.values] for draw in draws for n, key in enumerate(draw.keys)
        } | {key: [text] for key, text in constant}

    def inputs(self) -> dict[str, list[str]]:
        """What each draw assigns, as it stands in the text, with the source of each of its outcomes."""
        return {self._targets(draw): draw.outcomes() for draw in self._draws}

    def commands(self, reader: str | None, *, is_procedure: bool) -> list[str]:
        """The session: imports, draws, the call, and what asks for each input."""
        draws = [f"{self._targets(draw)} = choice([{', '.join(draw.outcomes())}])" for draw in self._draws]
        spelt, copies = self._spelt(is_procedure=is_procedure)
        call = self._call(spelt)
        shown = [f"{reader}({call})" if reader and not copies else call, *copies]
        asks = [
            question(self.names[key], is_text=any(map(_is_text, self._texts[key])))
            for draw in self._draws
            for key in draw.keys
        ]
        assigned = [f"{name} = {value}" for name, value in copies.items()]
        imports = ["from random import choice", self._import]
        if any("deepcopy(" in text for text in (*assigned, call)):
            imports.insert(0, "from copy import deepcopy")
        return [*imports, *draws, *assigned, *shown, *asks]

    def _spelt(self, *, is_procedure: bool) -> tuple[dict[str, str], dict[str, str]]:
        """How the call spells each argument, by key, and variables that have to be assigned before it. Inputs stay
        as they were drawn: the function gets a copy where it could change them. A procedure's mutable arguments stand
        in variables, to be shown after it.
        """
        drawn = {key for draw in self._draws for key in draw.keys}
        spelt = {key: self._constant.get(key, self.names[key]) for key in self._texts}
        copies: dict[str, str] = {}
        for key in [key for key, texts in self._texts.items() if any(map(_is_mutable, texts))]:
            value = f"deepcopy({spelt[key]})" if key in drawn else spelt[key]
            if is_procedure:
                held = self.names[key] if key not in drawn else _free(f"given_{self.names[key]}", self._taken)
                copies[held] = value
                spelt[key] = held
            else:
                spelt[key] = value
        return spelt, copies

    def _targets(self, draw: Draw) -> str:
        return ", ".join(self.names[key] for key in draw.keys)

    def _call(self, spelt: Mapping[str, str]) -> str:
        function = self._function
        parts = []
        by_position = True
        for number, name in enumerate(function.positional):
            if name not in spelt:
                by_position = False
            elif by_position:
                parts.append(spelt[name])
            elif number >= function.num_positional_only:  # else a literal default, filled in behind one that is none
                parts.append(f"{name}={spelt[name]}")
        starred = f"*{function.starred}"
        if spelt.get(starred, "()") != "()":
            parts.append(f"*{spelt[starred]}")
        named = [key for key in spelt if key in function.keyword_only or key.startswith("**")]
        parts += [f"{key.strip('*')}={spelt[key]}" for key in named]
        return f"{self._name}({', '.join(parts)})"


def _free(name: str, taken: set[str]) -> str:
    name = name if name.strip("_") else "argument"
    while name in taken:
        name += "_"
    return name


def _reader(node: Function, calls: Sequence[LiteralCall]) -> str | None:
    """The built-in that mostly reads the function's results; ``list`` for a generator that nothing reads."""
    readers = Counter(call.reader for call in calls if call.reader)
    if readers and READ_SHARE * readers.total() >= len(calls):
        return readers.most_common(1)[0][0]
    is_generator = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node))
    return "list" if is_generator and not node.decorator_list else None


def _is_procedure(node: Function) -> bool:
    """Whether the function returns nothing, so that what it does to its arguments is what it is for."""
    inside = list(own_nodes(node))
    returns = any(isinstance(inner, ast.Return) and inner.value is not None for inner in inside)
    return not returns and not any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in inside)


def _is_mutable(text: str) -> bool:
    return any(isinstance(node, ast.List | ast.Dict | ast.Set) for node in ast.walk(ast.parse(text, mode="eval")))


def _is_text(text: str) -> bool:
    node = ast.parse(text, mode="eval").body
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
