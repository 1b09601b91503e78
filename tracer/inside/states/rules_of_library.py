"""Pickling rules for objects of the interpreter and the standard library, each of which pickle refuses or changes."""

from __future__ import annotations

import ast
import codecs
import contextvars
import itertools
import random
import sys
import types
import weakref

from trace_mine.tracer.inside.draws.ambient import is_seeded
from trace_mine.tracer.inside.draws.finalizers import FINALIZER_INFO, holds_constants
from trace_mine.tracer.inside.draws.logging_settings import (
    LoggersDiffer,
    attributes_of_handler,
    kind_of,
    set_handler,
)
from trace_mine.tracer.inside.draws.plain_settings import DECIMAL
from trace_mine.tracer.inside.draws.readings import LazyReading, recipe_of
from trace_mine.tracer.inside.draws.streams import NOWHERE
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.states import context_variables, raised
from trace_mine.tracer.inside.states.kept_objects import ERRORS, OUTPUT
from trace_mine.tracer.inside.states.pickling_rules import (
    Known,
    PicklingRule,
    Recipe,
    any_type,
    kept,
    subclasses_of,
)
from trace_mine.tracer.inside.states.records import CannotSnapshot

_module_of = vars(type)["__module__"].__get__  # ``kind.__module__`` may be a property of the program's metaclass


def _number_of_process_object(known: Known, value: object) -> int | None:
    if value is sys.__stderr__ or value is NOWHERE:
        return ERRORS
    return known.objects.keep(value) if value is sys.__stdin__ or value is DECIMAL.first else None


def _is_of_interpreter(kind: type) -> bool:
    home = _module_of(kind)
    return type(home) is str and home in ("__future__", "sys")


# contexts, counters, readings, generators


def _recipe_of_variable(known: Known, variable: contextvars.ContextVar[object]) -> Recipe:
    bound = context_variables.value_of(variable)
    return known.objects.resolve, (known.objects.keep(variable),), bound, None, None, context_variables.put_back


def _recipe_of_counter(known: Known, counter: object) -> Recipe:
    return itertools.count, _arguments_of(counter)


def _arguments_of(counter: object) -> tuple[object, ...]:
    """The arguments that make an ``itertools.count`` that goes on where this one is."""
    try:
        arguments = ast.literal_eval(repr(counter).removeprefix("count") or "()")
    except (ValueError, SyntaxError):  # of numbers of another kind
        raise CannotSnapshot("a count of numbers that are not plain") from None
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _recipe_of_reading(known: Known, reading: object) -> Recipe:
    return recipe_of(reading)


def _number_of_generator(known: Known, generator: random.Random) -> int | None:
    return None if is_seeded(generator) else known.objects.keep(generator)


# exceptions


def _recipe_of_traceback(known: Known, traceback: types.TracebackType) -> Recipe:
    return raised.some_traceback, ()


def _recipe_of_exception(known: Known, error: BaseException) -> Recipe:
    return raised.recipe_of(error)


# views of dictionaries


def _recipe_of_view(known: Known, proxy: object) -> Recipe:
    mapping = _mapping_of(proxy)
    if type(mapping) is not dict or "__module__" in mapping:  # of a class: its members are not copied
        raise CannotSnapshot("a view of a class's members")
    return types.MappingProxyType, (mapping,)


def _mapping_of(proxy: object) -> object:
    """The mapping that a proxy shows. Not by ``gc``, of which the guard would think that the program asked for it: a
    proxy that is compared hands its mapping on.
    """
    seen: list[object] = []

    class Other:
        def __eq__(self, other: object) -> bool:
            seen.append(other)
            return True

        __hash__ = None  # type: ignore[assignment]

    return seen[0] if proxy == Other() and seen else None


# finalizers, loggers


def _number_of_finalizer(known: Known, finalizer: object) -> int | None:
    return known.objects.keep(finalizer) if holds_constants(finalizer) else None


def _refused_finalizer(known: Known, finalizer: object) -> Recipe:
    raise CannotSnapshot("a finalizer of weakref that holds what may change")


def _number_of_differing_loggers(known: Known, loggers: LoggersDiffer) -> int | None:
    return known.objects.keep(loggers) if loggers.is_plain else None


def _number_of_handler(known: Known, handler: object) -> int | None:
    handlers = known.objects.handlers
    if known.code.is_first and id(handler) not in handlers:
        handlers[id(handler)] = handler, False  # while it is tried: it may hold itself
        handlers[id(handler)] = handler, not known.can_save(attributes_of_handler(handler))
    is_kept = handlers.get(id(handler), (handler, False))[1]
    return known.objects.keep(handler) if is_kept else None


