"""Engines run work units in worker processes, on this machine or on others. One file an engine, and their registry.

An engine knows nothing of ledgers, rows or snippets: it calls a ``UnitCall`` with the keys of units, in workers. A call
leaves its result in files of the dataset's folder, so all workers must see that folder (on several machines: a common
file system). They share nothing else, neither memory nor an order. The caller receives a ``Marker`` of a few kilobytes
for each unit.

A worker may die: a unit crashes it, the machine runs out of memory, a cluster takes a node away. An engine doesn't try
again; it names the units that were under way (``WorkersLost``), and ``corpus/units.py`` decides what becomes of them,
in the same way for all engines.

To add an engine: a file here with a class that keeps the contract of ``Engine``, a line in ENGINES; the tests in
``tests/corpus/test_engines.py`` run over all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.corpus.engines.contract import Engine, UnitCall, WorkersLost
from trace_mine.corpus.engines.keys import KeyFeed, KeyList, KeySource, PlanningEnded
from trace_mine.corpus.engines.loky import LokyEngine

ENGINES: dict[str, Callable[[int], Engine]] = {"loky": LokyEngine}
"""The name of each engine, and its maker, which takes the number of workers. ``trace_mine.mine(engine=NAME)`` looks
it up; the commands take ``loky``. A maker starts nothing and imports nothing heavy.
"""

__all__ = ["ENGINES", "Engine", "KeyFeed", "KeyList", "KeySource", "PlanningEnded", "UnitCall", "WorkersLost"]
