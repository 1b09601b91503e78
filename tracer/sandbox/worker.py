"""Keeps one jail running and runs one job after the other in it.

A Worker picks the strongest level whose self-test passes, keeps it for its life, and restarts a jail that died.
Workers are independent: several live side by side in one process and in many. ``run`` may be called from any thread;
calls queue.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from trace_mine.tracer.inside.protocol.jobs import JOBS, Job, PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import selftest
from trace_mine.tracer.sandbox.answers import with_answers
from trace_mine.tracer.sandbox.conversation import Conversation, RunLost, ended_as
from trace_mine.tracer.sandbox.jail import Jail, SandboxUnavailable, hidden_from_runs, probe_interpreter
from trace_mine.tracer.sandbox.jail_process import JailDied, JailProcess, JobTooLong
from trace_mine.tracer.sandbox.layer import LevelClaim
from trace_mine.tracer.sandbox.layers import Level
from trace_mine.tracer.sandbox.prompt import RunRequest, run_source
from trace_mine.tracer.sandbox.start_up import choose_level, place_of, start_jail
from trace_mine.tracer.sandbox.verdict import Report
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.schema import Outcome

WARM_SECONDS = 60.0
"""How long one attempt to import the warm modules may take by default, of the zygote's own time."""
WARM_ATTEMPTS = 3
"""How many times ``warm_seconds`` all attempts to import the warm modules may take together."""
RUN_ATTEMPTS = 2
"""How many jails a run may take: one that died before the run began is started again once; a second death, and any
after the run began, is the outcome of the run. A run that was killed (KILLED) is made again once, too."""
KILLED = "signal:9"
"""The status of a run that ended by SIGKILL, and not by init. A run that sends it to itself ends so again; one that
somebody else killed, a kernel out of memory for instance, does not."""


COMMON_PREFIXES = ("/", "/usr", "/usr/local")
"""Prefixes of interpreters that are no fact of one machine."""

T = TypeVar("T")


def _stop_all(processes: list[JailProcess]) -> None:
    """Take all jails of the list down. A function, not a method: a finalizer that knew the worker would keep it
    alive."""
    while processes:
        processes.pop().stop()


