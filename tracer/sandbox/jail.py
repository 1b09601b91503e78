"""What a worker's jail looks like: the records Jail and Mount, and what an interpreter needs to start in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

MINIMUM_PYTHON = (3, 11)

SYSTEM_PATHS = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
"""Shared libraries and time zones: read-only, readable by everybody on every system."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class SandboxUnavailable(RuntimeError):
    """No level of at least the wanted strength passes its self-test here; the message says which layer is missing and
    why.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A read-only view of ``source`` (a file or a folder) at ``target``, an absolute path inside."""

    source: Path
    target: str

    def __post_init__(self) -> None:
        if not is_plain_absolute(self.target):
            raise ValueError(
                f"expected Mount.target to be a plain absolute path below /, got {self.target!r}; e.g. /repo"
            )


def hidden_from_runs(source: Path) -> bool:
    """Whether root owns the running process and others may not read ``source``: at level 3 its runs, which belong to an
    unprivileged user, would find a folder there that they can't enter.
    """
    needed = 0o005 if source.is_dir() else 0o004
    return os.geteuid() == 0 and source.stat().st_mode & needed != needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """How a jail looks from inside. Paths are absolute; ``sys_path`` names targets of mounts, or folders below them.

    ``sys_path`` comes before the standard library, as a script's folder does. ``warm`` modules are imported once,
    before the first run; a failure is data (``Worker.warm_failures``). ``scratch`` is each run's fresh working
    directory. ``aslr`` False asks for fixed addresses, ``pinned_clock`` for the same time and ``os.urandom`` in each
    run. At level 2 there are no binds: files stay at their host paths, scratch is a private temporary folder, the
    host name is the host's.
    ``process_id`` is what each run is numbered at level 3, where the kernel lets init choose, because ``os.getpid()``
    shows in output.
    """

    python: str = sys.executable
    mounts: tuple[Mount, ...] = ()
    sys_path: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    root: str = "/repo"
    scratch: str = "/scratch"
    hostname: str = "sandbox"
    process_id: int = 101
    hash_seed: int = 0
    aslr: bool = False
    pinned_clock: bool = True
    choices: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("root", "scratch"):
            if not is_plain_absolute(getattr(self, name)):
                raise ValueError(
                    f"expected Jail.{name} to be a plain absolute path below /, got {getattr(self, name)!r}"
                )
        if not 10 <= self.process_id <= 30_000:
            raise ValueError(f"expected 10 <= Jail.process_id <= 30000, got {self.process_id}; smaller ones are taken")
        if not 0 <= self.hash_seed < 1 << 32:
            raise ValueError(
                f"expected 0 <= Jail.hash_seed < 2**32, got {self.hash_seed}; PYTHONHASHSEED takes no other"
            )


def is_plain_absolute(path: str) -> bool:
    """Whether ``path`` is absolute, below the root directory and free of ``.`` and ``..``."""
    pure = PurePosixPath(path)
    return pure.is_absolute() and len(pure.parts) > 1 and ".." not in pure.parts and "\0" not in path


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """``executable`` is the real file (a virtual environment's link resolved), ``paths`` what it reads of the host."""

    executable: str
    version: str
    paths: tuple[str, ...]


_PROBE = """
import json, os, sys, sysconfig
get = sysconfig.get_config_var
library = os.path.join(get("LIBDIR") or "", get("LDLIBRARY") or "") if get("Py_ENABLE_SHARED") else ""
paths = [sys.executable, *sys.path, library]
version, implementation = list(sys.version_info[:3]), sys.implementation.name
print(json.dumps({"version": version, "implementation": implementation, "paths": paths}))
"""


@cache
def probe_interpreter(python: str) -> Interpreter:
    """Asks ``python`` where its standard library is (one start of it, about 20 ms; cached).

    Raises:
        ValueError: it does not start, or is not CPython 3.11 or later.
    """
    executable = os.path.realpath(python)
    command = [executable, "-I", "-S", "-c", _PROBE]
    try:
        answer: dict[str, Any] = json.loads(
            subprocess.run(command, capture_output=True, check=True, timeout=60, env={}).stdout
        )
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ValueError(f"expected Jail.python to be a Python interpreter, got {python!r}: {error}") from error
    version = tuple(answer["version"])
    if version[:2] < MINIMUM_PYTHON or answer["implementation"] != "cpython":
        found = f"{answer['implementation']} {'.'.join(map(str, version))}"
        raise ValueError(f"expected CPython >= 3.11 as Jail.python, got {found} at {python}; name a newer interpreter")
    paths = tuple(dict.fromkeys(os.path.realpath(path) for path in answer["paths"] if path and os.path.exists(path)))
    return Interpreter(executable=executable, version=".".join(map(str, version)), paths=(*SYSTEM_PATHS, *paths))