def _recipe_of_handler(known: Known, handler: object) -> Recipe:
    return object.__new__, (type(handler),), attributes_of_handler(handler), None, None, set_handler


RULES = (
    PicklingRule(
        kind="the output of commands",
        reason="A variable that holds ``sys.stdout`` holds the stream of whatever run the state is restored for.",
        types=(Capture,),
        number=lambda known, value: OUTPUT,
    ),
    PicklingRule(
        kind="facts of the interpreter",
        reason="``sys.flags``, ``sys.version_info`` and features of ``__future__`` never change, and pickle can't make"
        " them.",
        is_for=_is_of_interpreter,
        number=kept,
    ),
    PicklingRule(
        kind="codecs",
        reason="They never change, and pickle refuses them or can't restore them.",
        types=(codecs.CodecInfo, type(codecs.charmap_build("".join(map(chr, range(256)))))),
        number=kept,
    ),
    PicklingRule(
        kind="context variables",
        reason="The variable stays the object that it is, and its value is state; pickle refuses it.",
        types=(contextvars.ContextVar,),
        recipe=_recipe_of_variable,
    ),
    PicklingRule(
        kind="counters",
        reason="An ``itertools.count`` is made by its text, as pickle refuses iterators from Python 3.14 on.",
        types=(itertools.count,),
        recipe=_recipe_of_counter,
    ),
    PicklingRule(
        kind="generators of random numbers",
        reason="An unseeded one has no state: its next number is a draw. Pickle would ask for its state, and that would"
        " seed it (``patches``).",
        is_for=subclasses_of(random.Random),
        number=_number_of_generator,
    ),
    PicklingRule(
        kind="readings of clocks",
        reason="One that nothing has looked at stays so; pickled as the program would do it, it is read.",
        types=(LazyReading,),
        recipe=_recipe_of_reading,
    ),
    PicklingRule(
        kind="tracebacks",
        reason="One stands for all: its frames would keep all locals, and its text hang on places in commands.",
        types=(types.TracebackType,),
        recipe=_recipe_of_traceback,
    ),
    PicklingRule(
        kind="exceptions",
        reason="Pickle leaves out what raising made of them: the cause, the context, and that there is a traceback.",
        is_for=subclasses_of(BaseException),
        recipe=_recipe_of_exception,
    ),
    PicklingRule(
        kind="views of dictionaries",
        reason="A view is made of a copy of its dictionary; pickle refuses it.",
        types=(types.MappingProxyType,),
        recipe=_recipe_of_view,
    ),
    PicklingRule(
        kind="finalizers",
        reason="One whose function and arguments can't change is one and the same in all states, and a setting tells in"
        " which of them it is alive. Any other one would hold objects of one state alone.",
        types=(weakref.finalize,),
        number=_number_of_finalizer,
        recipe=_refused_finalizer,
    ),
    PicklingRule(
        kind="what a finalizer has in its registry",
        reason="As finalizers: the setting names it.",
        types=(FINALIZER_INFO,),
        number=kept,
    ),
    PicklingRule(
        kind="differences of loggers",
        reason="The setting of ``logging`` keeps one object for equal differences without handlers and filters, in"
        " which nothing can change: hundreds of loggers take the bytes of one number.",
        types=(LoggersDiffer,),
        number=_number_of_differing_loggers,
    ),
    PicklingRule(
        kind="loggers",
        reason="They stay the objects they are, which ``getLogger`` gives; what changes in them is a setting.",
        is_for=lambda kind: kind_of(kind) == "Logger",
        number=kept,
    ),
    PicklingRule(
        kind="handlers of logging",
        reason="They are state, as they may write to a buffer that the program reads, but for their lock, which pickle"
        " refuses. One that can't be saved and was there at the start (it writes to a file) is the same in all states.",
        is_for=lambda kind: kind_of(kind) == "Handler",
        number=_number_of_handler,
        recipe=_recipe_of_handler,
    ),
    PicklingRule(
        kind="objects of the process",
        reason="Streams of errors and input, and the context that ``decimal`` had at the start, are one and the same in"
        " all states; what changes in them is a setting of the process.",
        is_for=any_type,
        number=_number_of_process_object,
    ),
)
"""In the order in which they are asked, after those of ``rules_of_code``."""
