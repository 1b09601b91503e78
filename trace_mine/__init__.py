r"""Runs real Python in a sandbox, writes execution traces that replay, and trains sequence models to track state.

    >>> import trace_mine
    >>> trace = trace_mine.run("x = [1]\ny = x\ny.append(2)\n")
    >>> for step, state in zip(trace.steps, trace.states):
    ...     print(f"{step.source:12} {step.output:7} {state}")
    x = [1]              {'x': '[1]'}
    y = x                {'x': '[1]', 'y': '[1]'}
    y.append(2)          {'x': '[1, 2]', 'y': '[1, 2]'}
    y            [1, 2]  {'x': '[1, 2]', 'y': '[1, 2]'}

``run`` traces a program, ``trace`` a function of yours, ``mine`` whole repositories, ``load`` opens what was mined;
``tasks`` make sessions whose law is known; ``load_model`` and ``load_tokenizer`` open what ``trace-train`` left, and
``register_auto_classes`` lets transformers' own classes do so. A name is imported when it is first asked for, so that
``import trace_mine`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trace_mine.call_tracing import trace as trace
    from trace_mine.corpus.author_lines import author_line as author_line
    from trace_mine.corpus.synthetic.stream import Stream as Stream
    from trace_mine.corpus.synthetic.task import Stage as Stage
    from trace_mine.dataset_folders import load as load
    from trace_mine.dataset_folders import mine as mine
    from trace_mine.errors import NoTraceError as NoTraceError
    from trace_mine.function_source import FunctionSourceError as FunctionSourceError
    from trace_mine.run_folders import load_model as load_model
    from trace_mine.run_folders import load_tokenizer as load_tokenizer
    from trace_mine.run_folders import register_auto_classes as register_auto_classes
    from trace_mine.source_tracing import run as run
    from trace_mine.task_registry import tasks as tasks
    from trace_mine.tracer.config import TracerConfig as TracerConfig
    from trace_mine.tracer.limits import Limits as Limits
    from trace_mine.tracer.schema import Drop as Drop
    from trace_mine.tracer.schema import Snippet as Snippet
    from trace_mine.tracer.schema import Trace as Trace
    from trace_mine.tracer.scripts import script_snippet as script_snippet
    from trace_mine.tracer.session import Tracer as Tracer
    from trace_mine.tracer.views import View as View
    from trace_mine.tracer.views import parse_view as parse_view

__version__ = "0.2.0"

_MODULES = {
    "Drop": "trace_mine.tracer.schema",
    "FunctionSourceError": "trace_mine.function_source",
    "Limits": "trace_mine.tracer.limits",
    "NoTraceError": "trace_mine.errors",
    "Snippet": "trace_mine.tracer.schema",
    "Stage": "trace_mine.corpus.synthetic.task",
    "Stream": "trace_mine.corpus.synthetic.stream",
    "Trace": "trace_mine.tracer.schema",
    "Tracer": "trace_mine.tracer.session",
    "TracerConfig": "trace_mine.tracer.config",
    "View": "trace_mine.tracer.views",
    "author_line": "trace_mine.corpus.author_lines",
    "load": "trace_mine.dataset_folders",
    "load_model": "trace_mine.run_folders",
    "load_tokenizer": "trace_mine.run_folders",
    "mine": "trace_mine.dataset_folders",
    "parse_view": "trace_mine.tracer.views",
    "register_auto_classes": "trace_mine.run_folders",
    "run": "trace_mine.source_tracing",
    "script_snippet": "trace_mine.tracer.scripts",
    "tasks": "trace_mine.task_registry",
    "trace": "trace_mine.call_tracing",
}
"""The module that defines each public name. ``TYPE_CHECKING`` above has the same names for type checkers; a test holds
both together.
"""

_ROOMS = ("tracer", "corpus", "tokenizer", "train", "eval")

__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        value: object = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value  # __getattr__ is called for missing names only: the next access is a plain one
        return value
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; dir(trace_mine) lists the public names")


def __dir__() -> list[str]:
    # The public names alone: without this, dir() has the imports of this file, and lacks names not yet asked for.
    return sorted(__all__)
