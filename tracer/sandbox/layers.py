"""Lists the layers of the sandbox, the levels that they make up, and the questions that show from inside that they
hold.

To add a layer: write its mechanism in a file of its own, and one record here. The level choice, the text in rows, the
self-test, the refusal and the test of ``docs/sandbox.md`` read this list.
"""

from __future__ import annotations

from dataclasses import dataclass

from trace_mine.tracer.sandbox import landlock, rlimits, seccomp
from trace_mine.tracer.sandbox.layer import Confinement, Layer, Question

TWO, THREE, BOTH, ALL = frozenset({2}), frozenset({3}), frozenset({2, 3}), frozenset({0, 2, 3})

ANY_NUMBER = 1 << 31
"""A bound that every answer keeps."""

NAMESPACES = Layer(
    name="namespaces",
    title="namespaces",
    levels=THREE,
    required_at=THREE,
    promise="a file system, process ids, network and host name of its own; fresh scratch for each run",
    # Init makes them before the zygote exists (see ``isolation``), so nothing is left to do at the other stages.
    questions=(
        Question(name="no_proc", levels=THREE, alone_at=THREE),
        Question(name="host_name", levels=THREE, alone_at=THREE, expected=lambda claim: claim.host_name),
        Question(name="directory", levels=THREE, alone_at=THREE, expected=lambda claim: claim.directory),
    ),
)

SECCOMP = Layer(
    name="seccomp",
    title="seccomp",
    levels=BOTH,
    required_at=BOTH,
    promise="no network, no processes, no programs, no signals or limits to others, no locks and "
    "attributes of files: calls that are not listed fail",
    prepare=seccomp.prepare,
    at_zygote=seccomp.at_zygote,
    at_runner=seccomp.at_runner,
    at_job=seccomp.at_job,
    order_zygote=seccomp.order_zygote,
    order_runner=seccomp.order_runner,
    questions=(
        Question(name="no_socket", alone_at=BOTH),
        Question(name="no_tcp"),  # the empty network namespace answers the same at level 3, Landlock at level 2
        Question(name="no_datagram_pair", alone_at=BOTH),
        Question(name="no_fork", alone_at=BOTH),
        Question(name="no_exec"),  # Landlock gives no right to execute either
        Question(name="no_signal_to_parent"),
        Question(name="no_limits_of_parent", alone_at=BOTH),
        Question(name="no_setuid"),
        Question(name="no_attributes", alone_at=BOTH),
        Question(name="no_locks", alone_at=BOTH),
        Question(name="no_links_of_host", alone_at=TWO),  # level 3 has no /proc
        Question(name="no_chroot"),
        Question(name="system_calls_reached", expected=[], alone_at=BOTH),
    ),
)

LANDLOCK = Layer(
    name="landlock",
    title="Landlock",
    levels=BOTH,
    required_at=TWO,  # at level 3 the file system of the namespace holds the same promises
    promise="no read outside the interpreter and the repository, no write outside the scratch folder",
    label=lambda confinement: f"landlock{confinement.landlock_abi}",
    missing=landlock.missing,
    prepare=landlock.prepare,
    at_zygote=landlock.at_zygote,
    at_runner=landlock.at_runner,
    order_zygote=landlock.order_zygote,
    order_runner=landlock.order_runner,
    questions=(
        Question(name="no_host_files", alone_at=TWO),
        Question(name="no_write_outside"),
        Question(name="no_list_of_root", alone_at=BOTH, expected=lambda claim: "landlock" in claim.layers),
    ),
)

RESOURCE_LIMITS = Layer(
    name="rlimits",
    title="resource limits",
    levels=ALL,
    required_at=ALL,
    promise="memory, CPU time, size of a file, open files and threads are bounded",
    at_zygote=rlimits.at_zygote,
    at_job=rlimits.at_job,
    order_job=rlimits.order_job,
    questions=(
        Question(name="memory_bounded", levels=ALL, alone_at=ALL),
        Question(name="file_size_bounded", alone_at=TWO),  # at level 3 the scratch file system is small enough too
        Question(
            name="limits",
            alone_at=BOTH,
            bounds=True,
            expected=lambda claim: {
                "FSIZE": claim.limits.file_bytes,
                "NOFILE": claim.limits.open_files,
                "CORE": 0,
                # the hard limit, a second after the soft one
                "CPU": rlimits.CPU_FACTOR * claim.limits.cpu_seconds + 1,
            },
        ),
    ),
)

