"""The functions around tests that have fixed names (``setup_method``, ``setUpClass``), as commands."""

from __future__ import annotations

import inspect
from typing import Any

from trace_mine_items.function_facts import class_name
from trace_mine_items.sources import source_of

# ``Any``: pytest's items, whose classes differ from version to version.


def fixed_functions(item: Any, name: str) -> tuple[str, list[str], list[str]]:
    """Return the scope of pytest's fixture of this name, and the commands of the functions that it calls.

    Returns:
        ``module``, ``function``, ``class`` or ``method``; the commands before the test; those after it.
    """
    cls, module = item.cls, item.module
    owner = class_name(item)
    function = getattr(item, "originalname", None) or item.function.__name__
    if "setup_module" in name or "setUpModule" in name:
        before = _first(module, "setUpModule", "setup_module")
        after = _first(module, "tearDownModule", "teardown_module")
        whole = "__import__('sys').modules[__name__]"
        return "module", _call("", before, whole), _call("", after, whole)
    if "setup_function" in name:
        if cls is not None:
            return "function", [], []
        before, after = _first(module, "setup_function"), _first(module, "teardown_function")
        return "function", _call("", before, function), _call("", after, function)
    if "setup_class" in name or "setUpClass" in name:
        names = ("setUpClass", "tearDownClass") if "unittest" in name else ("setup_class", "teardown_class")
        before, after = (_first(cls, each) for each in names)
        commands = _call(f"{owner}.", before, ""), _call(f"{owner}.", after, "")
        # what ``addClassCleanup`` was given
        cleanups = [f"{owner}.doClassCleanups()"] if names[0] == "setUpClass" and commands[0] else []
        return "class", commands[0], commands[1] + cleanups
    names = ("setup_method", "teardown_method")
    before, after = (_first(cls, each) for each in names)
    bound = f"self.{function}"
    return "method", _call("self.", before, bound), _call("self.", after, bound)


def around_a_case(cls: Any) -> tuple[list[str], list[str]]:
    """Return the commands around a method of a ``TestCase``."""
    before = ["self.setUp()"] if _first(cls, "setUp") is not None else []
    after = ["self.tearDown()"] if _first(cls, "tearDown") is not None else []
    if _first(cls, "asyncSetUp") is not None:
        before.append("runner.run(self.asyncSetUp())")
    if _first(cls, "asyncTearDown") is not None:
        after.insert(0, "runner.run(self.asyncTearDown())")
    sources = [source.text for base in cls.__mro__ if (source := source_of(base.__module__)) and _is_own(base)]
    # without a clean-up it would show that unittest counts errors
    cleans = any(word in text for text in sources for word in ("addCleanup", "enterContext"))
    return before, [*after, *(["self.doCleanups()"] if cleans else [])]


def _is_own(cls: type) -> bool:
    return cls.__module__.partition(".")[0] not in ("builtins", "unittest")


def _first(owner: Any, *names: str) -> Any:
    """The first of the functions that the repository itself defines."""
    for name in names:
        function = getattr(owner, name, None)
        if function is not None and getattr(function, "__module__", "").partition(".")[0] != "unittest":
            return function
    return None


def _call(prefix: str, function: Any, argument: str) -> list[str]:
    """The command that calls a function; it may take what it is called for, or nothing."""
    if function is None:
        return []
    try:
        parameters = [
            each
            for each in inspect.signature(function).parameters.values()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.default is each.empty
        ]
    except (TypeError, ValueError):
        parameters = []
    # a method that was looked up on its class still lists ``self``
    takes = len(parameters) - (1 if prefix == "self." else 0)
    return [f"{prefix}{function.__name__}({argument if takes > 0 else ''})"]
