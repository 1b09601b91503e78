"""Defines a layer of the sandbox: a record of where it is applied, what it promises, and how a level asks for it.

``layers.LAYERS`` is the one list of them. Both sides use the records: the supervisor to choose a level and to test it,
the zygote and the runner to confine themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trace_mine.tracer.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelClaim:
    """The confinement that a started worker claims, to be compared with the answers from inside.

    ``layers`` is the text that rows store, e.g. ``namespaces+seccomp+landlock7+rlimits``. ``host_name`` and
    ``directory`` are the jail's own at level 3, ``environment`` its variables at all levels, ``descriptors`` are how
    many a run of it has open.
    """

    level: int
    layers: str
    host_name: str
    directory: str
    environment: Mapping[str, str]
    limits: Limits
    descriptors: int = 4


Expected = Callable[[LevelClaim], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One answer of ``questions.py``, and the answer that is expected.

    Args:
        name: the answer's name.
        expected: a value, or a function of the claim where the value depends on it.
        levels: the levels at which the answer must be the expected one.
        alone_at: the levels at which no other layer gives the same answer: there the answer must change when the layer
            is left out, and a test leaves it out.
        bounds: True if answer and expectation are numbers by name, and a lower number (an inherited limit) keeps the
            promise too.

    >>> claim = LevelClaim(level=3, layers="", host_name="", directory="", environment={}, limits=Limits())
    >>> Question(name="not_root").kept(1, claim)
    False

    Raises:
        ValueError: ``alone_at`` names a level that is not in ``levels``.
    """

    name: str
    expected: object = True
    levels: frozenset[int] = frozenset({2, 3})
    alone_at: frozenset[int] = frozenset()
    bounds: bool = False

    def __post_init__(self) -> None:
        if not self.alone_at <= self.levels:
            raise ValueError(
                f"expected Question.alone_at within levels {sorted(self.levels)}, got {sorted(self.alone_at)} for "
                f"{self.name!r}; ask it at those levels too"
            )

    def wanted(self, claim: LevelClaim) -> object:
        """Return the answer that keeps the promise of ``claim``."""
        return self.expected(claim) if callable(self.expected) else self.expected

    def kept(self, answer: object, claim: LevelClaim) -> bool:
        """Return True if ``answer`` keeps the promise; an answer that is missing (None) never does."""
        wanted = self.wanted(claim)
        if self.bounds and isinstance(wanted, Mapping):
            return isinstance(answer, Mapping) and all(
                isinstance(answer.get(name), int) and 0 <= answer[name] <= bound for name, bound in wanted.items()
            )
        # 1 == True in Python, and an answer of another type shows that the question went wrong
        return type(answer) is type(wanted) and answer == wanted


@dataclass(slots=True, kw_only=True)
class Confinement:
    """The state that a layer's functions act on: made in the zygote, inherited by every runner. Runs inside.

    Not frozen, because layers prepare part of it themselves while the zygote still has its capabilities.

    Args:
        layers: names of the layers in use.
        machine: as in ``syscalls.machine_of_this_process``.
        landlock_abi: the kernel's version of Landlock, 0 for none.
        readable: paths that the jail may read, as this process sees them.
        loadable: folders whose files may be read, but which may not be listed.
        sys_path, devices, scratch: as in JailConfig.
        tasks: how many threads the jail's user may have beside a run's own.
        limits: the worker's.
        statm: an open descriptor of the zygote's ``/proc/self/statm``.
        cgroup: as in JailConfig.
        rules: Landlock rules, once ``landlock.prepare`` made them.
        filters: seccomp programs by whether the run may fork, once ``seccomp.prepare`` made them.
    """

    layers: frozenset[str]
    machine: str
    landlock_abi: int
    readable: tuple[str, ...]
    sys_path: tuple[str, ...]
    devices: tuple[str, ...]
    scratch: str
    tasks: int
    limits: Limits
    statm: int
    cgroup: int = 0
    loadable: tuple[str, ...] = ()
    rules: list[bytes] = field(default_factory=list)
    filters: dict[bool, bytes] = field(default_factory=dict)

    @property
    def namespaces(self) -> bool:
        """True if the jail has a file system, process ids and a network of its own (level 3)."""
        return "namespaces" in self.layers

    @property
    def may_fork(self) -> bool:
        """True if some run of this worker may make processes."""
        return self.limits.forks > 0


