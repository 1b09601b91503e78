"""Loads our own modules inside the jail, from the bundle's text, so that a snippet can neither import nor patch them.

Each module gets a private ``__builtins__`` (a copy, so that a patched ``builtins.len`` never reaches it) whose
``__import__`` finds ``trace_mine.*`` in the bundle only, everything else as usual. The modules are in ``sys.modules``
only while their own body runs, which is before any foreign code: a repository that brings its own ``trace_mine``
package imports its own.

Not covered: modules of the standard library, which our code shares with the snippet. So our code binds what it needs of
them at its import (see ``inside.channel``).
"""

from __future__ import annotations

import builtins
import marshal
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, ModuleType

_MISSING = object()
"""Stands for a name that ``sys.modules`` does not have, where None is a value: it forbids an import."""


def compile_module(name: str, source: str) -> CodeType:
    """Compile a module of ours, under a file name that says whose it is."""
    # dont_inherit: otherwise this file's own __future__ imports would hold for the module too
    return compile(source, f"<{name}>", "exec", dont_inherit=True)


class Bundle:
    """Our modules by name, each loaded when it is first asked for."""

    def __init__(
        self, sources: Mapping[str, str | CodeType], compiled: Mapping[str, CodeType | bytes] | None = None
    ) -> None:
        """``sources`` maps module names to source text, or to code compiled of it; packages need no entry.

        ``compiled`` is code of some of them, marshalled or not; that of modules that are loaded from text is added to
        it. Marshalled code waits as bytes until its module is loaded: init loads a fifth of all modules.
        """
        self._sources = sources
        self._modules: dict[str, ModuleType] = {}
        self.compiled: dict[str, CodeType | bytes] = dict(compiled or {})
        self._builtins = dict(vars(builtins))
        self._import = builtins.__import__
        self._builtins["__import__"] = self._import_from_bundle

    def __contains__(self, name: str) -> bool:
        """Return True if the bundle has the module ``name``."""
        return name in self._sources

    def sources(self) -> Mapping[str, str | CodeType]:
        """Return what the bundle was made of."""
        return self._sources

    def source(self, name: str) -> str:
        """Return the text of the module ``name``. Raises KeyError."""
        text = self._sources[name]
        assert isinstance(text, str), "init holds texts; only a replayer's zygote compiles them ahead"
        return text

    def load(self, name: str) -> ModuleType:
        """Return the module ``name``; run it first where that has not been done.

        Raises:
            ImportError: it is not in the bundle.
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
        self._modules[name] = module  # before its body runs, as Python does: a circular import finds it unfinished
        shadowed = sys.modules.get(name, _MISSING)
        sys.modules[name] = module  # dataclasses looks up the module of a class there, for string annotations
        try:
            if name not in self.compiled:
                source = self._sources[name]
                self.compiled[name] = compile_module(name, source) if isinstance(source, str) else source
            code = self.compiled[name]
            exec(marshal.loads(code) if isinstance(code, bytes) else code, namespace)
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
        """Stand in for ``__import__`` in our own modules.

        Raises:
            ImportError: the module is not in the bundle, or the statement is ``import trace_mine...`` without ``from``.
        """
        if level or name.partition(".")[0] != "trace_mine":
            return self._import(name, globals, locals, fromlist or (), level)
        if not fromlist:
            raise ImportError(
                f"expected `from {name} import ...` in a bundled module; plain imports of trace_mine mean nothing here"
            )
        if name in self._sources:
            return self.load(name)
        # `from package import module`: the package itself has no code, only the modules asked for
        package = ModuleType(name)
        for submodule in fromlist:
            setattr(package, submodule, self.load(f"{name}.{submodule}"))
        return package
