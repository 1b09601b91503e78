"""Loads the bundle inside the jail: modules that a snippet can neither import nor patch.

Each module gets a private ``__builtins__`` (a copy, so that a patched ``builtins.len`` never reaches it) whose
``__import__`` finds ``trace_mine.*`` in the bundle only, everything else as usual. The modules are in ``sys.modules``
only while their own body runs (dataclasses look themselves up there), before any foreign code: a repository that
brings its own ``trace_mine`` package imports its own.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

_MISSING = object()


class Bundle:
    """``sources`` maps module names to source text; packages need no entry."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._modules: dict[str, ModuleType] = {}
        self._builtins = dict(vars(builtins))
        self._import = builtins.__import__
        self._builtins["__import__"] = self._import_from_bundle

    def __contains__(self, name: str) -> bool:
        return name in self._sources

    def load(self, name: str) -> ModuleType:
        """The module ``name``, run on first use.

        Raises:
            ImportError: not in the bundle.
        """
        if name in self._modules:
            return self._modules[name]
        if name not in self._sources:
            raise ImportError(
                f"expected a module of the bundle, got {name!r}; only tracer.inside and what it imports travel"
            )
        module = ModuleType(name)
        namespace = vars(module)
        namespace["__builtins__"] = self._builtins
        namespace["__package__"] = name.rpartition(".")[0]
        self._modules[name] = module
        shadowed = sys.modules.get(name, _MISSING)
        sys.modules[name] = module
        try:
            exec(compile(self._sources[name], f"<{name}>", "exec", dont_inherit=True), namespace)
        finally:
            if isinstance(shadowed, ModuleType):
                sys.modules[name] = shadowed
            else:
                del sys.modules[name]
        return module

    def _import_from_bundle(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level or name.partition(".")[0] != "trace_mine":
            return self._import(name, globals, locals, fromlist or (), level)
        if not fromlist:
            raise ImportError(
                f"expected `from {name} import ...` in a bundled module; plain imports of trace_mine mean nothing here"
            )
        if name in self._sources:
            return self.load(name)
        package = ModuleType(name)
        for submodule in fromlist:
            setattr(package, submodule, self.load(f"{name}.{submodule}"))
        return package
