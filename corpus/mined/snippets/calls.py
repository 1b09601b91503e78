"""Finds functions to call with hidden inputs: a session draws the input from a prior, shows the output, and asks for
the input.

    >>> from random import choice
    >>> from pkg.mod import f
    >>> n = choice([3, 3, 5, 8])
    >>> f(n)
    9
    >>> print('n', n)
    n 3

The prior is the law of the repository's literal calls of the function (``priors``), or a declared grid (``grids``), as
``RepositoryContext.prior`` says; it stands in the text. An input stays as it was drawn: where the function could
change it, the function gets a copy. Of a function that returns nothing, the changed copy is the output.

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
from itertools import islice

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.layout import ImportPlace
from trace_mine.corpus.mined.snippets.call_index import CallIndex, LiteralCall, statements
from trace_mine.corpus.mined.snippets.candidate import Candidate, PriorNotes, RepositoryContext
from trace_mine.corpus.mined.snippets.class_index import Function
from trace_mine.corpus.mined.snippets.grids import declared_grid
from trace_mine.corpus.mined.snippets.priors import Arguments, Signature, mined_prior, signature
from trace_mine.corpus.mined.snippets.testcases import is_test_file, own_nodes
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Piece, Snippet
from trace_mine.tracer.views import question

MOST_LITERAL = 16
"""Literal calls of one function that are tried, of which a few become snippets."""
READ_SHARE = 3
"""A function's results are read by a built-in (``list(f(n))``) in the session where one call in so many does so: the
other calls of a function that gives an iterator stand in loops.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One ``choice`` of a session: the arguments that it gives, and the values of each of its outcomes.

    Attributes:
        keys: of the arguments, as ``priors.Arguments`` has them.
        values: of each outcome the source texts of the arguments, in the order of ``keys``.

    Raises:
        ValueError: an outcome has not one value for each argument.
    """

    keys: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.keys or any(len(texts) != len(self.keys) for texts in self.values):
            raise ValueError(
                f"expected a value of each outcome for each of Draw.keys {self.keys}, got {self.values!r:.200}; "
                "give as many texts as keys"
            )

    def outcomes(self) -> list[str]:
        """The source of each outcome: a value, or a tuple of several."""
        return [texts[0] if len(texts) == 1 else f"({', '.join(texts)})" for texts in self.values]


def find_calls(source: SourceText, context: RepositoryContext) -> Iterator[Candidate]:
    """Find one candidate for each module-level function that has literal calls or, with a grid, that has parameters."""
    if source.tree is None:
        return
    index = context.once(CallIndex)
    # By name: of two definitions (under an `if`, say) the later one is taken for the module's.
    functions = {node.name: node for node in statements(source.tree.body) if isinstance(node, Function)}
    for name, node in functions.items():
        # A test function is a snippet of its own entry; helpers in test files are called like any other function.
        if not index.is_function(source.path, name) or (is_test_file(source.path) and name.startswith("test")):
            continue
        maker = _CandidateMaker(source, context, node, index.calls(source.path, name))
        if context.prior == "none":
            yield from maker.as_they_stand()
            continue
        candidate = maker.with_grid() if context.prior == "grid" else maker.with_calls()
        if candidate is not None:
            yield candidate


class _CandidateMaker:
    """Makes the candidate of one function; None where the function has no call, or no parameter to put a grid on."""

    def __init__(
        self, source: SourceText, context: RepositoryContext, node: Function, calls: Sequence[LiteralCall]
    ) -> None:
        self._source, self._context, self._node, self._calls = source, context, node, calls
        self._function = signature(node)

    def with_calls(self) -> Candidate | None:
        """The candidate whose input is drawn from the law of the function's literal calls."""
        if not any(call.args or call.keywords for call in self._calls):
            return None  # called without arguments only: nothing could be hidden, so it is not even a drop
        prior = mined_prior(self._function, self._calls)
        if not prior.drawn:
            number = len(self._calls)
            evidence = f"{number} literal calls, no two distinct ones that make a prior; try inverse:grid"
            return self._dropped(Drop(reason=Reason.THIN_PRIOR, evidence=evidence))
        draw = Draw(keys=prior.drawn, values=prior.outcomes)
        return self._candidate([draw], prior.constant, {"calls": prior.num_calls, "left_out": prior.num_left_out})

    def as_they_stand(self) -> Iterator[Candidate]:
        """A candidate for each of the function's first distinct literal calls: no input is hidden.

        They are tried, and chosen among, together with those that a repository's tests make (``corpus.mined.harvest``).
        """
        place = self._context.place(self._source.path)
        if is_test_file(self._source.path) or self._drop_of_any_call(place) is not None:
            return
        name = self._node.name
        distinct = dict.fromkeys(
            f"{name}({', '.join([*call.args, *(f'{key}={text}' for key, text in call.keywords)])})"
            for call in self._calls
        )
        for text in islice(distinct, MOST_LITERAL):
            yield Candidate(
                snippet=replace(
                    self._snippet(),
                    pieces=tuple(
                        Piece(source=f"{command}\n", line=self._node.lineno)
                        for command in (f"from {place.module} import {name}", text)
                    ),
                ),
                sys_path=place.sys_path,
                source_hash=self._source.hash,
                warm=place.module or "",
            )

    def with_grid(self) -> Candidate | None:
        """The candidate whose inputs are drawn, each by itself, from declared values of the function's parameters."""
        arguments = self._node.args
        has_parameters = bool(arguments.args or arguments.posonlyargs or arguments.kwonlyargs)
        if is_test_file(self._source.path) or not has_parameters:
            return None  # nothing in a test file, helpers included: they are written to check, not to compute
        grids = declared_grid(self._node, self._function, self._calls)
        if isinstance(grids, Drop):
            return self._dropped(grids)
        draws = [Draw(keys=(grid.name,), values=tuple((value,) for value in grid.values)) for grid in grids]
        return self._candidate(draws, (), {"chosen_by": {grid.name: grid.chosen_by for grid in grids}})

    def _candidate(self, draws: Sequence[Draw], constant: Arguments, notes: PriorNotes) -> Candidate:
        place = self._context.place(self._source.path)
        drop = self._drop_of_any_call(place)
        if drop is not None:
            return self._dropped(drop)
        assert place.module is not None  # else the drop would be not_importable
        writer = CallSnippetWriter(self._node.name, place.module, self._function, draws, constant)
        commands = writer.commands(_reader(self._node, self._calls), is_procedure=_is_procedure(self._node))
        return Candidate(
            snippet=replace(
                self._snippet(),
                pieces=tuple(Piece(source=f"{text}\n", line=self._node.lineno) for text in commands),
                asks=tuple(writer.names[key] for draw in draws for key in draw.keys),
            ),
            sys_path=place.sys_path,
            source_hash=self._source.hash,
            prior={"prior": self._context.prior, "inputs": writer.inputs(), **notes},
            input_values=writer.input_values(),
        )

    def _drop_of_any_call(self, place: ImportPlace) -> Drop | None:
        """The drop of a function that can't be called, whatever its inputs; None for one that can."""
        if place.module is None:
            return Drop(reason=Reason.NOT_IMPORTABLE, evidence="no module name leads to this file")
        if isinstance(self._node, ast.AsyncFunctionDef):
            return Drop(reason=Reason.ASYNC_FUNCTION, evidence="async def: a call gives a coroutine")
        return None

    def _dropped(self, drop: Drop) -> Candidate:
        """The candidate of a function that is found and not run.

        A reason that holds for any input is counted before one that says that there are no inputs.
        """
        place = self._context.place(self._source.path)
        return Candidate(
            snippet=self._snippet(),
            sys_path=place.sys_path,
            source_hash=self._source.hash,
            drop=self._drop_of_any_call(place) or drop,
        )

    def _snippet(self) -> Snippet:
        """The snippet without its commands."""
        node, place = self._node, self._context.place(self._source.path)
        return Snippet(
            kind="call",
            name=f"{place.module or self._source.path}.{node.name}",
            path=self._source.path,
            # `lineno` of a definition is that of its `def`: decorators stand above it.
            line=min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]),
            end_line=node.end_lineno or node.lineno,
            pieces=(),
            continue_on_error=True,  # an error is an output too, and the input is asked for after it
        )


