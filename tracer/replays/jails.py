"""The jails that sessions are replayed in, each started when it is first needed.

Most repositories need one, the replayer. Starting a jail takes a second with the imports.
"""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.replays.reader import Jails
from trace_mine.tracer.sandbox import Jail, Worker
from trace_mine.tracer.two_worlds import jail_of


def replaying_jail(config: TracerConfig, kind: Jails) -> Jail:
    """The jail that readers of this kind read in."""
    jail = jail_of(config, replaying=True)
    if kind == "other world":
        return jail
    jail = replace(jail, zygote="replayer", choices=False)
    return jail if kind == "replayer" else replace(jail, warm=())


class ReplayJails:
    """The replaying jails of one configuration. A context manager; a second ``close`` does nothing."""

    def __init__(self, config: TracerConfig) -> None:
        self._config = config
        self._workers: dict[Jails, Worker] = {}

    def __enter__(self) -> ReplayJails:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def worker(self, kind: Jails) -> Worker:
        """The worker of a jail, started where it was not asked for before. Raises SandboxUnavailable."""
        if kind not in self._workers:
            self._workers[kind] = Worker(
                replaying_jail(self._config, kind),
                # a replay follows no choices, and the filter is stricter so
                replace(self._config.limits, forks=0),
                **self._config.worker_levels,
            )
        return self._workers[kind]

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
