"""What a jail is built from: one record, made by the supervisor, read by init, the zygote and the runners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from trace_mine.tracer.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class JailConfig:
    """``layers`` names the layers to apply, ``required`` those of them without which the level is not reached.

    ``binds`` are (source, target) pairs to show read-only, ``devices`` paths to show as they are. ``sys_path`` and
    ``scratch`` are paths as code inside sees them. ``uid`` is the user to become (None: stay who we are), ``tasks`` how
    many threads that user may have beside a run's own, ``readable_by_all`` whether any user may read all of ``binds``.
    The other fields are those of Jail and the worker's limits.

    Raises:
        ValueError: a required layer is not among ``layers``, or the user would be root.
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

    def __post_init__(self) -> None:
        if not set(self.required) <= set(self.layers):
            raise ValueError(f"expected JailConfig.required within layers {self.layers}, got {self.required}")
        if self.uid == 0:
            raise ValueError("expected JailConfig.uid other than 0, got 0; RLIMIT_NPROC does not bind root")

    @property
    def namespaces(self) -> bool:
        """Whether the jail has a file system, process ids and a network of its own."""
        return "namespaces" in self.layers

    def to_json(self) -> dict[str, object]:
        """The record as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> JailConfig:
        """The record that ``to_json`` gave. Raises TypeError or ValueError where ``data`` is none."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        binds, limits = data["binds"], data["limits"]
        if not isinstance(binds, list) or not isinstance(limits, dict):
            raise ValueError(f"expected binds as a list and limits as an object, got {binds!r} and {limits!r}")
        values |= {"binds": tuple((source, target) for source, target in binds), "limits": Limits(**limits)}
        return cls(**values)  # type: ignore[arg-type]  # the supervisor is trusted: names are checked, types are its own