class Worker:
    """A jail that runs jobs, one at a time. A context manager; starts at once.

    ``level`` and ``layers`` say how it confines, ``warm_failures`` which modules of ``jail.warm`` could not be imported
    and why, ``restarts`` how often the jail was started again, ``python_version`` the version of the interpreter
    inside. ``lost_runs`` counts the runs that ended with their jail, so that nothing is known of what they did, and
    ``last_loss`` says how the last of them ended.

    Covered: what ``docs/sandbox.md`` promises for ``level``. Not covered: the truth of what a run says of itself, and
    runs that a hostile import of ``jail.warm`` spoils.

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
        """Choose a level, start the jail, import the warm modules.

        Args:
            jail: how the jail looks.
            limits: of each run, where the call of ``run`` gives no lower ones.
            minimum_level: the weakest level to accept; below 2 only with ``allow_unsafe``.
            allow_unsafe: True accepts level 0, which confines nothing.
            maximum_level: forces a weaker level; for tests.
            warm_seconds: bounds one attempt to import the warm modules, in the zygote's own time (see ``Limits``).
            ablate: leaves layers out, by name, and skips the self-test; for tests.
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
        self.lost_runs = 0
        self.cpu_of_replays = self.cpu_of_jobs = 0.0
        self.last_loss = ""
        self._interpreter = probe_interpreter(jail.python)
        self.python_version = self._interpreter.version
        self._ablate = ablate
        self._warm_seconds = warm_seconds
        self._folder: WorkingFolder | None = None
        self._lock = threading.RLock()  # re-entrant: the self-test, in _attempt, calls run
        self._processes: list[JailProcess] = []  # one or none; a list, because the finalizer must not hold the worker
        self._finalizer = weakref.finalize(self, _stop_all, self._processes)
        self._closed = False
        try:
            # the self-test before the imports: nothing foreign runs in a jail that was not tested
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
        """Take the jail down and wait for its end; nothing of it stays on the host. A closed worker can't run jobs."""
        with self._lock:
            self._closed = True
            self._finalizer()

    def inside(self, path: Path) -> str:
        """Return a host path below a mount's source as code inside sees it; at level 2 that is the same path.

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

    def hold_folder(self, folder: WorkingFolder) -> None:
        """Have each run from here on find a copy of its own of ``folder`` in its scratch."""
        self._folder = folder

    @property
    def scratch(self) -> str:
        """The folder that runs begin in, as code inside sees it."""
        return self._scratch

    @property
    def library(self) -> tuple[str, str]:
        """The folder of the standard library, on the host and as code inside sees it; the same folder where the
        interpreter stands at its own path.
        """
        return self._interpreter.library, self._library

    @property
    def host_paths(self) -> tuple[str, ...]:
        """Paths of the host that code inside sees under their own names: of the interpreter where it can't be moved,
        and at level 2 of the mounts, too.
        """
        interpreter = self._interpreter
        on_host, inside = self.library
        shown = [interpreter.library, interpreter.executable] if on_host == inside else []
        if shown and interpreter.prefix not in COMMON_PREFIXES:
            shown.append(interpreter.prefix)
        if self.level < 3:
            shown += [os.path.realpath(mount.source) for mount in self.jail.mounts]
        return tuple(shown)

    def run(self, job: Job, limits: Limits | None = None) -> Outcome:
        """Run one job in a fresh fork of the zygote. All that the snippet does, bad answers too, is an Outcome.

        Args:
            job: the job, of any kind.
            limits: of this run; the worker's where left out. ``forks`` counts for jobs that may fork only.

        Raises:
            ValueError: ``limits.memory_bytes`` or ``limits.forks`` is above the worker's, or the worker is closed.
            SandboxUnavailable: the jail died and could not be started again.
        """
        limits = limits or self.limits
        # The zygote's own limits are made of these two, and a run can only lower what it inherits.
        for name in ("memory_bytes", "forks"):
            worker_limit, run_limit = getattr(self.limits, name), getattr(limits, name)
            if run_limit > worker_limit:
                raise ValueError(
                    f"expected {name} <= {worker_limit}, the worker's, got {run_limit}; "
                    "start a worker with larger limits"
                )
        if not job.may_fork:
            limits = replace(limits, forks=0)
        payload = json.dumps(JOBS.to_json(job)).encode("ascii")
        with self._lock:
            if self._closed:
                raise ValueError("expected an open Worker, got a closed one; start a new one")
            return with_answers(self._run(payload, limits), job)

    def converse(
        self, request: RunRequest, talk: Callable[[Conversation], T], limits: Limits | None = None
    ) -> tuple[T, Report]:
        """Speak with a run in a fresh fork of a replayer's zygote.

        Args:
            request: what the run is before its first command.
            talk: is given the conversation; what it returns is returned here. It may be called a second time, for
                another run, where the jail died before the first.
            limits: of this run; the worker's where left out.

        Returns:
            What ``talk`` returned, and init's report of the run's end.

        Raises:
            ValueError: the worker is closed, or its jail is a recorder's.
            RunLost: the jail died within the run, or twice before it, or the request is longer than a jail takes.
            SandboxUnavailable: the jail died and could not be started again.
        """
        if self.jail.zygote != "replayer":
            raise ValueError("expected a Worker whose jail is a replayer's, got a recorder's; use run")
        limits = limits or self.limits
        payload = request.as_json()
        with self._lock:
            if self._closed:
                raise ValueError("expected an open Worker, got a closed one; start a new one")
            for attempt in range(RUN_ATTEMPTS):
                try:
                    answer = self._process().converse(payload, limits, talk)
                    self.cpu_of_replays += answer[1].cpu_seconds
                    if attempt == RUN_ATTEMPTS - 1 or ended_as(answer[1], limits) != KILLED:
                        return answer
                    death = JailDied("the run was killed")
                except JobTooLong as error:
                    raise RunLost(str(error)) from error
                except JailDied as error:
                    self._stop()
                    death = error
                    if error.begun:
                        break
                except BaseException:
                    self._stop()  # what init reports later belongs to this run and must not be taken for the next's
                    raise
        self._lose(death)
        raise RunLost(f"the jail died: {death}")

    def _run(self, payload: bytes, limits: Limits) -> Outcome:
        """Run a job, in another jail where the present one died before it. Raises SandboxUnavailable."""
        for attempt in range(RUN_ATTEMPTS):
            try:
                outcome = self._process().run(payload, limits)
                self.cpu_of_jobs += outcome.cpu_seconds
                if attempt == RUN_ATTEMPTS - 1 or outcome.status != KILLED:
                    return outcome
                death = JailDied("the run was killed")
            except JobTooLong as error:
                return Outcome(status="no-end", integrity="truncated", stderr=str(error).encode())
            except JailDied as error:
                self._stop()
                death = error
                if error.begun:  # again, it would be clean, and nobody would know what the first one did
                    break
                # It did not: the zygote died before it, e.g. by a thread that an import left behind.
            except BaseException:
                # An interrupt, say: what init reports later belongs to this run and must not be taken for the next's.
                self._stop()
                raise
        if not death.out_of_memory:
            self._lose(death)
        status = "memory" if death.out_of_memory else "no-end"
        return Outcome(status=status, integrity="truncated", stderr=f"the jail died: {death}".encode())

    def _process(self) -> JailProcess:
        """The jail's process, started again where it ended, with what runs are to find. Raises JailDied,
        SandboxUnavailable.
        """
        if not self._processes:
            self._restart()
        process = self._processes[-1]
        if self._folder is not None:
            process.hold_folder(self._folder)
        return process

    def _lose(self, death: JailDied) -> None:
        self.lost_runs += 1
        self.last_loss = str(death)

    # starting and restarting the jail

    def _attempt(self, level: Level) -> list[str]:
        """Start a jail of the level and test it; return the promises that it does not keep.

        Where there are some, the jail is taken down again. Raises SandboxUnavailable.
        """
        self._level = level
        self._start()
        failures = [] if self._ablate else selftest.failures(self.ask, self.claim())
        if failures:
            self._stop()
        return failures

    def ask(self, source: str) -> Outcome:
        """Run a source as a plain job, as the self-test does; in a replayer, at its prompt. Raises as ``run`` does."""
        if self.jail.zygote == "replayer":
            (out, err), report = self.converse(RunRequest.at_prompt(), partial(run_source, source=source))
            status = ended_as(report, self.limits)
            return Outcome(status=status, integrity="clean", stdout=out, stderr=err)
        return self.run(PlainJob(source=source))

    def claim(self) -> LevelClaim:
        """Return what this worker claims, for the self-test to compare with the answers from inside."""
        return LevelClaim(
            level=self.level,
            layers=self.layers,
            host_name=self.jail.hostname,
            directory=self.jail.scratch,
            environment=self._processes[-1].environment,
            limits=self.limits,
        )

    def _refuse_hidden_mounts(self) -> None:
        """Raise PermissionError where runs would find a mount that they can't enter: better now than in each run."""
        hidden = [str(mount.source) for mount in self.jail.mounts if hidden_from_runs(mount.source)]
        if hidden and self.level == 3:
            raise PermissionError(
                f"expected mounts that every user can read, got {hidden[0]}; runs belong to an unprivileged user: "
                "chmod -R o+rX it, or run as its owner instead of root"
            )

    def _start(self) -> None:
        """Start a jail of the chosen level, never of a weaker one. Raises SandboxUnavailable."""
        process = start_jail(self._level, self.jail, self.limits, self._interpreter, without=self._ablate)
        self._processes.append(process)
        place = place_of(self.jail, self._interpreter) if self.level == 3 else None
        self._library = self._interpreter.library if place is None else place.library
        self._scratch = process.scratch  # at level 2 another folder for each jail
        self.layers = process.layers

    def _warm(self) -> None:
        """Import ``jail.warm``; a module that hangs or kills the zygote is left out of the next attempt and reported.

        Each attempt has a new jail, because the one before ended with its zygote. An attempt may take ``warm_seconds``;
        after WARM_ATTEMPTS times that, what was not tried yet is left out.
        """
        waiting = list(self.jail.warm)
        seconds_left = WARM_ATTEMPTS * self._warm_seconds
        while waiting:
            warmed = self._processes[-1].warm(waiting, self._warm_seconds)
            seconds_left -= warmed.seconds
            self.warm_failures |= warmed.failures
            if not warmed.stuck:
                return
            self.warm_failures[warmed.stuck] = warmed.why
            if seconds_left <= 0:
                late = waiting[waiting.index(warmed.stuck) + 1 :]
                self.warm_failures |= dict.fromkeys(late, "not tried: the time for imports was used up")
            waiting = [name for name in waiting if name not in self.warm_failures]
            self._stop()
            self._start()

    def _restart(self) -> None:
        """Start another jail with the modules that the first one could import.

        Raises:
            JailDied: a module that was imported before gets stuck now.
            SandboxUnavailable: the jail does not come up.
        """
        self.restarts += 1
        self._start()
        modules = [name for name in self.jail.warm if name not in self.warm_failures]
        if modules and self._processes[-1].warm(modules, self._warm_seconds).stuck:
            raise JailDied("a module that was imported before hangs or crashes now")

    def _stop(self) -> None:
        """Take the jail down, if there is one."""
        _stop_all(self._processes)
