"""The opening of a view that spaces its reveals and hides nothing (``written+every:4``)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import final

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.views.opening import Block, Comprehension, Loop, Opening, Shows, past_budget
from trace_mine.tracer.inside.views.spaced_reveals import SpacedReveals, is_showable


@final
class OpensSpaced(Opening):
    """Opens what ``OpensAgreed`` could open: no comprehension, no generator, no block that control leaves by a jump.

    So a session of this view and one of a view that hides outcomes differ by what is hidden, not by the kinds of
    construct that they open, and a model trained on the one can be compared with a model trained on the other.
    """

    def __init__(self, namespace: Mapping[str, object], reveals: SpacedReveals) -> None:
        self._namespace = namespace
        self._reveals = reveals

    @property
    def failure(self) -> str | None:
        return None  # nothing is followed, so nothing can be lost

    @property
    def loss(self) -> Reason | None:
        return None

    @property
    def is_certain(self) -> bool:
        return True  # nothing is hidden

    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None:
        return past_budget(node, is_full=is_full)

    def opens_test(self, test: str) -> bool:
        return True

    def opens_loop(self, node: Loop) -> bool:
        return True

    def opens_iteration(self, node: Loop, step: str) -> bool:
        return True

    def opens_block(self, node: Block) -> bool:
        return not escapes(node)

    def opens_callee(self, function: ast.expr) -> bool:
        return True

    def opens_call(self, bindings: Sequence[tuple[str, str | None]], statements: Sequence[ast.stmt]) -> bool:
        return True

    # as in ``OpensAgreed``, for the reasons given there

    def opens_comprehension(self, node: Comprehension) -> bool:
        return False

    def opens_generators(self) -> bool:
        return False

    def tells_bound(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(names)

    def emitted(self, source: str, output: str, error: str | None) -> None:
        self._reveals.emitted(source, output, error)

    def rewritten(self, number: int, source: str, output: str, error: str | None) -> None:
        pass  # no reveal is

    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        for reveal in self._reveals.due(source, binds, self._may_show):
            session.show_by_command(reveal)

    def _may_show(self, name: str) -> bool:
        """Return True if the variable is bound now, its value can be shown, and showing it tells something."""
        if name not in self._namespace or not is_showable(self._namespace[name]):
            return False
        given = self._reveals.given(name)
        value = self._namespace[name]
        return given is None or given[1] != (repr(value) if "!r" in given[0] else str(value))

    def unshown(self, names: Iterable[str]) -> None:
        pass  # a value that the text gave is compared with the one that is there

    def forget(self, name: str) -> None:
        self._reveals.forget(name)
