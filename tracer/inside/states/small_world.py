"""A world of a few variables with plain data, in which commands are learnt for tables."""

from __future__ import annotations

import contextvars
from types import ModuleType

from trace_mine.tracer.inside.states.command_runner import CommandRunner
from trace_mine.tracer.inside.states.packing import Full, Packing
from trace_mine.tracer.inside.states.paths import RunsDisagree
from trace_mine.tracer.inside.states.plain_namespace import PlainNamespace
from trace_mine.tracer.inside.states.records import Mode, Reach
from trace_mine.tracer.inside.states.state_runs import RunLimits, StateRuns


class SmallWorld(StateRuns):
    """Runs commands from states that are numbers, in a namespace of the variables that a command names.

    Attributes:
        sampled: the command that was learnt last has sampled a draw.
    """

    def __init__(
        self,
        packing: Packing,
        runner: CommandRunner,
        limits: RunLimits,
        *,
        main: ModuleType | None,
        context: contextvars.Context,
    ) -> None:
        namespace: dict[str, object] = {}
        self._plain = PlainNamespace(packing, namespace)
        super().__init__(namespace, self._plain, runner, limits, main=main, context=context)

    def learn(self, source: str, mode: Mode, state: int, names: frozenset[str]) -> Reach | None:
        """See ``tables.Small``."""
        self._plain.used = names
        self.sampled = False
        self._reaches.clear()  # each table has its own
        try:
            reach = self.run(source, mode, state)
        except (RunsDisagree, Full):
            return None
        return None if self.sampled or reach.unexplored else reach
