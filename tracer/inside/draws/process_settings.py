"""The environment and the current folder of the process: state that a program may change, and that all its runs share.

Read and set by what was bound before the program ran: its own ``os.getcwd`` is not to be run.
"""

from __future__ import annotations

import os

Environment = tuple[tuple[bytes, bytes | None], ...]
"""Variables that differ from those at the start, with their values; None for one that is gone."""

_getcwd, _chdir = os.getcwd, os.chdir
_variables: dict[bytes, bytes] = vars(os.environ)["_data"]
_first: dict[bytes, bytes] = {}
_first_folder = ""


def begin() -> None:
    """Take the environment and the folder as they are for those of the start."""
    global _first, _first_folder
    _first, _first_folder = dict(_variables), folder()


def environment() -> Environment:
    """The changes that the program has made in ``os.environ``."""
    if _variables == _first:
        return ()
    changed = [(name, value) for name, value in _variables.items() if _first.get(name) != value]
    return tuple(sorted([*changed, *[(name, None) for name in _first if name not in _variables]]))


def put_environment(changed: Environment) -> None:
    """Make ``os.environ`` that of ``environment``, in place."""
    if environment() == changed:
        return
    _variables.clear()
    _variables.update(_first)
    for name, value in changed:
        if value is None:
            _variables.pop(name, None)
        else:
            _variables[name] = value


def folder() -> str:
    """The current folder; "" where it is gone."""
    try:
        return _getcwd()
    except OSError:
        return ""


def leave_folder() -> None:
    """Go back to the folder of the start, so that others can be removed."""
    if _first_folder:
        _chdir(_first_folder)


def put_folder(path: str) -> None:
    """Make a folder the current one, where it is there."""
    if path:
        try:
            _chdir(path)
        except OSError:
            leave_folder()  # it was one of those that nobody can bring back
