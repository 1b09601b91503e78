"""The records by which a caller describes a jail (Jail, Mount), and what an interpreter needs to start in one."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TypedDict

from trace_mine.tracer.sandbox.config import ZygoteKind
from trace_mine.tracer.sandbox.libraries import read_elf
from trace_mine.tracer.sandbox.machine import Machine
from trace_mine.tracer.sandbox.private_files import kept_fact

MINIMUM_PYTHON = (3, 11)
"""The oldest interpreter that may run inside: the jail is started with ``-P``, which is new in 3.11."""

LIBRARY_FOLDERS = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
"""Where systems have shared libraries. Runs read files there, but are not told which there are."""
SYSTEM_PATHS = ("/usr/share/zoneinfo", "/etc/ld.so.cache")
"""Time zones, and the loader's table: read-only, readable by everybody on every system."""

# none of them stores anything or leads to hardware; /dev/tty and /dev/shm are left out for that
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class SandboxUnavailable(RuntimeError):
    """No level of at least the wanted strength passes its self-test on this machine.

    The message says for each level which layer is missing, why, and what to do.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A read-only view of ``source`` (a file or a folder of the host) at ``target``, an absolute path inside.

    Raises:
        ValueError: ``target`` is relative, the root directory, or has ``..`` in it.
    """

    source: Path
    target: str

    def __post_init__(self) -> None:
        if not is_plain_absolute(self.target):
            raise ValueError(
                f"expected Mount.target to be a plain absolute path below /, got {self.target!r}; e.g. /repo"
            )


def hidden_from_runs(source: Path) -> bool:
    """Return True if a jail of level 3 would show ``source`` as something that its runs can't read.

    That is so where the supervisor is root, whose runs belong to an unprivileged user, and ``source`` is closed to
    others.
    """
    needed = 0o005 if source.is_dir() else 0o004
    return os.geteuid() == 0 and source.stat().st_mode & needed != needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """A jail as it looks from inside.

    At level 2 there are no binds: files stay at their host paths, scratch is a private temporary folder, the host name
    is the host's.

    Args:
        python: the interpreter to run inside.
        mounts: what of the host is shown, beside the interpreter and its libraries.
        sys_path: folders to import from, before the standard library as a script's folder is; targets of mounts, or
            folders below them.
        warm: modules to import once, before the first run; a failure is data (``Worker.warm_failures``).
        root: absolute path inside where a repository is shown.
        scratch: absolute path inside of each run's fresh working directory.
        interpreter: absolute path inside that is the interpreter's ``sys.prefix`` at level 3.
        hostname: the name of the machine, as code inside sees it.
        process_id: the number of each run's process at level 3, where the kernel lets init choose; the same for all
            runs, because ``os.getpid()`` shows in output.
        hash_seed: PYTHONHASHSEED, by which sets of strings have the same order in each run.
        aslr: True leaves addresses random; False asks for fixed ones, which show in a default ``repr``.
        machine: what the kernel and the environment say of the machine.
        pinned_clock: True gives each run the same time, the same ``os.urandom`` and, of its machine, numbers that are
            no machine's (``pinned_machine``).
        choices: True if runs record what they draw.
        seed: of the global generators and of the pinned ``os.urandom``.
        zygote: what runs are forked from (``config.ZygoteKind``). A replayer pins no clock, records no choices and may
            not fork.

    Raises:
        ValueError: a path is relative, a number is out of range, or a replayer is to do what it can't.
    """

    python: str = sys.executable
    mounts: tuple[Mount, ...] = ()
    sys_path: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    root: str = "/repo"
    scratch: str = "/scratch"
    interpreter: str = "/python"
    hostname: str = "sandbox"
    process_id: int = 101
    hash_seed: int = 0
    aslr: bool = False
    machine: Machine = field(default_factory=Machine)
    pinned_clock: bool = True
    choices: bool = False
    seed: int = 0
    zygote: ZygoteKind = "recorder"

    def __post_init__(self) -> None:
        for name in ("root", "scratch", "interpreter"):
            if not is_plain_absolute(getattr(self, name)):
                raise ValueError(
                    f"expected Jail.{name} to be a plain absolute path below /, got {getattr(self, name)!r}"
                )
        # init, zygote, the process between two forks and the runner that waits have the first numbers; the default
        # limit of process ids is 32,768
        if not 10 <= self.process_id <= 30_000:
            raise ValueError(f"expected 10 <= Jail.process_id <= 30000, got {self.process_id}; smaller ones are taken")
        if not 0 <= self.hash_seed < 1 << 32:
            raise ValueError(
                f"expected 0 <= Jail.hash_seed < 2**32, got {self.hash_seed}; PYTHONHASHSEED takes no other"
            )
        if self.zygote == "replayer" and (self.pinned_clock or self.choices):
            raise ValueError("expected pinned_clock=False and choices=False of a Jail that replays; both need our code")


