"""Puts a function in the place of one of CPython's, where tracebacks, ``help`` and signatures show its name."""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType

from trace_mine.tracer.inside.draws.c_functions import HomeOfStandIn

# Bound before a program runs: it may patch ``gc`` or ``ctypes``, and the guard marks their audit events.
_referents = gc.get_referents
_modified = ctypes.pythonapi.PyType_Modified
_modified.argtypes = [ctypes.py_object]
_modified.restype = None


_homes: dict[ModuleType, HomeOfStandIn] = {}


def replace(module: ModuleType, name: str, function: Callable[..., object]) -> None:
    """Make ``function`` the module's ``name``, under that name; do nothing where the module has no such name.

    A program may keep the module's function in a class (``clock = time.perf_counter``). One of C is called there
    without the object, where one of Python would be a method. So what is put in the place of one of C is bound already.
    """
    present = getattr(module, name, None)
    if present is None:
        return
    function.__name__ = function.__qualname__ = name
    function.__module__ = module.__name__
    is_function = type(present) is FunctionType
    setattr(module, name, function if is_function else _bound(module, function))


def _bound(module: ModuleType, function: Callable[..., object]) -> MethodType:
    @functools.wraps(function)
    def of_module(_: object, /, *args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    if module not in _homes:
        _homes[module] = HomeOfStandIn(module)
    return MethodType(of_module, _homes[module])


def replace_in_type(kind: type, name: str, attribute: object) -> None:
    """Make ``attribute`` the attribute ``name`` of a type written in C, for which ``setattr`` is refused.

    The type stays the one that it is, so that ``isinstance``, ``pickle``, subclasses and C code see no difference. Its
    dictionary is reached through the read-only view that ``__dict__`` is, and the caches of attributes that the
    interpreter keeps are told of the change.
    """
    (namespace,) = _referents(kind.__dict__)
    namespace[name] = attribute
    _modified(kind)
