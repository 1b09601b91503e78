"""Makes a configuration of a Jail and starts a jail of it; and chooses the strongest level that works here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import selftest
from trace_mine.tracer.sandbox.cgroups import JAIL_TASKS, make_group
from trace_mine.tracer.sandbox.config import NO_START, JailConfig
from trace_mine.tracer.sandbox.identity import tasks_beside, unused_uid
from trace_mine.tracer.sandbox.interpreter_place import InterpreterPlace, host_place, neutral_place
from trace_mine.tracer.sandbox.jail import DEVICES, Jail, PythonInstallation, SandboxUnavailable
from trace_mine.tracer.sandbox.jail_process import JailProcess
from trace_mine.tracer.sandbox.layer import Layer
from trace_mine.tracer.sandbox.layers import CONTROL_GROUP, LEVELS, NAMESPACES, Level

INIT_TASKS = 2 * JAIL_TASKS
"""Tasks of a jail's user beside a run's own, by RLIMIT_NPROC. Twice those that a jail has, because where there is a
control group its bound is to be met first: it counts this jail alone, and shows that it holds (``layers``)."""

SCRATCH_PREFIX = "trace-mine-"
"""How the name of a jail's folder on the host begins, where it has no file system of its own."""

LEVEL_ATTEMPTS = 2
"""How often a level is tried. What a kernel refuses it refuses each time, within 0.1 s."""


_immovable: set[str] = set()
"""Interpreters that did not start at another path than their own."""


def choose_level(minimum: int, maximum: int, attempt: Callable[[Level], Sequence[str]]) -> Level:
    """Return the strongest level from ``minimum`` to ``maximum`` at which ``attempt`` finds nothing wrong.

    ``attempt`` starts a jail of the level and gives what its self-test found, or raises SandboxUnavailable. Each level
    has LEVEL_ATTEMPTS of them: a jail one of whose processes was killed while it started must not make the level
    weaker.

    Raises:
        SandboxUnavailable: there is none; the message says for each level which layer is missing or which question was
            answered wrong.
    """
    reasons = []
    for level in LEVELS.values():
        if not minimum <= level.number <= maximum:
            continue
        for _ in range(LEVEL_ATTEMPTS):
            try:
                failures = attempt(level)
            except SandboxUnavailable as error:
                reason = f"level {level.number}: {error}"
                continue
            if not failures:
                return level
            reason = f"level {level.number}: self-test failed: {'; '.join(failures)}"
        reasons.append(reason)
    wanted = f"{minimum}" if minimum == maximum else f"{minimum} or more"
    raise SandboxUnavailable(
        f"expected a sandbox of level {wanted}, got none. " + " | ".join(reasons) + f". {selftest.ADVICE}"
    )


def start_jail(
    level: Level, jail: Jail, limits: Limits, interpreter: PythonInstallation, without: frozenset[str] = frozenset()
) -> JailProcess:
    """Start a jail of the level.

    Args:
        level: the level, of whose layers all are applied but those in ``without``.
        jail: what the caller asks for.
        limits: the worker's.
        interpreter: the probed ``jail.python``.
        without: names of layers to leave out, for tests.

    Raises:
        SandboxUnavailable: it does not come up; the message says why.
    """
    layers = tuple(layer for layer in level.layers if layer.name not in without)
    # mkdtemp makes a folder for its owner alone, under a name that nobody can guess
    host_scratch = None if NAMESPACES in layers else tempfile.mkdtemp(prefix=SCRATCH_PREFIX)
    try:
        place = place_of(jail, interpreter) if host_scratch is None else None
        try:
            return _start_at(place, level, layers, jail, limits, interpreter, host_scratch)
        except SandboxUnavailable as error:
            if place is None or NO_START not in str(error):
                raise
            # an interpreter that we do not know well enough to move: from here on it has its own path
            _immovable.add(interpreter.executable)
            return _start_at(None, level, layers, jail, limits, interpreter, host_scratch)
    except BaseException:
        if host_scratch is not None and os.path.isdir(host_scratch):
            os.rmdir(host_scratch)  # the jail did not start, or it would have emptied and removed it
        raise


