"""Openings that keep some kinds of statement as one command and leave all else to another opening.

They are decorators: ``SkipsLoops(OpensAll(...))`` opens everything but loops, and shows the reveals of ``OpensAll``.
"""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal, final

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states.beliefs import SessionBeliefs
from trace_mine.tracer.inside.states.support import Outlook
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.views.opening import Block, Comprehension, Loop, Opening, Shows


class Narrowed(Opening):
    """Passes every question and every command on to ``inner``, but for the statements that it keeps by their kind.

    Each method is written out: a ``__getattr__`` that passes on would hide a new question of ``Opening`` from mypy.
    """

    def __init__(self, inner: Opening) -> None:
        self._inner = inner

    @property
    def failure(self) -> str | None:
        return self._inner.failure

    @property
    def loss(self) -> Reason | None:
        return self._inner.loss

    @property
    def is_certain(self) -> bool:
        return self._inner.is_certain

    @property
    def hides(self) -> bool:
        return self._inner.hides

    @property
    def num_uncertain(self) -> int:
        return self._inner.num_uncertain

    def outlook(self, source: str, mode: Literal["single", "eval"] = "single") -> Outlook:
        return self._inner.outlook(source, mode)

    def beliefs(self, commands: Sequence[tuple[str, str]]) -> SessionBeliefs | None:
        return self._inner.beliefs(commands)

    @abstractmethod
    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None: ...

    def opens_test(self, test: str) -> bool:
        return self._inner.opens_test(test)

    def opens_loop(self, node: Loop) -> bool:
        return self._inner.opens_loop(node)

    def opens_iteration(self, node: Loop, step: str) -> bool:
        return self._inner.opens_iteration(node, step)

    def opens_block(self, node: Block) -> bool:
        return self._inner.opens_block(node)

    def opens_callee(self, function: ast.expr) -> bool:
        return self._inner.opens_callee(function)

    def opens_call(self, bindings: Sequence[tuple[str, str | None]], statements: Sequence[ast.stmt]) -> bool:
        return self._inner.opens_call(bindings, statements)

    def opens_comprehension(self, node: Comprehension) -> bool:
        return self._inner.opens_comprehension(node)

    def opens_generators(self) -> bool:
        return self._inner.opens_generators()

    def tells_bound(self, names: Sequence[str]) -> frozenset[str]:
        return self._inner.tells_bound(names)

    def emitted(self, source: str, output: str, error: str | None) -> None:
        self._inner.emitted(source, output, error)

    def rewritten(self, number: int, source: str, output: str, error: str | None) -> None:
        self._inner.rewritten(number, source, output, error)

    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        self._inner.reveal_after(source, binds, wrote, session)

    def unshown(self, names: Iterable[str]) -> None:
        self._inner.unshown(names)

    def forget(self, name: str) -> None:
        self._inner.forget(name)


@final
class OpensNothing(Narrowed):
    """Keeps every compound statement as one command: the last resort where an opened session failed its checks."""

    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None:
        # before any reason of ``inner``: a session that failed its checks has this one cause for all it keeps
        return Reason.CLOSED


@final
class SkipsLoops(Narrowed):
    """Keeps loops as one command (the view ``skip``): a session shows a loop's effect only.

    A loop that control leaves by ``return`` cannot be a command, so ``inner`` decides about it.
    """

    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None:
        # a full session keeps the loop anyway, and is counted as such: another view would not show it either
        reason = self._inner.keeps(node, is_full=is_full)
        if reason is None and isinstance(node, (ast.For, ast.While)) and not escapes(node):
            return Reason.SKIPPED
        return reason
