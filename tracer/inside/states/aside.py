"""Commands run aside: all that they change in the process and that is in no state is put back afterwards.

That is output, the display hook, ``__main__``, the globals of the repository's modules, which the session's namespace
shares, and the state outside namespaces.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Protocol

from trace_mine.tracer.inside.draws import resting
from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.logging_settings import caches, put_caches
from trace_mine.tracer.inside.draws.streams import NOWHERE, PrintingTo
from trace_mine.tracer.inside.observe.describe import forget_output, note_output
from trace_mine.tracer.inside.program import Capture, OutputFull
from trace_mine.tracer.inside.states.command_runner import display
from trace_mine.tracer.inside.states.records import Spent


class SharedState(Protocol):
    """A saver of states that knows what they change outside of their namespace: see ``Snapshots``."""

    def shared(self) -> Any: ...

    def put_back(self, shared: Any) -> None: ...

    def printing_to(self, output: object, errors: object) -> contextlib.AbstractContextManager[None]: ...


@contextlib.contextmanager
def aside(states: SharedState, output_limit: int, main: ModuleType | None) -> Iterator[Capture]:
    """Give commands output, displayed values and ``__main__`` of their own; put the process's back at the end.

    Raises:
        Spent: more was printed than may be.
    """
    capture = Capture(output_limit)
    shared = states.shared()
    resting.begin()
    ambient, remembered = Ambient.now(), caches()
    before = sys.stdout, sys.displayhook, sys.modules.get("__main__")
    sys.stdout, sys.displayhook = capture, display
    errors = sys.stderr
    if errors is sys.__stderr__:  # else one that the program has put there
        sys.stderr = NOWHERE
    # Classes of the session are pickled by their module's name: snapshots look for them there.
    if main is not None:
        sys.modules["__main__"] = main
    note_output(capture)
    try:
        with states.printing_to(capture, NOWHERE), PrintingTo(capture, NOWHERE):
            yield capture
    except OutputFull:
        raise Spent from None
    finally:
        forget_output(capture)
        if sys.stderr is NOWHERE:
            sys.stderr = errors
        sys.stdout, sys.displayhook = before[:2]
        states.put_back(shared)
        ambient.put_back()
        put_caches(remembered)
        resting.end()
        if before[2] is not None:
            sys.modules["__main__"] = before[2]


def unloaded(names: list[str]) -> str:
    """Have these modules be imported anew by whoever is next, the session among them; gives their names."""
    texts, names[:] = [*names], []
    for name in texts:
        module = sys.modules.pop(name, None)
        parent, _, last = name.rpartition(".")
        members = vars(sys.modules[parent]) if parent in sys.modules else {}
        if module is not None and members.get(last) is module:
            del members[last]
    return ", ".join(texts)