def _start_at(
    place: InterpreterPlace | None,
    level: Level,
    layers: Sequence[Layer],
    jail: Jail,
    limits: Limits,
    interpreter: PythonInstallation,
    host_scratch: str | None,
) -> JailProcess:
    """Start a jail with the interpreter at ``place``, in a control group where ``layers`` name one and it can be had.

    Raises:
        SandboxUnavailable: it does not come up.
    """
    group = make_group(limits) if CONTROL_GROUP in layers else None
    if group is None:
        layers = tuple(layer for layer in layers if layer is not CONTROL_GROUP)
    try:
        cgroup = 0 if group is None else group.version
        config = _config(level, layers, jail, limits, interpreter, host_scratch, place, cgroup)
        return JailProcess(interpreter.executable, config, random_addresses=jail.aslr, group=group)
    except BaseException:
        if group is not None:
            group.remove()  # a second time does nothing: a jail that came to its start has removed it
        raise


def _config(
    level: Level,
    layers: Sequence[Layer],
    jail: Jail,
    limits: Limits,
    interpreter: PythonInstallation,
    host_scratch: str | None,
    place: InterpreterPlace | None,
    cgroup: int,
) -> JailConfig:
    """Decide what a Jail leaves open: binds, user, paths as code inside sees them.

    ``host_scratch`` is a folder of the host where the jail has no file system of its own, else None; ``place`` is where
    the interpreter stands inside, None where it has the host's path; ``cgroup`` is the version of its control group.
    """
    # Resolved: a bind follows a link at its source, and Landlock rules and the comparison of paths must mean that
    # folder.
    mounts = [(os.path.realpath(mount.source), mount.target) for mount in jail.mounts]
    place = place or host_place(interpreter)
    binds = (*place.binds, *mounts)
    uid = unused_uid()
    return JailConfig(
        layers=tuple(layer.name for layer in layers),
        required=tuple(layer.name for layer in layers if level.number in layer.required_at),
        binds=binds,
        devices=tuple(device for device in DEVICES if os.path.exists(device)),
        sys_path=tuple(
            path if host_scratch is None else _to_source(path, [*mounts, (host_scratch, jail.scratch)])
            for path in jail.sys_path
        ),
        scratch=host_scratch or jail.scratch,
        hostname=jail.hostname,
        process_id=jail.process_id,
        hash_seed=jail.hash_seed,
        seed=jail.seed,
        machine=jail.machine,
        pinned_clock=jail.pinned_clock,
        choices=jail.choices,
        uid=uid,
        # where the jail shares the supervisor's user, the kernel counts that user's other processes too
        tasks=INIT_TASKS + tasks_beside(uid, namespaces=NAMESPACES in layers),
        readable_by_all=all(_readable_by_all(source) for source, _ in (*binds, *place.libraries)),
        limits=limits,
        cgroup=cgroup,
        zygote=jail.zygote,
        executable=place.executable,
        libraries=place.libraries,
        loadable=place.loadable,
        links=place.links,
        hidden=place.hidden,
        library=place.library if place.library != interpreter.library else "",
    )


def place_of(jail: Jail, interpreter: PythonInstallation) -> InterpreterPlace | None:
    """Return where a jail of level 3 has its interpreter; None where that is where the host has it."""
    if interpreter.executable in _immovable:
        return None
    # The repository's own files are not looked into: they are hostile, and read in a jail alone. An extension module
    # that it brings finds the libraries that the interpreter needs, and those that any wheel may count on.
    packages = [os.path.realpath(mount.source) for mount in jail.mounts if mount.target != jail.root]
    return neutral_place(interpreter, jail.interpreter, packages)


def _to_source(path: str, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the host path of a path inside, for level 2, where files stay at their host paths."""
    # the longest target first: a mount may lie below another one
    for source, target in sorted(mounts, key=lambda mount: -len(mount[1])):
        if path == target or path.startswith(f"{target}/"):
            return source + path[len(target) :]
    return path


def _readable_by_all(path: str) -> bool:
    """Return True if any user may read ``path`` and search the folders above it. Access lists are not looked at."""
    place = Path(os.path.realpath(path))
    if not place.exists() or not place.stat().st_mode & 0o004:
        return False
    return all(folder.stat().st_mode & 0o001 for folder in place.parents)
