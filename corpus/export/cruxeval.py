"""CRUXEval's triples: a function ``f``, the arguments of one call, and what it returned, each as source.

``code`` holds the function and the functions that it calls, ``input`` the arguments between the parentheses of ``f()``,
``output`` a literal: ``assert f(INPUT) == OUTPUT`` holds in a fresh interpreter after ``code``, as far as the function
depends on its arguments alone. A function of another name keeps it, and ``f = NAME`` is the last line. Of a generator
that ran to its end ``f`` makes the list of what it yields.

A call qualifies if it is of a function at module level, its arguments and its result are literals, and each name that
the function reads is an argument, a builtin, or such a function itself. Everything else is counted by reason.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from trace_mine.corpus.export.counts import NotGiven
from trace_mine.tracer.event_log import Event, EventLog, EventSource

MAX_FUNCTIONS = 20
"""Functions of one ``code``."""
_BUILTINS = frozenset(vars(builtins))
_LISTING = "def f(*arguments, **named):\n    return list({name}(*arguments, **named))"
"""The last function of a generator's ``code``: all that it yields."""
_LISTING_USES = frozenset({"f", "list", "arguments", "named"})
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
    """A function at module level: its source, its parameters, and the global names that it reads; if it is a generator,
    and one that uses what is sent to it.
    """

    source: str
    parameters: ast.arguments
    reads: frozenset[str]
    yields: bool
    takes_what_is_sent: bool


@dataclass(slots=True, kw_only=True)
class _Call:
    """A call whose function runs: how it was entered, and of a generator what it has yielded so far.

    ``is_alone``: nobody but the generator changed its variables while it waited. ``resumed``: it goes on, and no line
    of it has run since.
    """

    entered: Event
    values: list[str] = field(default_factory=list)
    is_alone: bool = True
    resumed: bool = False


def crux_triples(log: EventLog) -> Iterator[CruxTriple | NotGiven]:
    """Yield, for each call of a log, its triple or why there is none; a triple that was given before is left out."""
    calls: dict[int, _Call] = {}
    seen: set[tuple[str, str]] = set()
    for event in log.events:
        if event.activation < 0 or log.source_of(event).piece is not None:
            continue
        call = calls.get(event.activation)
        if event.kind == "call" and call is None:
            calls[event.activation] = _Call(entered=event)
        elif call is None:
            continue
        elif event.kind == "call":
            call.resumed = True
        elif event.kind == "yield":
            call.values.append(event.value)
        elif event.kind == "line":
            call.is_alone &= not (call.resumed and event.changes)
            call.resumed = False
        elif event.kind in ("return", "leave"):
            del calls[event.activation]
            try:
                triple = _triple(log, call, event)
            except NotGiven as refused:
                yield refused
                continue
            if (triple.code, triple.input) not in seen:
                seen.add((triple.code, triple.input))
                yield triple
    # what was not run to its end: generators that somebody left, and calls where the events are cut
    yield from (NotGiven("generator") for call in calls.values() if call.values)


def _triple(log: EventLog, call: _Call, end: Event) -> CruxTriple:
    source = log.source_of(call.entered)
    if end.kind == "leave":
        raise NotGiven("raised")
    if not source.name.isidentifier():
        raise NotGiven("method_or_local")
    function = _function(source.text, source.name)
    if function is None:
        raise NotGiven("no_source")
    if function.yields:
        output = _all_yielded(function, call, end)
    elif is_literal(end.value):
        output = end.value
    else:
        raise NotGiven("result_no_literal")
    values = {name: value for name, value in call.entered.changes.items() if value is not None}
    arguments = spelt_arguments(function.parameters, values)
    return CruxTriple(name=source.name, code=_with_callees(log, source, function), input=arguments, output=output)


def _all_yielded(function: _Function, call: _Call, end: Event) -> str:
    """The list of what a generator yielded until it ended.

    Only values that nothing can change are told: one list that is yielded twice would stand in it as it is at the end.

    Raises:
        NotGiven: ``generator``, it returns something, or others may have a say in what it does; ``result_no_literal``.
    """
    if function.takes_what_is_sent or not call.is_alone or end.value not in ("", "None"):
        raise NotGiven("generator")
    if not all(is_literal(value) and _is_unchanging(ast.literal_eval(value)) for value in call.values):
        raise NotGiven("result_no_literal")
    return f"[{', '.join(call.values)}]"


def _is_unchanging(value: object) -> bool:
    if type(value) is tuple:
        return all(map(_is_unchanging, value))
    return not isinstance(value, (list, dict, set))


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
    if needed.keys() & (_LISTING_USES if function.yields else {"f"} - {source.name}):
        raise NotGiven("name_taken")
    order = sorted(needed, key=lambda name: name == source.name)  # its own last; the others as they were met
    alias = [] if source.name == "f" else [f"f = {source.name}"]
    if function.yields:
        alias = [_LISTING.format(name=source.name)]
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
    own = list(_own_nodes(tree.body[0]))
    yields = [node for node in own if isinstance(node, (ast.Yield, ast.YieldFrom))]
    # a `yield` that is no statement has a value: what was sent, of which the events know nothing
    statements = [node.value for node in own if isinstance(node, ast.Expr)]
    takes = any(isinstance(node, ast.Yield) and node not in statements for node in yields)
    return _Function(
        source=text, parameters=tree.body[0].args, reads=reads, yields=bool(yields), takes_what_is_sent=takes
    )


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """All nodes of a function's body, without those of functions and classes in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _globals_of(table: symtable.SymbolTable, own: str) -> Iterator[str]:
    """The names of the module that a text reads or writes, but for the function's own."""
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.get_name() != own and (symbol.is_global() or (is_module and symbol.is_referenced())):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _globals_of(inner, own)
