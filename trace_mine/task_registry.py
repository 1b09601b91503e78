"""``tasks``: the synthetic tasks by name. Each is called with parameters, as Python values instead of the text that
``trace-synth --set`` takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trace_mine.corpus.synthetic.task import Task
from trace_mine.corpus.synthetic.tasks import TASKS, describe

Parameter = int | float | str | bool


@dataclass(frozen=True, slots=True)
class TaskMaker:
    """Makes a task by its name in the registry. ``defaults`` are the parameters; ``help`` explains them.

    Raises:
        ValueError: no task has this name.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise ValueError(f"expected a task among {', '.join(TASKS)}, got {self.name!r}; see trace_mine.tasks")

    @property
    def defaults(self) -> dict[str, Parameter]:
        """Parameter names, with the values that they have when they are left out."""
        parameters = inspect.signature(TASKS[self.name][1]).parameters
        return {key: parameter.default for key, parameter in parameters.items()}

    @property
    def help(self) -> str:
        """The parameters with their defaults and meanings."""
        return describe(self.name)

    def __call__(self, **parameters: Parameter) -> Task:
        """Make the task with these parameters, and defaults for the rest.

        Raises:
            ValueError: a parameter is unknown, or a value does not fit.
        """
        chosen = self.defaults
        for key, value in parameters.items():
            if key not in chosen:
                raise ValueError(f"expected a parameter of {self.name} ({', '.join(chosen)}), got {key!r}")
            # The exact type: True is an int to isinstance, and `n=True` a mistake. An int is fine for a probability.
            kind = type(chosen[key])
            if type(value) not in ((int, float) if kind is float else (kind,)):
                raise ValueError(f"expected {key} of {self.name} to be a {kind.__name__}, got {value!r}; write one")
            chosen[key] = float(value) if kind is float else value
        # The maker checks ranges; here only names and types are checked, as `--set` would.
        return TASKS[self.name][0](**chosen)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.defaults.items())})"


class TaskRegistry(Mapping[str, TaskMaker]):
    r"""The synthetic tasks by name: their sessions have a law that is known from the start.

    ``tasks[NAME]``, called with parameters, makes a task; ``tasks[NAME].help`` explains the parameters; ``Stream``
    gives the task's sessions.

    >>> import trace_mine
    >>> sorted(trace_mine.tasks)
    ['groups', 'permutations', 'pfsa', 'programs']
    >>> task = trace_mine.tasks["permutations"](n=3, p=0.5)
    >>> stage = trace_mine.Stage(commands=(4, 4), spacing=(2, 2))
    >>> trace = trace_mine.Stream(task, seed=0, split="train", stage=stage)[0]
    >>> trace
    Trace(9 steps, 4 choices, 2 beliefs, outcome='ok', view='branch')
    """

    def __getitem__(self, name: str) -> TaskMaker:
        if name not in TASKS:
            raise KeyError(f"expected a task among {', '.join(TASKS)}, got {name!r}")
        return TaskMaker(name)

    def __iter__(self) -> Iterator[str]:
        return iter(TASKS)

    def __len__(self) -> int:
        return len(TASKS)

    def __repr__(self) -> str:
        return "\n".join(repr(maker) for maker in self.values())


tasks = TaskRegistry()
"""The registry; see ``TaskRegistry``."""
