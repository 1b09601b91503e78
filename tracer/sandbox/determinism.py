"""Makes two runs of ordinary code alike: environment and seeds. What a run is told of time and machine is pinned by
``pinned_world``.

Not covered: addresses and ``id()``, thread schedules.
"""

from __future__ import annotations

from trace_mine.tracer.sandbox.machine import Machine

_USUAL = Machine()


def environment(hash_seed: int, scratch: str = "/", machine: Machine = _USUAL) -> dict[str, str]:
    """Return all environment variables of a run; none is inherited, so that no secret of the host's can be read."""
    # one thread for each numerical library: sums are then added in one order, and no pool counts against RLIMIT_NPROC
    ones = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "PYTHONDONTWRITEBYTECODE",
    )
    terminal = {"COLUMNS": str(machine.columns)} if machine.columns else {}
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": machine.language,
        "LC_ALL": "C.UTF-8",
        "TZ": machine.time_zone,
        "USER": machine.user,
        "LOGNAME": machine.user,
        "HOME": scratch,
        "TMPDIR": scratch,
        "PYTHONHASHSEED": str(hash_seed),
        **dict.fromkeys(ones, "1"),
        # Arrow's own allocator reserves 1 GiB of address space when it is first used, all that a run may have
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        **terminal,
    }
