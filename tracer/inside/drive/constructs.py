"""The handler of each type of statement. A type without one (``except*``) is always kept as one command.

A new construct is a function in one of the modules below and a line in its ``HANDLERS``.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive import blocks, comprehensions, definitions, loops, statements
from trace_mine.tracer.inside.drive.context import Handler

HANDLERS: dict[type[ast.stmt], Handler] = {
    **statements.HANDLERS,
    **definitions.HANDLERS,
    **loops.HANDLERS,
    **blocks.HANDLERS,
    **comprehensions.HANDLERS,
}
