"""The worker: one jail, kept running, that runs one job after the other.

A Worker picks the strongest level whose self-test passes, keeps it for its life, and restarts a jail that died.
Workers are independent: several live side by side in one process and in many. ``run`` may be called from any thread;
calls queue.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

from trace_mine.tracer.inside.protocol.jobs import JOBS, Job, PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import selftest
from trace_mine.tracer.sandbox.answers import with_answers
from trace_mine.tracer.sandbox.jail import Jail, SandboxUnavailable, hidden_from_runs, probe_interpreter
from trace_mine.tracer.sandbox.jail_process import JailDied, JailProcess
from trace_mine.tracer.sandbox.layer import Claim
from trace_mine.tracer.sandbox.layers import Level
from trace_mine.tracer.sandbox.start_up import choose_level, start_jail
from trace_mine.tracer.schema import Outcome

WARM_SECONDS = 60.0
WARM_ATTEMPTS = 3
"""How many times ``warm_seconds`` all attempts to import the warm modules may take together."""
RUN_ATTEMPTS = 2
"""A jail that died before a run began is started again once; a second death is that run's outcome."""


def _stop_all(processes: list[JailProcess]) -> None:
    while processes:
        processes.pop().stop()


class Worker:
    """Runs jobs in a jail; a context manager. Starts at once.

    ``level`` and ``layers`` say how it confines, ``warm_failures`` which modules of ``jail.warm`` could not be imported
    and why, ``restarts`` how often the jail was started again, ``python_version`` what runs inside.

    Raises:
        PermissionError: root runs this, and a mount can't be read by others (level 3).
        SandboxUnavailable: no level of at least ``minimum_level`` works here; the message says why and what to do.
        ValueError: a level below 2 without ``allow_unsafe``, or a jail that can't be (see Jail).
    """

    def __init__(
        self,
        jail: Jail,
        limits: Limits,
        *,
        minimum_level: int = 2,
        allow_unsafe: bool = False,
        maximum_level: int = 3,
        warm_seconds: float = WARM_SECONDS,
        ablate: frozenset[str] = frozenset(),
    ) -> None:
        """``warm_seconds`` bounds one attempt to import the warm modules. ``maximum_level`` forces a weaker level and
        ``ablate`` leaves single layers out, without a self-test; both are for tests.
        """
        if minimum_level < 2 and not allow_unsafe:
            raise ValueError(
                f"expected minimum_level >= 2, got {minimum_level}; below it nothing confines a snippet: "
                "pass allow_unsafe=True only for code that you would run without a sandbox"
            )
        if not sys.platform.startswith("linux"):
            raise SandboxUnavailable(
                f"expected Linux, got {sys.platform}; namespaces, seccomp and Landlock exist nowhere else: "
                "use a virtual machine"
            )
        self.jail = jail
        self.limits = limits
        self.warm_failures: dict[str, str] = {}
        self.restarts = 0
        self._interpreter = probe_interpreter(jail.python)
        self.python_version = self._interpreter.version
        self._ablate = ablate
        self._warm_seconds = warm_seconds
        self._lock = threading.RLock()
        self._processes: list[JailProcess] = []  # one or none; a list, because the finalizer must not hold the worker
        self._finalizer = weakref.finalize(self, _stop_all, self._processes)
        self._closed = False
        try:
            self._level = choose_level(minimum_level, maximum_level, self._attempt)
            self._refuse_hidden_mounts()
            self._warm()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def level(self) -> int:
        """3 or 2, or 0 where nothing confines."""
        return self._level.number

    def close(self) -> None:
        """Takes the jail down and waits for it; the host keeps no trace. A closed worker can't run."""
        with self._lock:
            self._closed = True
            self._finalizer()

    def inside(self, path: Path) -> str:
        """``path``, a host path below a mount's source, as code inside sees it; at level 2 the same path.

        Raises:
            ValueError: no mount shows it.
        """
        path = Path(os.path.realpath(path))
        for mount in self.jail.mounts:
            source = Path(os.path.realpath(mount.source))
            if path.is_relative_to(source):
                relative = path.relative_to(source)
                place = str(source) if self.level < 3 else mount.target
                return place if relative == Path(".") else f"{place}/{relative.as_posix()}"
        raise ValueError(f"expected a path below a mount of the jail, got {path}; add a Mount for it")

    def run(self, job: Job, limits: Limits | None = None) -> Outcome:
        """Runs one job in a fresh fork. The snippet's doings are an Outcome, bad answers among them.

        Raises:
            ValueError: ``limits.memory_bytes`` or ``forks`` above the worker's own, or the worker is closed.
            SandboxUnavailable: the jail died and could not be started again.
        """
        limits = limits or self.limits
        for name in ("memory_bytes", "forks"):
            most, wanted = getattr(self.limits, name), getattr(limits, name)
            if wanted > most:
                raise ValueError(
                    f"expected {name} <= {most}, the worker's, got {wanted}; start a worker with larger limits"
                )
        if not job.may_fork:
            limits = replace(limits, forks=0)
        payload = json.dumps(JOBS.to_json(job)).encode("ascii")
        with self._lock:
            if self._closed:
                raise ValueError("expected an open Worker, got a closed one; start a new one")
            return with_answers(self._run(payload, limits), job)

    def _run(self, payload: bytes, limits: Limits) -> Outcome:
        for _ in range(RUN_ATTEMPTS):
            try:
                if not self._processes:
                    self._restart()
                return self._processes[-1].run(payload, limits)
            except JailDied as error:
                # The run did not start: the zygote died before it, e.g. by a thread that an import left behind.
                self._stop()
                died = error
            except BaseException:
                # An interrupt, say: what init reports later belongs to this run and must not be taken for the next's.
                self._stop()
                raise
        return Outcome(status="no-end", integrity="truncated", stderr=f"the jail died: {died}".encode())

    # starting and restarting the jail

    def _attempt(self, level: Level) -> list[str]:
        """Starts a jail of the level; what its self-test found, and then it is down again. Raises
        SandboxUnavailable.
        """
        self._level = level
        self._start()
        failures = [] if self._ablate else selftest.failures(self.ask, self.claim())
        if failures:
            self._stop()
        return failures

    def ask(self, source: str) -> Outcome:
        """Runs a source as a plain job, as the self-test does. Raises as ``run``."""
        return self.run(PlainJob(source=source))

    def claim(self) -> Claim:
        """What this worker says of itself."""
        return Claim(
            level=self.level,
            layers=self.layers,
            host_name=self.jail.hostname,
            directory=self.jail.scratch,
            limits=self.limits,
        )

    def _refuse_hidden_mounts(self) -> None:
        hidden = [str(mount.source) for mount in self.jail.mounts if hidden_from_runs(mount.source)]
        if hidden and self.level == 3:
            raise PermissionError(
                f"expected mounts that every user can read, got {hidden[0]}; runs belong to an unprivileged user: "
                "chmod -R o+rX it, or run as its owner instead of root"
            )

    def _start(self) -> None:
        """A jail of the chosen level, never of a weaker one."""
        process = start_jail(self._level, self.jail, self.limits, self._interpreter, without=self._ablate)
        self._processes.append(process)
        self.layers = process.layers

    def _warm(self) -> None:
        """Imports ``jail.warm``; a module that hangs or kills the zygote is left out of the next attempt and reported.

        An attempt may take ``warm_seconds``; after WARM_ATTEMPTS times that, what was not tried yet is left out.
        """
        waiting = list(self.jail.warm)
        deadline = time.monotonic() + WARM_ATTEMPTS * self._warm_seconds
        while waiting:
            warmed = self._processes[-1].warm(waiting, self._warm_seconds)
            self.warm_failures |= warmed.failures
            if not warmed.stuck:
                return
            self.warm_failures[warmed.stuck] = warmed.why
            if time.monotonic() >= deadline:
                late = waiting[waiting.index(warmed.stuck) + 1 :]
                self.warm_failures |= dict.fromkeys(late, "not tried: the time for imports was used up")
            waiting = [name for name in waiting if name not in self.warm_failures]
            self._stop()
            self._start()

    def _restart(self) -> None:
        """Raises JailDied where a module that was imported before gets stuck now."""
        self.restarts += 1
        self._start()
        modules = [name for name in self.jail.warm if name not in self.warm_failures]
        if modules and self._processes[-1].warm(modules, self._warm_seconds).stuck:
            raise JailDied("a module that was imported before hangs or crashes now")

    def _stop(self) -> None:
        _stop_all(self._processes)
