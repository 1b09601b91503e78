"""The opening of the plain view, ``written``: everything is opened, and a variable is shown when a command wrote it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import final

from trace_mine.tracer.inside.observe.reveals import Reveals, spelt_and_aliased
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.views.opening import Block, Loop, Opening, Shows, past_budget

MOST_REVEALS = 4
"""Reveals after one command: one that changes a hundred fields is followed by four lines, not by a hundred."""


@final
class OpensAll(Opening):
    """Opens everything, and shows what each command wrote.

    Args:
        reveals: finds the expressions that show a variable.
        spare: the variable that takes values which the session does not show; it is never revealed.
        comprehensions: True opens list comprehensions as well. They are off by default in the tracer, since one reads
            better as an expression than as a loop of ``append``.
    """

    def __init__(self, reveals: Reveals, *, spare: str, comprehensions: bool) -> None:
        self._reveals = reveals
        self._spare = spare
        self._comprehensions = comprehensions

    @property
    def failure(self) -> str | None:
        return None

    @property
    def is_certain(self) -> bool:
        return True  # nothing is hidden: the state that the program is in is the only one

    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None:
        return past_budget(node, is_full=is_full)

    def opens_test(self, test: str) -> bool:
        return True

    def opens_loop(self, node: Loop) -> bool:
        return True

    def opens_iteration(self, node: Loop, step: str) -> bool:
        return True

    def opens_block(self, node: Block) -> bool:
        return True

    def opens_callee(self, function: ast.expr) -> bool:
        return True

    def opens_call(self, bindings: Sequence[tuple[str, str | None]], statements: Sequence[ast.stmt]) -> bool:
        return True

    def opens_comprehension(self, node: ast.ListComp) -> bool:
        return self._comprehensions

    def opens_generators(self) -> bool:
        return True

    def tells_bound(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(names)

    def emitted(self, source: str, output: str, error: str | None) -> None:
        pass  # nothing is hidden, so nothing has to be concluded from what was shown

    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        """Show the variables that the command wrote, by up to ``MOST_REVEALS`` expressions."""
        if not wrote:
            return
        spelt, aliased = spelt_and_aliased(source)
        num_left = MOST_REVEALS
        for name in wrote:
            if name == self._spare or name not in self._reveals.namespace:
                continue
            # asked for all of them, shown or not: ``sources`` remembers the fields as they are now
            for expression in self._reveals.sources(name, name in spelt):
                if name in aliased and "." in expression:
                    continue  # another name for an object whose fields were shown when they changed
                if num_left and session.show_value(expression):
                    num_left -= 1

    def forget(self, name: str) -> None:
        self._reveals.forget(name)