def is_plain_absolute(path: str) -> bool:
    """Return True if ``path`` is absolute, below the root directory, and has neither ``..`` nor a null character."""
    parsed = PurePosixPath(path)
    return parsed.is_absolute() and len(parsed.parts) > 1 and ".." not in parsed.parts and "\0" not in path


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonInstallation:
    """An interpreter that was found to work.

    ``executable`` is the real file (a virtual environment's link resolved), ``version`` like ``3.11.4``, ``paths`` what
    it reads of the host beside LIBRARY_FOLDERS: its standard library, itself. ``prefix`` and ``library`` are its
    ``sys.base_prefix`` and the folder of its standard library, ``search`` are the folders that it imports from;
    ``library_names`` and ``builtin_names`` are the modules of that library, and those that are compiled into it.
    """

    executable: str
    version: str
    paths: tuple[str, ...]
    prefix: str = ""
    library: str = ""
    search: tuple[str, ...] = ()
    library_names: frozenset[str] = frozenset()
    builtin_names: frozenset[str] = frozenset()


class _ProbeAnswer(TypedDict):
    """The literal that the program below prints: an import of json would be a third of its time."""

    version: list[int]
    implementation: str
    paths: list[str]
    executable: str
    prefix: str
    library: str
    search: list[str]
    library_names: list[str]
    builtin_names: list[str]


# PR_SET_PDEATHSIG first: a probe that is stopped would otherwise outlive a killed supervisor.
_PROBE = """
import ctypes
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
import os, sys, sysconfig
get = sysconfig.get_config_var
library = os.path.join(get("LIBDIR") or "", get("LDLIBRARY") or "") if get("Py_ENABLE_SHARED") else ""
paths = [sys.executable, *sys.path, library]
version, implementation = list(sys.version_info[:3]), sys.implementation.name
print(ascii({"version": version, "implementation": implementation, "paths": paths,
    "executable": sys.executable, "prefix": sys.base_prefix, "library": os.path.dirname(os.__file__),
    "search": sys.path, "library_names": [*sys.stdlib_module_names],
    "builtin_names": [*sys.builtin_module_names]}))
"""


def _told_by(executable: str) -> str:
    """Start an interpreter and return what it prints. Raises OSError, SubprocessError."""
    command = [executable, "-I", "-S", "-c", _PROBE]
    probe = subprocess.run(command, capture_output=True, timeout=60, env={})
    if probe.returncode < 0:  # killed, by a kernel out of memory, say: that says nothing of the interpreter
        probe = subprocess.run(command, capture_output=True, timeout=60, env={})
    probe.check_returncode()
    return probe.stdout.decode("ascii")


@cache
def probe_interpreter(python: str) -> PythonInstallation:
    """Start ``python`` once and ask where its standard library is (about 20 ms; the answer is kept, see ``kept_fact``).

    It is started outside of any jail, isolated (``-I``) and without site packages (``-S``), so that no file of a
    repository runs; the interpreter itself is trusted.

    Raises:
        ValueError: it does not start, or is not CPython 3.11 or later.
    """
    executable = os.path.realpath(python)
    try:
        ask = partial(_told_by, executable)
        # a script, as pyenv's commands are, starts whatever its settings say
        is_program = read_elf(executable) is not None
        printed = kept_fact("interpreter", (executable, _PROBE), (executable,), ask) if is_program else ask()
        answer: _ProbeAnswer = ast.literal_eval(printed)
    except (OSError, subprocess.SubprocessError, ValueError, SyntaxError) as error:
        raise ValueError(f"expected Jail.python to be a Python interpreter, got {python!r}: {error}") from error
    version = tuple(answer["version"])
    if version[:2] < MINIMUM_PYTHON or answer["implementation"] != "cpython":
        found_version = f"{answer['implementation']} {'.'.join(map(str, version))}"
        raise ValueError(
            f"expected CPython >= 3.11 as Jail.python, got {found_version} at {python}; name a newer interpreter"
        )
    # resolved, so that each is bound once, and in the order found; a zip of the library may not exist
    paths = tuple(dict.fromkeys(os.path.realpath(path) for path in answer["paths"] if path and os.path.exists(path)))
    return PythonInstallation(
        # not the one that was started: pyenv's commands are scripts that start another one
        executable=os.path.realpath(answer["executable"]),
        version=".".join(map(str, version)),
        paths=(*SYSTEM_PATHS, *paths),
        prefix=os.path.realpath(answer["prefix"]),
        library=os.path.realpath(answer["library"]),
        search=tuple(os.path.realpath(path) for path in answer["search"] if path),
        library_names=frozenset(answer["library_names"]),
        builtin_names=frozenset(answer["builtin_names"]),
    )
