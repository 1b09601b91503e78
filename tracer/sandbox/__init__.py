"""Confines the process that a snippet runs in: a ``Worker`` runs jobs in a ``Jail`` and reports how each run ended.

See ``docs/sandbox.md`` for what each level promises and what it does not.
"""

from trace_mine.tracer.sandbox.jail import Jail, Mount, SandboxUnavailable, hidden_from_runs
from trace_mine.tracer.sandbox.worker import Worker

__all__ = ["Jail", "Mount", "SandboxUnavailable", "Worker", "hidden_from_runs"]
