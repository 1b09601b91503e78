"""Functions of C, and what stands in the place of one: a method that is bound to its module (``draws.replacing``)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import BuiltinFunctionType, MethodType, ModuleType

_import = importlib.import_module


class HomeOfStandIn:
    """The module of a stand-in, which is its ``__self__``, as of a function of C; copied and pickled as what the
    module's name leads to: a module can't be.
    """

    __slots__ = ("_module",)

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> object:
        return getattr(self._module, name)

    def __deepcopy__(self, memo: object) -> HomeOfStandIn:
        return self

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        return _import, (self._module.__name__,)

    def __repr__(self) -> str:
        return repr(self._module)


def is_function_of_c(value: object) -> bool:
    """Return True for a function of C, and for what stands in the place of one."""
    if type(value) is MethodType:
        return type(value.__self__) is HomeOfStandIn
    return type(value) is BuiltinFunctionType
