"""If code of the program can have run since something was read; if not, it need not be read again.

Worlds run code of the program in ``running``, and nowhere else between ``begin`` and ``end``. A state of a few
variables is saved and restored in 100 microseconds, and reading all settings several times took longer.
"""

from __future__ import annotations

printing_imports: list[str] = []
"""Modules that code of the program imported in ``running``, and that printed at it: see ``note_import``."""

_num_asides = 0
_num_running = 0
_token = 0


def token() -> int:
    """A number that stays the same while no code of the program runs; 0 where it may run at any time."""
    return 0 if _num_running or not _num_asides else _token


def note_import(name: str) -> None:
    """Note that a module was imported that printed something, if it was in ``running``.

    It does so once in a process: the next path that imports it would print less.
    """
    if _num_running and _num_asides:
        printing_imports.append(name)


def begin() -> None:
    """Code of the program runs in ``running`` alone from here on."""
    global _num_asides, _token
    _num_asides += 1
    _token += 1


def end() -> None:
    """End what ``begin`` began."""
    global _num_asides, _token
    _num_asides -= 1
    _token += 1


class Running:
    """A context in which code of the program runs."""

    def __enter__(self) -> None:
        global _num_running, _token
        _num_running += 1
        _token += 1

    def __exit__(self, *raised: object) -> None:
        global _num_running
        _num_running -= 1


running = Running()
"""The context, which holds nothing itself."""
