"""What ``sysconfig`` says of how the interpreter was built, without the host in it. Runs inside, in init.

The file that ``sysconfig`` reads names folders of the machine that the interpreter was built on, its compiler and its
flags. In the jail another file lies over it, which keeps numbers, plain words and the prefix.
"""

from __future__ import annotations

import glob
import importlib
import os
import re
import sysconfig

TIME_ZONES = "/usr/share/zoneinfo"
"""The one value of another kind that the standard library reads (zoneinfo): where a jail has time zones."""
_PLAIN = re.compile(r"[\w.+-]*")
"""A value without a folder and without flags: ``.cpython-311-x86_64-linux-gnu.so``, ``3.11``."""


def files_of_build(library: str) -> list[str]:
    """Return the files of a standard library's folder that say how it was built, the compiled ones too; no links."""
    names = ("_sysconfigdata*.py", "__pycache__/_sysconfigdata*.pyc", "_sysconfig_vars*.json", "build-details.json")
    places = (path for name in names for path in glob.glob(f"{glob.escape(library)}/{name}"))
    return sorted(path for path in places if not os.path.islink(path))


def neutral_build_facts(prefix: str) -> str:
    """Return the text of a module that stands for those of ``files_of_build``, for an interpreter at ``prefix``.

    Read of the interpreter that runs this; one that has no such module has no such facts either.
    """
    named = getattr(sysconfig, "_get_sysconfigdata_name", None)
    try:
        values = dict(vars(importlib.import_module(named()))["build_time_vars"]) if named else {}
    except ImportError:
        values = {}
    host = str(values.get("prefix", ""))
    kept = {name: _neutral(value, host, prefix) for name, value in sorted(values.items())}
    return f"build_time_vars = {kept | {'TZPATH': TIME_ZONES}!r}\n"


def _neutral(value: object, host: str, prefix: str) -> object:
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return ""
    if host and (value == host or value.startswith(host.rstrip("/") + "/")) and " " not in value:
        return os.path.normpath(prefix + value[len(host) :])
    return value if _PLAIN.fullmatch(value) else ""
