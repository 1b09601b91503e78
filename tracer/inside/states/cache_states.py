"""How much of what a cached function keeps is part of states: all of it, or nothing where nobody can tell.

A *plain* function uses its arguments, harmless built-ins and itself alone. Of one whose arguments and results are
numbers, texts and the like, nobody can tell if a result is kept already, but by the counts of ``cache_info``. As part
of states the results would only keep these from merging: after twelve calls by chance, each with an argument of its
own, there were 4,096 of them.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable

from trace_mine.tracer.inside.states import call_caches
from trace_mine.tracer.inside.states.attributes import ATOMS
from trace_mine.tracer.inside.states.footprints import HARMLESS

_CALLED = HARMLESS - {"print"}
_LOOKS_UP = frozenset(("LOAD_GLOBAL", "LOAD_NAME"))
_CHANGES = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR", "STORE_NAME", "IMPORT_", "LOAD_BUILD_CLASS")
_MOST_INSTRUCTIONS = 1_000
_COUNTS = "cache_info"


class CacheStates:
    """The parts of states that all caches of a process have.

    Args:
        texts: those of the program and of all that it can call; None where they aren't known: then counts matter.
    """

    def __init__(self, texts: Iterable[str] | None) -> None:
        self._counts_matter = texts is None or any(_COUNTS in text for text in texts)
        self._plain: dict[int, tuple[object, bool]] = {}  # with the wrapper, so that its ``id`` stays its own

    def contents_of(self, wrapper: object) -> call_caches.Contents:
        """The part of a state; None in the place of entries and counts where nobody can tell."""
        contents = call_caches.contents_of(wrapper)
        return (None, contents[1]) if self._is_left_out(wrapper, contents) else contents

    def set_contents(self, wrapper: object, contents: call_caches.Contents) -> None:
        """Make it that of ``contents_of``."""
        if contents[0] is not None:
            call_caches.set_contents(wrapper, contents)
            return
        now = call_caches.contents_of(wrapper)
        kept = now[0] if self._is_left_out(wrapper, now) else ([], [], 0, 0)
        call_caches.set_contents(wrapper, (kept, contents[1]))

    def _is_left_out(self, wrapper: object, contents: call_caches.Contents) -> bool:
        if self._counts_matter:
            return False
        if id(wrapper) not in self._plain:
            self._plain[id(wrapper)] = wrapper, is_plain(wrapper)
        if not self._plain[id(wrapper)][1]:
            return False
        match contents[0]:
            case (list(keys), list(results), _, _):
                return all(map(_is_plain_key, keys)) and all(type(result) in ATOMS for result in results)
        return False


def is_plain(wrapper: object) -> bool:
    """Return True for a cached function that uses its arguments, harmless built-ins and itself alone.

    >>> import functools
    >>> is_plain(functools.cache(lambda n: sum(range(n))))
    True
    >>> is_plain(functools.cache(lambda n: print(n)))
    False
    """
    function = call_caches.function_of(wrapper)
    if type(function) is not types.FunctionType or function.__closure__:
        return False
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    if any(type(value) not in ATOMS for value in defaults):
        return False
    table = function.__globals__
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        instructions = [*dis.get_instructions(code)]
        if len(instructions) > _MOST_INSTRUCTIONS:
            return False
        for each in instructions:
            name = each.argval
            if each.opname.startswith(_CHANGES):
                return False
            if each.opname in _LOOKS_UP and table.get(name) is not wrapper and (name in table or name not in _CALLED):
                return False
            # methods of plain data, and no way to what stands behind them
            if each.opname in ("LOAD_ATTR", "LOAD_METHOD") and str(name).startswith("_"):
                return False
        waiting += [each for each in code.co_consts if type(each) is types.CodeType]
    return True


def _is_plain_key(key: object) -> bool:
    """Return True for a number alone, and for texts: no other arguments are equal to these.

    Of several numbers the key is a tuple, which that of ``1.0`` or ``True`` is equal to: then it matters who was first.
    """
    if type(key) is tuple:
        return all(type(part) in _TEXTS or part is call_caches.mark for part in key)
    return type(key) is int or type(key) is str


_TEXTS = (str, bytes, type(None))
