"""The record that a jail is built from: the supervisor makes it, init, the zygote and the runners read it.

``jail.Jail`` is what a caller asks for; this record is the same after all decisions (level, user, paths of the host).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.machine import Machine

ZygoteKind = Literal["recorder", "replayer"]
"""``recorder``: a fork of init, which holds our code and does jobs. ``replayer``: a program of its own, with nothing of
ours in it, which runs commands and knows of no job."""


NO_START = "the interpreter does not start"
"""Begins the fault of a jail whose interpreter ended, or could not be executed, before it served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JailConfig:
    """A jail with all decisions made.

    Args:
        layers: names of the layers to apply (``layers.LAYERS``).
        required: those of ``layers`` without which the level is not reached.
        binds: (source on the host, target inside) pairs to show read-only.
        libraries: the same of what runs load, and of the interpreter.
        loadable: folders inside whose files runs may read, but which they may not list.
        links: (path inside, what it points to) pairs.
        hidden: files and folders inside that are shown empty.
        library: the standard library's folder, as code inside sees it; empty where it has the host's path.
        devices: device files to show as they are.
        sys_path, scratch: paths as code inside sees them.
        uid: the user to become; None keeps the supervisor's.
        tasks: how many threads that user may have beside a run's own.
        readable_by_all: True if any user may read all of ``binds``.
        hostname, process_id, hash_seed, seed, machine, pinned_clock, choices: as in ``Jail``.
        limits: the worker's limits.
        cgroup: the version of the kernel's interface by which the jail's control group bounds it; 0 where it has none.
        zygote: as in ``Jail``.
        executable: the interpreter, as code inside sees its path; a zygote that is a program of its own is started
            from there.

    Raises:
        ValueError: a required layer is not among ``layers``, a path is not absolute, the user would be root, or
            ``tasks`` is negative.
    """

    layers: tuple[str, ...]
    required: tuple[str, ...]
    binds: tuple[tuple[str, str], ...]
    devices: tuple[str, ...]
    sys_path: tuple[str, ...]
    scratch: str
    hostname: str
    process_id: int
    hash_seed: int
    seed: int
    pinned_clock: bool
    choices: bool
    uid: int | None
    tasks: int
    readable_by_all: bool
    limits: Limits
    zygote: ZygoteKind
    executable: str
    machine: Machine = field(default_factory=Machine)
    libraries: tuple[tuple[str, str], ...] = ()
    loadable: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()
    library: str = ""
    cgroup: int = 0

    def __post_init__(self) -> None:
        if not set(self.required) <= set(self.layers):
            raise ValueError(f"expected JailConfig.required within layers {self.layers}, got {self.required}")
        if self.uid == 0:
            raise ValueError("expected JailConfig.uid other than 0, got 0; RLIMIT_NPROC does not bind root")
        if self.tasks < 0:
            raise ValueError(f"expected JailConfig.tasks >= 0, got {self.tasks}")
        # Init mounts, empties and removes what these name: a relative path would mean its own working directory.
        for path in (self.scratch, self.executable, *self.devices, *itertools.chain(*self.binds, *self.libraries)):
            if not path.startswith("/"):
                raise ValueError(f"expected absolute paths in JailConfig, got {path!r}")

    @property
    def namespaces(self) -> bool:
        """True if the jail has a file system, process ids and a network of its own (level 3)."""
        return "namespaces" in self.layers

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> JailConfig:
        """Return the record that ``to_json`` wrote.

        Raises:
            TypeError: a field is missing or unknown.
            ValueError: ``binds``, ``limits`` or ``machine`` has another shape, or a value is out of range.
        """
        # JSON has no tuples: they come back as lists, and a frozen record must not hold a list
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        limits, machine = data["limits"], data["machine"]
        if not isinstance(limits, dict) or not isinstance(machine, dict):
            raise ValueError(f"expected limits and machine as objects, got {limits!r} and {machine!r}")
        values |= {
            **{name: _pairs(data[name]) for name in ("binds", "libraries", "links")},
            "limits": Limits(**limits),
            "machine": Machine(**{**machine, "hidden": tuple(machine["hidden"])}),
        }
        return cls(**values)  # type: ignore[arg-type]  # the supervisor is trusted: names are checked, types are its own


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    """Return pairs of texts, which JSON has as lists. Raises ValueError where there are none."""
    if not isinstance(value, list):
        raise ValueError(f"expected binds, libraries and links as lists, got {value!r}")
    return tuple((first, second) for first, second in value)
