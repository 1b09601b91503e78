"""The jails that sessions are replayed in, each started when it is first needed.

Most repositories need one, the replayer. Starting a jail takes a second with the imports.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import TracebackType

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.replays.reader import WORLDS, Jails
from trace_mine.tracer.rounds import Failed
from trace_mine.tracer.sandbox import Jail, Worker
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.two_worlds import jail_of

REPLAYS_IN_FULL = 4
"""All replays of a snippet with threads together may take so many times the CPU time that one run may take."""

THIRD_SEED = 90_210
"""The hash seed of the fresh replayer. Two texts of a set stand in one order under two seeds half of the time, three of
them once in six; under a third seed a quarter, and once in 36."""
ORDER_SEEDS: dict[Jails, int] = {"order 1": 1, "order 2": 77, "order 3": 65_537, "order 4": 1_234_567}
"""The hash seeds of the jails for sessions that a set of few texts may decide (``set_orders``)."""
WORLD_SEEDS: dict[Jails, int] = {"third world": 3_000_017, "fourth world": 5_309}
"""Those of the jails in which outcomes are followed again (``other_processes``)."""


def replaying_jail(config: TracerConfig, kind: Jails) -> Jail:
    """The jail that readers of this kind read in."""
    jail = jail_of(config, replaying=True)
    if kind in WORLDS:
        return replace(jail, hash_seed=WORLD_SEEDS.get(kind, jail.hash_seed))
    jail = replace(jail, zygote="replayer", choices=False)
    if kind in ORDER_SEEDS:
        return replace(jail, hash_seed=ORDER_SEEDS[kind])
    return jail if kind == "replayer" else replace(jail, warm=(), hash_seed=THIRD_SEED)


@dataclass(slots=True, kw_only=True)
class Audits:
    """Which sessions of a unit ``fresh`` has to read, beside those that are chosen by their text.

    The first of each module; and all after one that it read otherwise: a package that can tell a fork from a fresh
    interpreter (the process id at its import is enough) is believed in nothing more. Not frozen: it learns.

    Attributes:
        agreed: modules with a session that ``fresh`` read as the others did; None: a script's ``__main__``.
        has_differed: it read a session otherwise.
    """

    agreed: set[str | None] = field(default_factory=set)
    has_differed: bool = False

    def asks_for(self, module: str | None) -> bool:
        """Return True if the next session of a module has to be read."""
        return self.has_differed or module not in self.agreed

    def note(self, module: str | None, *, agrees: bool) -> None:
        """Note what came of a reading."""
        if agrees:
            self.agreed.add(module)
        else:
            self.has_differed = True


class ReplayJails:
    """The replaying jails of one configuration. A context manager; a second ``close`` does nothing.

    ``audits`` is of the unit of work that is being done.
    """

    def __init__(self, config: TracerConfig) -> None:
        self._config = config
        self.audits = Audits()
        self._cpu_before = 0.0
        self._workers: dict[Jails, Worker] = {}
        self._folder = config.folder

    def __enter__(self) -> ReplayJails:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def worker(self, kind: Jails) -> Worker:
        """The worker of a jail, started where it was not asked for before. Raises SandboxUnavailable."""
        if kind not in self._workers:
            worker = Worker(
                replaying_jail(self._config, kind),
                # a replay follows no choices, and the filter is stricter so
                replace(self._config.limits, forks=0),
                **self._config.worker_levels,
            )
            if self._folder is not None:
                worker.hold_folder(self._folder)
            self._workers[kind] = worker
        return self._workers[kind]

    def hold_folder(self, folder: WorkingFolder) -> None:
        """Have each run from here on find a copy of its own of ``folder`` in its scratch."""
        self._folder = folder
        for worker in self._workers.values():
            worker.hold_folder(folder)

    def begin_unit(self) -> None:
        """Begin a unit of work: which of its sessions are audited depends on no other unit."""
        self.audits = Audits()

    def begin_snippet(self) -> None:
        """Begin a snippet, which has a budget of CPU time of its own."""
        self._cpu_before = self.cpu_spent

    def check_budget(self) -> None:
        """Check that the snippet's replays have not taken more CPU time than one that is replayed often may take.

        Raises:
            Failed: they have.
        """
        budget = REPLAYS_IN_FULL * self._config.limits.cpu_seconds
        if self.cpu_spent - self._cpu_before > budget:
            raise Failed(Reason.CPU, f"replays of a session with threads took more than {budget:g} s of CPU time")

    @property
    def cpu_spent(self) -> float:
        """The seconds of CPU that all replays took."""
        return sum(each.cpu_of_replays for kind, each in self._workers.items() if kind not in WORLDS)

    @property
    def sandbox(self) -> dict[str, object] | None:
        """The ``level`` and ``layers`` of the jails that were started; None while there is none."""
        return next(({"level": each.level, "layers": each.layers} for each in self._workers.values()), None)

    @property
    def started(self) -> tuple[Worker, ...]:
        """The workers that were asked for."""
        return tuple(self._workers.values())

    def close(self) -> None:
        """End the jails."""
        while self._workers:
            self._workers.popitem()[1].close()