SPARE_TASKS = 8
"""Threads that a run may start beyond its limit where the jail's other tasks leave them: with a control group fewer
than these, without one more (see ``cgroups.JAIL_TASKS``, ``start_up.INIT_TASKS``)."""

CONTROL_GROUP = Layer(
    name="cgroup",
    title="control group",
    levels=BOTH,
    required_at=frozenset(),  # most users may make none
    promise="memory, tasks and processors of all processes of a jail together, its imports and its scratch included",
    label=lambda confinement: f"cgroup{confinement.cgroup}",
    # The supervisor makes the group and moves init into it (see ``cgroups``), so nothing is left to do inside.
    questions=(
        Question(
            name="most_threads",
            alone_at=BOTH,
            bounds=True,
            expected=lambda claim: {
                "threads": max(claim.limits.processes, claim.limits.forks) + SPARE_TASKS
                if "cgroup" in claim.layers
                else ANY_NUMBER
            },
        ),
    ),
)

LAYERS = (NAMESPACES, SECCOMP, LANDLOCK, RESOURCE_LIMITS, CONTROL_GROUP)
"""All layers, in the order in which they are printed. The zygote and the runner put them on from the last to the first,
because the system-call filter refuses the calls that the others are made of. At the last stage, ``at_job``, the order
is the printed one: ``runner.confine_to_job`` says why."""

SET_UP = (
    Question(name="stdin_empty", levels=ALL),
    Question(name="scratch_empty", levels=ALL),
    Question(name="scratch_writable"),
    Question(name="not_root"),
    # 0, 1, 2 and the record pipe; at a replayer's prompt 0, 1, 2 and the file that is ``sys.stdin``
    Question(name="descriptors", expected=lambda claim: claim.descriptors),
    Question(name="time_zone", expected=lambda claim: claim.environment["TZ"].partition("-")[0]),
    Question(name="environment", expected=lambda claim: dict(claim.environment)),
)
"""Questions about what a run finds at every level: the runner itself makes it so, no layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A strength of the sandbox; ``promise`` says in one line, for people, what it holds.

    Raises:
        ValueError: no layer is used at this level.
    """

    number: int
    promise: str

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError(f"expected Level.number of a level that layers name, got {self.number}; see LAYERS")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers used at this level, in the order of LAYERS."""
        return tuple(layer for layer in LAYERS if self.number in layer.levels)

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions that must be answered as promised before the level may be claimed."""
        asked = (*SET_UP, *(question for layer in LAYERS for question in layer.questions))
        return tuple(question for question in asked if self.number in question.levels)


LEVELS = {
    level.number: level
    for level in (
        Level(
            number=3,
            promise="nothing of the host visible; fresh scratch and fixed process id for each run; no network, "
            "processes, signals",
        ),
        Level(
            number=2,
            promise="no read or write outside the listed folders; no network, processes, signals; the host's names are "
            "visible",
        ),
        Level(number=0, promise="resource limits only: NOT a sandbox"),
    )
}
"""Strongest first: the order in which they are tried. Level 1 (seatbelt on macOS) is not built."""


def in_use(confinement: Confinement) -> tuple[Layer, ...]:
    """Return the layers of a jail, in the order of LAYERS."""
    return tuple(layer for layer in LAYERS if layer.name in confinement.layers)


def without_missing(confinement: Confinement, required: frozenset[str]) -> frozenset[str]:
    """Return the names of the layers in use that this kernel has.

    Raises:
        RuntimeError: one that the level requires is missing; the message says why.
    """
    missing = {layer.name: why for layer in in_use(confinement) if (why := layer.missing(confinement))}
    for name, why in missing.items():
        if name in required:
            raise RuntimeError(why)
    return confinement.layers - missing.keys()


def layers_text(confinement: Confinement) -> str:
    """Return the layers in use as rows store them, e.g. ``namespaces+seccomp+landlock7+rlimits``."""
    return "+".join(layer.label(confinement) if layer.label else layer.name for layer in in_use(confinement))
