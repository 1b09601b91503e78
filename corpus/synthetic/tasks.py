"""The registry of synthetic tasks, by name, and the curricula.

To add a task: a function whose keyword arguments are the parameters, each with a default and a docstring that explains
it (``trace-synth list`` prints it), and a line in TASKS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from trace_mine.corpus.synthetic.groups import group_game
from trace_mine.corpus.synthetic.permutations import permutation_game
from trace_mine.corpus.synthetic.pfsa import pfsa_task
from trace_mine.corpus.synthetic.programs import programs_task
from trace_mine.corpus.synthetic.task import GameTask, Stage, Task

CURRICULA: dict[str, tuple[Stage, ...]] = {
    "paper": tuple(Stage(commands=(n, n), spacing=(s, s)) for n, s in ((8, 1), (16, 2), (32, 4), (64, 8))),
    "cpu": (
        Stage(commands=(2, 8), spacing=(1, 2)),
        Stage(commands=(8, 16), spacing=(1, 4)),
        Stage(commands=(16, 32), spacing=(2, 8)),
    ),
}
"""Name to stages. ``paper``: arXiv 2602.14814, Fig. 4. ``cpu``: its first stages are short; without them small models
stay at chance.
"""


# `Any` in the two makers: `make_task` gives each parameter the type of its default, which no annotation can say.
def _permutations(**parameters: Any) -> Task:
    # `sticky` is younger than the task. Left out where it is 0, the key of each row's generator stays as it was, so the
    # same command makes the same rows as before it.
    kept = {key: value for key, value in parameters.items() if key != "sticky" or value}
    return GameTask(name="permutations", game=permutation_game(**parameters), parameters=kept)


def _groups(**parameters: Any) -> Task:
    return GameTask(name="groups", game=group_game(**parameters), parameters=parameters)


TASKS: dict[str, tuple[Callable[..., Task], Callable[..., object]]] = {
    "permutations": (_permutations, permutation_game),
    "groups": (_groups, group_game),
    "pfsa": (pfsa_task, pfsa_task),
    "programs": (programs_task, programs_task),
}
"""Task name to (maker, the function whose keyword arguments are the task's parameters, each with a default)."""


def describe(name: str) -> str:
    """Return a text for people: a task's parameters with their defaults, and their meanings from the docstring."""
    function = TASKS[name][1]
    defaults = ", ".join(f"{key}={p.default!r}" for key, p in inspect.signature(function).parameters.items())
    documented = inspect.getdoc(function) or ""
    return f"{name}: {defaults}\n  {' '.join(documented.partition('Raises:')[0].split())}"


def task_label(task: Task) -> str:
    """Return the task's name with the parameters that differ from their defaults: equal texts are equal tasks."""
    signature = inspect.signature(TASKS[task.name][1]).parameters if task.name in TASKS else {}
    own = {k: v for k, v in task.parameters.items() if k not in signature or v != signature[k].default}
    return f"{task.name} {', '.join(f'{key}={value}' for key, value in sorted(own.items()))}".strip()


def make_task(name: str, parameters: Mapping[str, str]) -> Task:
    """Make the task with parameters given as text, each read as the type of its default.

    Raises:
        ValueError: the task or a parameter is unknown, or a value does not fit.
    """
    if name not in TASKS:
        raise ValueError(f"expected a task among {', '.join(TASKS)}, got {name!r}")
    maker, function = TASKS[name]
    signature = inspect.signature(function).parameters
    # Defaults are filled in: a row must not depend on whether a default was spelt out.
    values: dict[str, object] = {key: parameter.default for key, parameter in signature.items()}
    for key, text in parameters.items():
        if key not in signature:
            raise ValueError(f"expected a parameter of {name} ({', '.join(signature)}), got {key!r}")
        # No parameter is a bool, which any text but the empty one would make True.
        kind = type(signature[key].default)
        try:
            values[key] = kind(text)
        except ValueError:
            raise ValueError(f"expected {key} of {name} to be of type {kind.__name__}, got {text!r}") from None
    return maker(**values)
