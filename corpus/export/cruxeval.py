"""CRUXEval's triples: a function ``f``, the arguments of one call, and what it returned, each as source.

``code`` holds the function and the functions that it calls, ``input`` the arguments between the parentheses of ``f()``,
``output`` a literal: ``assert f(INPUT) == OUTPUT`` holds in a fresh interpreter after ``code``, as far as the function
depends on its arguments alone. A function of another name keeps it, and ``f = NAME`` is the last line.

A call qualifies if it is of a function at module level, its arguments and its result are literals, and each name that
the function reads is an argument, a builtin, or such a function itself. Everything else is counted by reason.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from trace_mine.corpus.export.counts import NotGiven
from trace_mine.tracer.event_log import Event, EventLog, EventSource

MAX_FUNCTIONS = 20
"""Functions of one ``code``."""
_BUILTINS = frozenset(vars(builtins))
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""Errors that ``ast`` raises over text that is no Python: null bytes, and nesting that the parser can't follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CruxTriple:
    """One call of a function, as source.

    ``name`` is the function's own, by which ``code`` also knows it.
    """

    name: str
    code: str
    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Function:
    """A function at module level: its source, its parameters, and the global names that it reads."""

    source: str
    parameters: ast.arguments
    reads: frozenset[str]


def crux_triples(log: EventLog) -> Iterator[CruxTriple | NotGiven]:
    """Yield, for each call of a log, its triple or why there is none; a triple that was given before is left out."""
    calls: dict[int, Event | None] = {}  # None: the activation has ended, or is a generator's and was counted
    seen: set[tuple[str, str]] = set()
    for event in log.events:
        if event.activation < 0 or log.source_of(event).piece is not None:
            continue
        if event.kind == "call":
            calls.setdefault(event.activation, event)
        elif event.kind in ("return", "yield", "leave"):
            call = calls.get(event.activation)
            calls[event.activation] = None
            if call is None:
                continue
            try:
                triple = _triple(log, call, event)
            except NotGiven as refused:
                yield refused
                continue
            if (triple.code, triple.input) not in seen:
                seen.add((triple.code, triple.input))
                yield triple


def _triple(log: EventLog, call: Event, end: Event) -> CruxTriple:
    source = log.source_of(call)
    if end.kind == "leave":
        raise NotGiven("raised")
    if end.kind == "yield":
        raise NotGiven("generator")
    if not source.name.isidentifier():
        raise NotGiven("method_or_local")
    function = _function(source.text, source.name)
    if function is None:
        raise NotGiven("no_source")
    if not is_literal(end.value):
        raise NotGiven("result_no_literal")
    arguments = spelt_arguments(function.parameters, {k: v for k, v in call.changes.items() if v is not None})
    code = _with_callees(log, source, function)
    return CruxTriple(name=source.name, code=code, input=arguments, output=end.value)


def is_literal(text: str) -> bool:
    """Return True if a text is a Python literal: evaluating it gives the value that it was made of.

    >>> is_literal("[1, 'a']"), is_literal("Point(x=1)"), is_literal("[0, 0]...<4096 bytes, 0123456789ab>")
    (True, False, False)
    """
    try:
        ast.literal_eval(text)
    except _UNREADABLE:
        return False
    return True


def spelt_arguments(parameters: ast.arguments, values: Mapping[str, str]) -> str:
    """Spell the arguments of a call by the values of its parameters.

    Raises:
        NotGiven: ``argument_no_literal``; or ``argument_unknown``, a parameter has no value.
    """
    spelt: list[str] = []
    for name in [each.arg for each in (*parameters.posonlyargs, *parameters.args)]:
        spelt.append(_value(name, values))
    if parameters.vararg is not None:
        spread = ast.literal_eval(_value(parameters.vararg.arg, values))
        if type(spread) is not tuple:
            raise NotGiven("argument_no_literal")
        spelt += map(repr, spread)
    spelt += [f"{each.arg}={_value(each.arg, values)}" for each in parameters.kwonlyargs]
    if parameters.kwarg is not None:
        named = _value(parameters.kwarg.arg, values)
        spelt += [f"**{named}"] if named != "{}" else []
    return ", ".join(spelt)


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise NotGiven("argument_unknown")
    if not is_literal(values[name]):
        raise NotGiven("argument_no_literal")
    return values[name]


def _with_callees(log: EventLog, source: EventSource, function: _Function) -> str:
    """The source of a function after those that it calls, and theirs.

    Raises:
        NotGiven: ``reads_global``, a name is none of these and no builtin; ``name_taken``, one of them is called ``f``;
            ``too_many_functions``.
    """
    at_hand = {
        each.name: each.text
        for each in log.sources
        if each.piece is None and each.path == source.path and each.name.isidentifier()
    }
    at_hand[source.name] = source.text
    needed: dict[str, str] = {}
    waiting = [(source.name, function)]
    while waiting:
        name, each = waiting.pop()
        if name in needed:
            continue
        needed[name] = each.source
        if len(needed) > MAX_FUNCTIONS:
            raise NotGiven("too_many_functions")
        # a function of the file hides the builtin of its name
        for read in sorted(each.reads - needed.keys()):
            callee = _function(at_hand[read], read) if read in at_hand else None
            if callee is not None:
                waiting.append((read, callee))
            elif read in at_hand or read not in _BUILTINS:
                raise NotGiven("reads_global")
    if source.name != "f" and "f" in needed:
        raise NotGiven("name_taken")
    order = sorted(needed, key=lambda name: name == source.name)  # its own last; the others as they were met
    alias = [] if source.name == "f" else [f"f = {source.name}"]
    return "\n\n\n".join([*(needed[name] for name in order), *alias]) + "\n"


@lru_cache(maxsize=1024)
def _function(text: str, name: str) -> _Function | None:
    """The function of this name whose source a text is; None where it is no plain one."""
    try:
        tree = ast.parse(text)
        if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef) or tree.body[0].name != name:
            return None
        reads = frozenset(_globals_of(symtable.symtable(text, "<function>", "exec"), name))
    except _UNREADABLE:
        return None
    return _Function(source=text, parameters=tree.body[0].args, reads=reads)


def _globals_of(table: symtable.SymbolTable, own: str) -> Iterator[str]:
    """The names of the module that a text reads or writes, but for the function's own."""
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.get_name() != own and (symbol.is_global() or (is_module and symbol.is_referenced())):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _globals_of(inner, own)
