"""The marshalled bundle in a file beside this package's own bytecode, so that not every command compiles it again.

It is trusted as CPython trusts a ``.pyc`` file there: whoever can write to the folder can change the package itself. It
holds for as long as the files that it was made of have the times and sizes that they had, and no module was added.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

_CacheKey = tuple[bytes, tuple[tuple[str, int, int], ...], tuple[str, ...]]
"""The bytecode's version; each module's name, time in ns and size; the names of the files in the folder that travels as
a whole."""


def read_cached(root: Traversable) -> bytes | None:
    """Return the bundle that was kept; None where there is none for these files and this interpreter.

    ``root`` is the package's folder.
    """
    place = _place(root)
    if place is None:
        return None
    try:
        key, data = marshal.loads(place.read_bytes())
        magic, modules, listed = key
        names = [name for name, _, _ in modules]
        is_same = (magic, modules, listed) == _key(Path(str(root)), names)
    except (OSError, ValueError, EOFError, TypeError):  # none there, damaged, or of a version with another form
        return None
    return data if is_same and isinstance(data, bytes) else None


def write_cached(root: Traversable, names: Iterable[str], data: bytes) -> None:
    """Keep the bundle that was made of the modules ``names``, where the package can be written to.

    A command that may not write there compiles the bundle each time, as CPython does with modules.
    """
    place = _place(root)
    if place is None or sys.dont_write_bytecode:
        return
    # not ``tracer.atomic``, which waits for the disk: a file that is lost is made again
    temporary = place.with_name(f"{place.name}.{os.getpid()}.tmp")
    try:
        place.parent.mkdir(exist_ok=True)
        temporary.write_bytes(marshal.dumps((_key(Path(str(root)), list(names)), data)))
        os.replace(temporary, place)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _place(root: Traversable) -> Path | None:
    """The file; None where the package is in no folder (a zip), or bytecode goes elsewhere (PYTHONPYCACHEPREFIX)."""
    folder = Path(str(root)) / "tracer" / "sandbox"
    if sys.pycache_prefix is not None or not folder.is_dir():
        return None
    return folder / "__pycache__" / f"bundle.{sys.implementation.cache_tag}.marshal"


def _key(root: Path, names: Iterable[str]) -> _CacheKey:
    """What must not have changed. Raises OSError where a module is gone."""
    modules = []
    for name in sorted(names):
        status = os.stat(f"{root}/{'/'.join(name.split('.')[1:])}.py")
        modules.append((name, status.st_mtime_ns, status.st_size))
    inside = root / "tracer" / "inside"
    listed = [f"{folder}/{file}" for folder, _, files in os.walk(inside) for file in files if file.endswith(".py")]
    return MAGIC_NUMBER, tuple(modules), tuple(sorted(listed))
