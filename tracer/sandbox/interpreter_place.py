"""Where the interpreter stands in a jail of level 3: at a path that says nothing of the host, with its libraries alone.

The interpreter finds its standard library from where it is executed, so what it says of paths (``sys.prefix``,
``os.__file__``, tracebacks) is neutral by itself. It is shown without installed packages and without what its build
left behind; the libraries that it needs lie in one folder, which can't be listed, so that no run learns what else the
host has.

Not covered: bytes of the interpreter's own files (``.pyc`` files name the folder that they were made in); which modules
a distribution left out of the standard library; versions of libraries.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.tracer.sandbox.jail import LIBRARY_FOLDERS, PythonInstallation
from trace_mine.tracer.sandbox.libraries import needed_libraries, read_elf

LIBRARIES = "/lib"
LOADER_FOLDERS = frozenset({"/lib", "/lib64", "/usr/lib", "/usr/lib64"})
"""Where distributions have the loader and look for libraries: each shows the one folder, on every host alike."""
LINKS = (
    ("/lib64", "lib"),
    ("/usr/lib", "../lib"),
    ("/usr/lib64", "../lib"),
    ("/lib/x86_64-linux-gnu", "."),  # Debian's
    ("/lib/aarch64-linux-gnu", "."),
)
DATA = ("/usr/share/zoneinfo",)
"""Data of the host that the standard library reads, at its own path on every system."""
LOCALES = ("/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8")
"""The one locale of a run, which C libraries before glibc 2.35 keep as files."""
HIDDEN = ("site-packages", "dist-packages", "EXTERNALLY-MANAGED", "sitecustomize.py")
"""What a standard library's folder may have beside the standard library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterPlace:
    """An interpreter's place in a jail.

    Attributes:
        executable: the interpreter's path inside.
        library: the standard library's folder inside.
        binds: (source on the host, target inside) pairs to show read-only, as folders that may be listed.
        libraries: the same of what runs load, and of the interpreter.
        loadable: folders inside whose files runs may read, but which they may not list.
        links: (path inside, what it points to) pairs.
        hidden: files and folders inside that are shown empty.
    """

    executable: str
    library: str
    binds: tuple[tuple[str, str], ...]
    libraries: tuple[tuple[str, str], ...]
    loadable: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]


def neutral_place(installation: PythonInstallation, prefix: str, packages: Sequence[str]) -> InterpreterPlace | None:
    """Find a place below ``prefix``; None where the installation can't be moved there.

    That is so where its standard library is not below its prefix or in more than one folder, or its loader is not where
    a distribution has it (NixOS): such an interpreter is shown at its own path, with all libraries of the host.

    Args:
        installation: the interpreter.
        prefix: the folder inside that is to be its ``sys.prefix``.
        packages: files and folders of the host that may hold extension modules as well.
    """
    library, host_prefix = installation.library, installation.prefix
    folders = [path for path in installation.search if os.path.isdir(path)]
    inside_library = all(path == library or path.startswith(f"{library}/") for path in folders)
    if not library.startswith(f"{host_prefix.rstrip('/')}/") or not inside_library:
        return None
    libraries = needed_libraries(
        installation.executable, tuple(folders[1:]), tuple(packages), (os.path.join(host_prefix, "lib"),)
    )
    elf = read_elf(installation.executable)
    if not libraries or elf is None or os.path.dirname(elf.loader) not in LOADER_FOLDERS:
        return None
    executable = f"{prefix}/bin/python{'.'.join(installation.version.split('.')[:2])}"
    target = f"{prefix}/{os.path.relpath(library, host_prefix)}"
    data = [(path, path) for path in DATA if os.path.isdir(path)]
    data += [(path, LIBRARIES + path.removeprefix("/usr/lib")) for path in LOCALES if os.path.isdir(path)]
    left_by_build = [name for name in _names(library) if name.startswith("config-")]
    return InterpreterPlace(
        executable=executable,
        library=target,
        binds=((library, target), *data),
        libraries=(
            (installation.executable, executable),
            *((place, f"{LIBRARIES}/{name}") for name, place in sorted(libraries.items())),
        ),
        loadable=(LIBRARIES,),
        links=LINKS,
        hidden=tuple(f"{target}/{name}" for name in (*HIDDEN, *left_by_build)),
    )


def host_place(installation: PythonInstallation) -> InterpreterPlace:
    """Return the place where the host has the interpreter, with all libraries of the host: that of a jail that has no
    view of its own, and of an interpreter that can't be moved.
    """
    folders = tuple(path for path in LIBRARY_FOLDERS if os.path.lexists(path))
    return InterpreterPlace(
        executable=installation.executable,
        library=installation.library,
        binds=tuple((path, path) for path in installation.paths if os.path.lexists(path)),
        libraries=tuple((path, path) for path in folders),
        loadable=folders,
        links=(),
        hidden=(),
    )


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