class CallSnippetWriter:
    """Writes the commands of one session.

    The names in a session never clash: with built-ins, which the function's arguments and the reveals use, with what
    the session imports, or with each other. A name that is taken gets underscores behind it.

    Args:
        name: the function's.
        module: the module that it is imported from.
        function: its parameters.
        draws: one for each ``choice`` of the session.
        constant: the arguments that are not drawn.

    Attributes:
        names: by key, the variables of all arguments.
    """

    def __init__(self, name: str, module: str, function: Signature, draws: Sequence[Draw], constant: Arguments) -> None:
        # `dir(builtins)` is this interpreter's; with a newer --python a name may shadow a newer built-in, which no
        # command of ours uses.
        taken = {"choice", "deepcopy", *keyword.kwlist, *dir(builtins)}
        self._import = f"from {module} import {name}"
        self._name = _unused_name(name, taken)
        if self._name != name:
            self._import += f" as {self._name}"
        taken.add(self._name)
        self._function = function
        self._draws = draws
        self._constant = dict(constant)
        self.names: dict[str, str] = {}
        for key in (*(key for draw in draws for key in draw.keys), *self._constant):
            self.names[key] = _unused_name(key.strip("*"), taken)
            taken.add(self.names[key])
        self._taken = taken
        self._texts = {
            key: [texts[n] for texts in draw.values] for draw in draws for n, key in enumerate(draw.keys)
        } | {key: [text] for key, text in constant}

    def inputs(self) -> dict[str, list[str]]:
        """The targets of each draw's assignment, as they stand in the text, with the source of each of its outcomes."""
        return {self._targets(draw): draw.outcomes() for draw in self._draws}

    def input_values(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """The source of each value of these outcomes, by the same keys."""
        return {self._targets(draw): draw.values for draw in self._draws}

    def commands(self, reader: str | None, *, is_procedure: bool) -> list[str]:
        """The commands of the session: imports, draws, the call, and a question for each input.

        Args:
            reader: the built-in around the call; None for the bare call.
            is_procedure: the function returns nothing, so its changed arguments are the output.
        """
        draws = [f"{self._targets(draw)} = choice([{', '.join(draw.outcomes())}])" for draw in self._draws]
        arguments, copies = self._arguments(is_procedure=is_procedure)
        call = self._call(arguments)
        # With copies the function is a procedure: it returns nothing to be read, and the copies are shown after it.
        shown = [f"{reader}({call})" if reader and not copies else call, *copies]
        asks = [
            question(self.names[key], is_text=any(map(_is_text, self._texts[key])))
            for draw in self._draws
            for key in draw.keys
        ]
        assigned = [f"{name} = {value}" for name, value in copies.items()]
        imports = ["from random import choice", self._import]
        # Imported only where it is used: each command of a session is one that a model has to read.
        if any("deepcopy(" in text for text in (*assigned, call)):
            imports.insert(0, "from copy import deepcopy")
        return [*imports, *draws, *assigned, *shown, *asks]

    def _arguments(self, *, is_procedure: bool) -> tuple[dict[str, str], dict[str, str]]:
        """The source of each argument of the call, by key, and the variables that are to be assigned before it.

        An input stays as it was drawn: where the function could change it, it gets a copy, so that the question after
        the call still has the drawn value for an answer. A procedure's mutable arguments stand in variables, to be
        shown after it.
        """
        drawn = {key for draw in self._draws for key in draw.keys}
        arguments = {key: self._constant.get(key, self.names[key]) for key in self._texts}
        copies: dict[str, str] = {}
        for key in [key for key, texts in self._texts.items() if any(map(_is_mutable, texts))]:
            value = f"deepcopy({arguments[key]})" if key in drawn else arguments[key]
            if is_procedure:
                variable = (
                    self.names[key] if key not in drawn else _unused_name(f"given_{self.names[key]}", self._taken)
                )
                copies[variable] = value
                arguments[key] = variable
            else:
                arguments[key] = value
        return arguments, copies

    def _targets(self, draw: Draw) -> str:
        return ", ".join(self.names[key] for key in draw.keys)

    def _call(self, arguments: Mapping[str, str]) -> str:
        """The call with these arguments: by position as long as none is missing, by name after that."""
        function = self._function
        parts = []
        by_position = True
        for number, name in enumerate(function.positional):
            if name not in arguments:
                by_position = False
            elif by_position:
                parts.append(arguments[name])
            elif number >= function.num_positional_only:
                # A positional-only one can't be given behind a gap. It is a default that was filled in
                # (`priors._with_defaults`), so the call means the same without it.
                parts.append(f"{name}={arguments[name]}")
        starred = f"*{function.starred}"
        if arguments.get(starred, "()") != "()":  # an empty one is not written
            parts.append(f"*{arguments[starred]}")
        named = [key for key in arguments if key in function.keyword_only or key.startswith("**")]
        parts += [f"{key.strip('*')}={arguments[key]}" for key in named]
        return f"{self._name}({', '.join(parts)})"


def _unused_name(name: str, taken: set[str]) -> str:
    """The name, with underscores behind it as long as it is taken."""
    # A parameter `_` would be overwritten: an interactive interpreter keeps its last result under this name.
    name = name if name.strip("_") else "argument"
    while name in taken:
        name += "_"
    return name


def _reader(node: Function, calls: Sequence[LiteralCall]) -> str | None:
    """The built-in that is to read the function's results; None where the bare call shows them.

    It is the one that reads most of the results in the repository's calls; for a generator function that none of them
    reads it is ``list``, since a generator is shown as an address.
    """
    readers = Counter(call.reader for call in calls if call.reader)
    if readers and READ_SHARE * readers.total() >= len(calls):
        return readers.most_common(1)[0][0]
    is_generator = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node))
    # A decorator (contextmanager, say) may turn the generator into something that list() can't read.
    return "list" if is_generator and not node.decorator_list else None


def _is_procedure(node: Function) -> bool:
    """Tell if the function returns nothing, so that changing its arguments is what it is for."""
    nodes = list(own_nodes(node))
    returns = any(isinstance(inner, ast.Return) and inner.value is not None for inner in nodes)
    return not returns and not any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in nodes)


def _is_mutable(text: str) -> bool:
    """Tell if a literal is, or holds, a value that a function could change."""
    # A tuple is mutable as far as what it holds is, so the whole tree is looked at.
    return any(isinstance(node, ast.List | ast.Dict | ast.Set) for node in ast.walk(ast.parse(text, mode="eval")))


def _is_text(text: str) -> bool:
    """Tell if a literal is a string, which is shown by its ``repr``: ``print`` shows ``'1'`` and ``1`` alike."""
    node = ast.parse(text, mode="eval").body
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
