"""Puts a function in the place of one of CPython's, where tracebacks, ``help`` and signatures show its name."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from types import MethodType, ModuleType

# Bound before a program runs: it may patch ``gc`` or ``ctypes``, and the guard marks their audit events.
_referents = gc.get_referents
_modified = ctypes.pythonapi.PyType_Modified
_modified.argtypes = [ctypes.py_object]
_modified.restype = None


def replace(module: ModuleType, name: str, function: Callable[..., object]) -> None:
    """Make ``function`` the module's ``name``, under that name; do nothing where the module has no such name."""
    if hasattr(module, name):
        function.__name__ = function.__qualname__ = name
        function.__module__ = module.__name__
        setattr(module, name, function)


def replace_unbound(module: ModuleType, name: str, function: Callable[..., object]) -> None:
    """``replace`` where programs keep the function in a class: ``logging.Formatter.converter`` is ``time.localtime``.

    A function of Python would become a method there, and be called with the object; one of C does not. A method of the
    module does not either.
    """

    def of_module(module: ModuleType, /, *args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    of_module.__name__ = of_module.__qualname__ = name
    of_module.__module__ = module.__name__
    setattr(module, name, MethodType(of_module, module))


def replace_in_type(kind: type, name: str, attribute: object) -> None:
    """Make ``attribute`` the attribute ``name`` of a type written in C, for which ``setattr`` is refused.

    The type stays the one that it is, so that ``isinstance``, ``pickle``, subclasses and C code see no difference. Its
    dictionary is reached through the read-only view that ``__dict__`` is, and the caches of attributes that the
    interpreter keeps are told of the change.
    """
    (namespace,) = _referents(kind.__dict__)
    namespace[name] = attribute
    _modified(kind)