@dataclass(slots=True, kw_only=True)
class Orders:
    """What a process that holds no code of ours is told to do, in this order, to confine itself. Made in init.

    Not frozen: the layers of a jail add to it one after the other.

    Args:
        limits: (RLIMIT_*, soft, hard, relative) each; a relative limit counts from the address space that the process
            was forked with. A lower hard limit that is inherited stays.
        rulesets: descriptors of Landlock rulesets, to be restricted to.
        filters: seccomp programs, in which ``seccomp.PID_PLACE`` stands for the process's own id.
    """

    limits: list[tuple[int, int, int, bool]] = field(default_factory=list)
    rulesets: list[int] = field(default_factory=list)
    filters: list[bytes] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return the orders for a message; the rulesets, by number only, are to be sent beside it in this order."""
        return {
            "limits": self.limits,
            "rulesets": len(self.rulesets),
            "filters": [program.hex() for program in self.filters],
        }


def do_nothing(confinement: Confinement) -> None:
    """Stand for a stage at which a layer has nothing to do."""


def do_nothing_at_job(confinement: Confinement, limits: Limits, mapped_bytes: int) -> None:
    """Stand for the last stage, where a layer has nothing to do once the job is known."""


def order_nothing(confinement: Confinement, orders: Orders) -> None:
    """Stand for a stage at which a layer asks nothing of a process that holds no code of ours."""


def order_nothing_of_job(confinement: Confinement, limits: Limits, orders: Orders) -> None:
    """Stand for the last stage, where a layer asks nothing of such a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One independent means of confinement.

    Three functions apply a layer, each for good, and one prepares them. Each raises OSError where the kernel refuses.
    Three more say the same as orders, for the replayer's processes, which hold no code of ours that could apply it.

    Args:
        name: what rows store and ``Worker(ablate=...)`` takes.
        title: what documents call it.
        levels: the levels at which it is used.
        required_at: those of ``levels`` that are not reached without it.
        promise: what it alone holds, for people.
        questions: what the self-test asks to see that it is there.
        label: the text for rows where it is more than ``name``.
        missing: returns why this kernel lacks the layer; empty where it does not.
        prepare: runs in the zygote while that still has its capabilities.
        at_zygote: runs in the zygote before any foreign code is imported.
        at_runner: runs in each run's process, before its job is there.
        at_job: runs in the same process once the job is known; it also gets the job's limits, and how many bytes of
            address space the process was forked with.
        order_zygote: the orders that stand for ``at_zygote``; None where its effect survives an exec, so that it is
            applied before that.
        order_runner, order_job: the orders that stand for ``at_runner`` and ``at_job``.

    Raises:
        ValueError: ``required_at`` or a question names a level at which the layer is not used, or no question shows at
            some level that the layer is there.
    """

    name: str
    title: str
    levels: frozenset[int]
    required_at: frozenset[int]
    promise: str
    questions: tuple[Question, ...]
    label: Callable[[Confinement], str] | None = None
    missing: Callable[[Confinement], str] = lambda confinement: ""
    prepare: Callable[[Confinement], None] = do_nothing
    at_zygote: Callable[[Confinement], None] = do_nothing
    at_runner: Callable[[Confinement], None] = do_nothing
    at_job: Callable[[Confinement, Limits, int], None] = do_nothing_at_job
    order_zygote: Callable[[Confinement, Orders], None] | None = None
    order_runner: Callable[[Confinement, Orders], None] = order_nothing
    order_job: Callable[[Confinement, Limits, Orders], None] = order_nothing_of_job

    def __post_init__(self) -> None:
        asked = frozenset[int]().union(*(question.levels for question in self.questions))
        if not (self.required_at | asked) <= self.levels:
            raise ValueError(
                f"expected Layer.required_at and the questions' levels within {sorted(self.levels)}, got "
                f"{sorted(self.required_at | asked)} for {self.name!r}; add the level to Layer.levels"
            )
        shown = frozenset[int]().union(*(question.alone_at for question in self.questions))
        unseen = self.levels - shown - {0}  # level 0 promises nothing
        if unseen:
            raise ValueError(
                f"expected a question that {self.name!r} alone answers at each of its levels, got none at "
                f"{sorted(unseen)}; a layer that no test would miss is not tested"
            )
