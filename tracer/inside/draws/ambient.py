"""State that draws leave outside every namespace, and that is part of a program's state all the same.

``inputs_read`` and ``environ`` are the live values that the patched ``input`` and ``os.environ`` work on; the global
generators of ``random`` and numpy hold the rest, ``written_files`` what the program wrote, ``process_settings`` the
environment and the current folder, and ``settings`` what the standard library keeps for the process. ``Ambient`` is all
of it at one moment. Each path of a program begins with the same one.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from trace_mine.tracer.inside.draws import patches_numpy, process_settings, settings, written_files

SEEDED = "_trace_seeded"
"""The attribute of a generator that says that the program seeded it."""

_global: random.Random = vars(random)["_inst"]
_plain_getstate = random.Random.getstate  # bound before ``patches`` replaces it: the patched one seeds the generator

inputs_read = 0
"""The number of declared inputs that the program has read."""

environ: dict[str, str | None] = {}
"""Variables of the environment with a declared law whose value is decided; None for one that is not set."""


def is_seeded(generator: random.Random) -> bool:
    """Return True if the program seeded the generator: its numbers are then part of the program, and no choices."""
    return bool(vars(generator).get(SEEDED))


class Ambient(NamedTuple):
    """The state outside namespaces at one moment.

    A tuple and no dataclass, since snapshots contain it: as plain data it is pickled without a reference to this class,
    which snippets can't import.

    Attributes:
        generator: the state of ``random``'s global generator where the program seeded it, else None.
        numpy: the same of numpy's.
        inputs_read: the number of declared inputs read.
        environ: the declared variables that are decided.
        files: what the program has written in its working folder, where that is watched.
        environment: what it has changed in ``os.environ``.
        folder: the current one.
        settings: the settings of the standard library that differ from those of the start.
    """

    generator: tuple[object, ...] | None
    numpy: object
    inputs_read: int
    environ: dict[str, str | None]
    files: written_files.Written
    environment: process_settings.Environment
    folder: str
    settings: settings.Settings

    @classmethod
    def now(cls) -> Ambient:
        """The state at this moment. A generator that nobody seeded has none: its numbers are draws."""
        state = _plain_getstate(_global) if is_seeded(_global) else None
        return cls(
            state,
            patches_numpy.global_state(),
            inputs_read,
            dict(environ),
            written_files.written(),
            process_settings.environment(),
            process_settings.folder(),
            settings.now(),
        )

    def put_back(self) -> None:
        """Make this the state again: of ``random``'s and numpy's global generators, inputs and variables."""
        global inputs_read
        if self.generator is not None:
            _global.setstate(self.generator)
        elif is_seeded(_global):
            _global.seed()  # unseeded again: the patched ``seed`` takes the mark away where it gets no argument
        patches_numpy.put_global_state(self.numpy)
        inputs_read = self.inputs_read
        # In place: the patched ``os.environ`` reads this very dictionary through the module.
        environ.clear()
        environ.update(self.environ)
        process_settings.put_environment(self.environment)
        is_elsewhere = process_settings.folder() != self.folder
        if is_elsewhere:
            process_settings.leave_folder()
        written_files.put_back(self.files)
        if is_elsewhere:
            process_settings.put_folder(self.folder)
        settings.put_back(self.settings)


def forget() -> None:
    """Count the global generator as unseeded, no input as read and no variable as decided: the state of a new program.

    Called after the repository's imports: a module that seeds at import would switch off all later draws.
    """
    global inputs_read
    vars(_global)[SEEDED] = False
    inputs_read = 0
    environ.clear()
    process_settings.begin()
    settings.begin()
