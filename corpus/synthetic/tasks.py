"""The registry of tasks: what ``trace-synth`` can make, by name."""

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
"""``paper``: arXiv 2602.14814, Fig. 4. ``cpu``: short first stages, without which small models stay at chance."""


def _permutations(**parameters: Any) -> Task:
    kept = {key: value for key, value in parameters.items() if key != "sticky" or value}  # younger than rows without it
    return GameTask(name="permutations", game=permutation_game(**parameters), parameters=kept)


def _groups(**parameters: Any) -> Task:
    return GameTask(name="groups", game=group_game(**parameters), parameters=parameters)


TASKS: dict[str, tuple[Callable[..., Task], Callable[..., Any]]] = {
    "permutations": (_permutations, permutation_game),
    "groups": (_groups, group_game),
    "pfsa": (pfsa_task, pfsa_task),
    "programs": (programs_task, programs_task),
}
"""Task name to (maker, the function whose keyword arguments are its parameters, each with a default)."""


def describe(name: str) -> str:
    """A task's parameters with their defaults, and what they mean."""
    function = TASKS[name][1]
    defaults = ", ".join(f"{key}={p.default!r}" for key, p in inspect.signature(function).parameters.items())
    documented = inspect.getdoc(function) or ""
    return f"{name}: {defaults}\n  {' '.join(documented.partition('Raises:')[0].split())}"


def task_label(task: Task) -> str:
    """The task's name with the parameters that aren't its defaults: equal texts are equal tasks."""
    known = inspect.signature(TASKS[task.name][1]).parameters if task.name in TASKS else {}
    own = {k: v for k, v in task.parameters.items() if k not in known or v != known[k].default}
    return f"{task.name} {', '.join(f'{key}={value}' for key, value in sorted(own.items()))}".strip()


def make_task(name: str, parameters: Mapping[str, str]) -> Task:
    """The task with parameters given as text.

    Raises:
        ValueError: the task or a parameter is unknown, or a value does not fit.
    """
    if name not in TASKS:
        raise ValueError(f"expected a task among {', '.join(TASKS)}, got {name!r}")
    maker, function = TASKS[name]
    known = inspect.signature(function).parameters
    # defaults are filled in: a row must not depend on whether a default was spelt out
    given: dict[str, Any] = {key: parameter.default for key, parameter in known.items()}
    for key, text in parameters.items():
        if key not in known:
            raise ValueError(f"expected a parameter of {name} ({', '.join(known)}), got {key!r}")
        kind = type(known[key].default)
        try:
            given[key] = kind(text)
        except ValueError:
            raise ValueError(f"expected {key} of {name} to be a {kind.__name__}, got {text!r}") from None
    return maker(**given)
