"""Engines: what runs work units in worker processes, on this machine or on others. One file an engine, and a registry.

An engine knows nothing of ledgers, rows or snippets. It calls a ``Task`` with the keys of units, in workers. What a
task makes it leaves in files of the dataset's folder, so all workers must see that folder (on several machines: a
common file system) and need nothing else in common: no shared memory, no order. What comes back to the caller is a
``Marker`` of a few kilobytes.

Workers die: of a unit, of the machine, of a cluster that takes a node away. An engine doesn't try again; it says
which units were under way (``WorkersLost``), and ``units`` decides, in the same way for all engines.

To add an engine: a file here with a class that keeps the contract of ``Engine``, a line in ENGINES; the tests in
``tests/corpus/test_engines.py`` run over all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.corpus.engines.contract import Engine, Task, WorkersLost
from trace_mine.corpus.engines.loky import LokyEngine

ENGINES: dict[str, Callable[[int], Engine]] = {"loky": LokyEngine}
"""Engine name to its maker, which takes the number of workers. Makers start nothing and import nothing heavy."""

__all__ = ["ENGINES", "Engine", "Task", "WorkersLost"]
