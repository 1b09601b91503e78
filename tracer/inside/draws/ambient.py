"""State that draws leave outside every namespace: part of a program's state all the same.

``inputs_read`` and ``environ`` are the live values that the patched ``input`` and ``os.environ`` work on; the global
generators of ``random`` and numpy hold the rest. ``Ambient`` is all of it at one moment, to be put back before another
path of the program is run.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from trace_mine.tracer.inside.draws import patches_numpy

SEEDED = "_trace_seeded"
"""The attribute of a generator that says that the program seeded it."""

_global: Any = vars(random)["_inst"]
_plain_getstate = random.Random.getstate  # bound before ``patches`` replaces it: the patched one seeds the generator

inputs_read = 0
"""How many declared inputs the program has read."""

environ: dict[str, str | None] = {}
"""Variables of the environment with a declared law whose value is decided; None for one that is not set."""


def is_seeded(generator: Any) -> bool:
    """True if the program seeded the ``random.Random``: its numbers are then no choices."""
    return bool(vars(generator).get(SEEDED))


class Ambient(NamedTuple):
    """The state outside namespaces at one moment.

    A tuple, since snapshots contain it: as plain data it is pickled without a reference to this class.
    """

    generator: Any
    """State of ``random``'s global generator where the program seeded it, else None."""
    numpy: Any
    """The same of numpy's."""
    inputs_read: int
    environ: dict[str, str | None]

    @classmethod
    def now(cls) -> Ambient:
        """The state as it is."""
        state = _plain_getstate(_global) if is_seeded(_global) else None
        return cls(state, patches_numpy.global_state(), inputs_read, dict(environ))

    def put_back(self) -> None:
        """Makes the state this one again."""
        global inputs_read
        if self.generator is not None:
            _global.setstate(self.generator)
        elif is_seeded(_global):
            _global.seed()  # as unseeded as it was: the patched ``seed`` without an argument takes the mark away
        patches_numpy.put_global_state(self.numpy)
        inputs_read = self.inputs_read
        environ.clear()
        environ.update(self.environ)


def forget() -> None:
    """The global generator counts as unseeded, nothing as read."""
    global inputs_read
    vars(_global)[SEEDED] = False
    inputs_read = 0
    environ.clear()
