"""Engines run work units in worker processes, on this machine or on others. One file an engine, and their registry.

An engine knows nothing of ledgers, rows or snippets: it has a ``UnitCall`` finish units by their keys, in workers.
Those of loky see the disk of the command, and write results there. Those of clusters need not: a unit goes out as bytes
with what it reads (``corpus/sending``), and its result comes back as bytes, which the command writes. Workers share
neither memory nor an order. The caller receives a ``Marker`` of a few kilobytes for each unit.

A worker may die: a unit crashes it, the machine runs out of memory, a cluster takes a node away. An engine doesn't try
again; it names the units that were under way (``WorkersLost``), and ``corpus/units.py`` decides what becomes of them,
in the same way for all engines.

To add an engine: a file here with a class that keeps the contract of ``Engine``, a line in ENGINES; the tests in
``tests/corpus/test_engines.py`` run over all of them.
"""

from __future__ import annotations

from trace_mine.corpus.engines.contract import Engine, EngineMaker, SentCall, UnitCall, WorkersLost
from trace_mine.corpus.engines.dask import dask_engine
from trace_mine.corpus.engines.keys import KeyFeed, KeyList, KeySource, PlanningEnded
from trace_mine.corpus.engines.loky import LokyEngine
from trace_mine.corpus.engines.ray import ray_engine

ENGINES: dict[str, EngineMaker] = {"loky": LokyEngine, "dask": dask_engine, "ray": ray_engine}
"""The name of each engine, and its maker. ``--engine`` and ``trace_mine.mine(engine=NAME)`` look it up."""


def make_engine(name: str, jobs: int, address: str | None = None) -> Engine:
    """Make an engine by its name: see ``EngineMaker``.

    Raises:
        ValueError: there is no such engine.
    """
    if name not in ENGINES:
        raise ValueError(f"expected an engine among {', '.join(ENGINES)}, got {name!r}; name one of them")
    return ENGINES[name](jobs, address)


__all__ = [
    "ENGINES",
    "Engine",
    "EngineMaker",
    "KeyFeed",
    "KeyList",
    "KeySource",
    "PlanningEnded",
    "SentCall",
    "UnitCall",
    "WorkersLost",
    "make_engine",
]
