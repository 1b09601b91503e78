"""The names of modules, classes, functions and constants: as marks of imports, or of their authors' text."""

from __future__ import annotations

import builtins
import functools
import operator
import sys
import types

from trace_mine_harvest.authors_text import source_of
from trace_mine_harvest.objects import Objects
from trace_mine_harvest.state import fields_of, is_python_object
from trace_mine_harvest.targets import WatchedFunctions
from trace_mine_harvest.texts import Made, Registry, Unspelt

MAX_CONSTANT_DEPTH = 4
"""Attributes on the way from a module's object to one that is named by it."""
NAMED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    type(functools.lru_cache(len)),
    type(functools.singledispatch(len)),
)
"""Classes of what has a name."""


class Names:
    """Names things.

    Args:
        registry: gives out the marks.
        objects: how functions were made.
        targets: tells which modules are the repository's own.
    """

    def __init__(self, registry: Registry, objects: Objects, targets: WatchedFunctions) -> None:
        self._registry = registry
        self._objects = objects
        self._targets = targets
        self._sources: dict[int, tuple[object, str]] = {}
        self._constants: dict[int, tuple[object, str, str, str]] = {}
        self._num_modules = 0

    def of(self, value: object) -> str:
        """Return the mark of a module, class or function: by import, by the call that gave it, or by its author's text.

        Raises:
            Unspelt: there is none.
        """
        if isinstance(value, types.ModuleType):
            if sys.modules.get(value.__name__) is not value or not self._may_import(value.__name__):
                raise Unspelt("test_module")
            return self._registry.imported(value.__name__, "")
        if isinstance(value, (types.MethodDescriptorType, types.WrapperDescriptorType)):
            return f"{self.imported(value.__objclass__)}.{value.__name__}"
        try:
            return self.imported(value)
        except Unspelt:
            if type(value) is types.FunctionType:
                if (steps := self._objects.steps(value)) is not None:
                    return self._registry.made(Made("function", steps))
            elif not isinstance(value, type):
                raise
        return self._class_or_function(value)

    def _class_or_function(self, value: object) -> str:
        """The mark of something that stands in a test, by its author's text; each has one mark."""
        if id(value) not in self._sources:
            self._sources[id(value)] = (value, self._registry.source(source_of(value, self._may_import)))
        return self._sources[id(value)][1]

    def imported(self, value: object) -> str:
        """The mark of something that has a name in an importable module."""
        module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if value in (operator.itemgetter, operator.attrgetter, operator.methodcaller):
            module = "operator"
        if type(module) is not str or type(path) is not str or "<" in path:
            raise Unspelt("local_function" if isinstance(value, types.FunctionType) else "no_name")
        if module == "builtins":
            if getattr(builtins, path, None) is value:
                return path
            raise Unspelt("no_name")
        if not self._may_import(module) or _named(module, path) is not value:
            raise Unspelt("local_class" if isinstance(value, type) else "local_function")
        return self._registry.imported(module, path)

    def _may_import(self, module: str) -> bool:
        """Return True if a session can import the module: it is installed, or one that the repository offers."""
        loaded = sys.modules.get(module)
        if loaded is None or module == "__main__":
            return False
        file = getattr(loaded, "__file__", None)
        if type(file) is not str:
            return module.partition(".")[0] in sys.stdlib_module_names
        place = self._targets.place(file)
        if place == "own":
            return self._targets.leads_to(module, file)
        return place == "" and not file.startswith("/scratch") and "trace_mine_harvest" not in module

    def of_constant(self, value: object) -> str | None:
        """An object that has a name in one of the repository's modules, or is an attribute of such a one."""
        if len(sys.modules) != self._num_modules:
            self._num_modules = len(sys.modules)
            self._constants = {}
            for module, loaded in [*sys.modules.items()]:
                file = getattr(loaded, "__file__", None)
                if type(file) is str and self._targets.place(file) == "own" and self._may_import(module):
                    self._add_constants(module, vars(loaded))
        place = self._constants.get(id(value))
        if place is None or place[0] is not value:
            return None
        return f"{self._registry.imported(place[1], place[2])}{place[3]}"

    def _add_constants(self, module: str, namespace: dict[str, object]) -> None:
        for name, value in [*namespace.items()]:
            if name.startswith("__") or not name.isidentifier() or not is_python_object(value):
                continue
            self._constants.setdefault(id(value), (value, module, name, ""))
            pending = [(value, "", 0)]
            while pending:
                owner, path, depth = pending.pop()
                for attribute, inner in (fields_of(owner) or {}).items():
                    if is_python_object(inner) and attribute.isidentifier() and id(inner) not in self._constants:
                        self._constants[id(inner)] = (inner, module, name, f"{path}.{attribute}")
                        if depth < MAX_CONSTANT_DEPTH:
                            pending.append((inner, f"{path}.{attribute}", depth + 1))


def _named(module: str, path: str) -> object:
    current: object = sys.modules.get(module)
    for part in path.split("."):
        try:
            current = vars(current).get(part)
        except TypeError:
            return None
    return current
