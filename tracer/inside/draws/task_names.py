"""Names of asyncio's tasks, ``Task-1`` and so on, counted where the count can be read and set.

C code counts the tasks of a process that got no name. A path that makes one by chance would change the names of all
paths after it. So a task is of a class that counts alike, and where it stands is a setting of the process, as the
number of the next thread is. A plain interpreter gives the same names: it counts from 1, too.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any, ClassVar


class Tasks:
    """Of this process.

    Attributes:
        count: gives the number of the next task.
    """

    count: ClassVar[Callable[[], int]] = itertools.count(1).__next__


_made: list[type] = []


def begin() -> None:
    """Count from 1, in a new program."""
    Tasks.count = itertools.count(1).__next__


def install() -> None:
    """Put the class in the place of asyncio's, where that is loaded, once."""
    module = sys.modules.get("asyncio.tasks")
    plain: Any = None if module is None else vars(module).get("Task")
    if plain is None or plain in _made:
        return

    def init(self: Any, *args: Any, name: object = None, **kwargs: Any) -> None:
        before = None
        if name is None:
            number = Tasks.count()
            name, before = f"Task-{number}", number
        try:
            plain.__init__(self, *args, name=name, **kwargs)
        except BaseException:
            if before is not None:  # what is no coroutine has no number
                Tasks.count = itertools.count(before).__next__
            raise

    init.__name__ = "__init__"
    init.__qualname__ = "Task.__init__"
    names = {"__module__": plain.__module__, "__qualname__": "Task", "__doc__": plain.__doc__, "__init__": init}
    task = type("Task", (plain,), names)
    _made.append(task)
    for name in ("asyncio", "asyncio.tasks", "_asyncio"):
        members = vars(sys.modules[name]) if name in sys.modules else {}
        for each in ("Task", "_CTask"):
            if members.get(each) is plain:
                members[each] = task
