"""Generators of the program's own whose bodies are opened: up to each ``yield``, as often as they are resumed.

The body is a walk of its own (``resumable``), which waits at a ``yield`` while the consumer's statements run. So the
consumer may be anything: a loop, ``list``, the block of a ``with``, a call of ``next``.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
from collections.abc import Callable, Iterator

from trace_mine.tracer.inside.differences import CLOSED_GENERATORS_STAY_OUT
from trace_mine.tracer.inside.drive.arguments import Argument
from trace_mine.tracer.inside.drive.calls import enter_call, leave_call, yielded_text
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Body, Frame, Raised, Restart, Return, Signal
from trace_mine.tracer.inside.drive.suspended import Activation
from trace_mine.tracer.inside.drive.targets import Target
from trace_mine.tracer.inside.observe.describe import class_mro
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import has_yield, walk_scope

NONE = ast.Constant(None)
_ERRORS = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)
)


class Closed(Signal):
    """Ends a generator at the ``yield`` where it waits, as ``GeneratorExit`` does."""


class OpenedGenerator(Activation):
    """An activation whose body runs up to the next ``yield`` each time that it is resumed.

    Args:
        context: the session.
        body: the body, whose parameters are bound.
        inner: the frame.
        target: the generator function.
        began: the statement of the program that resumes it first.

    Attributes:
        result: the expression of what it returned, once it has ended.
    """

    def __init__(self, context: DriveContext, body: Body, inner: Frame, target: Target, began: Place) -> None:
        self.began = began
        self.result: ast.expr = NONE
        self._context = context
        self._body = body
        self._inner = inner
        self._target = target
        self._walk = context.walk(inner)
        self._steps = self._walk.steps(body.statements)
        self._place = context.writer.places.current
        self._temporaries: list[str] = []
        """Its temporary variables while it waits: the consumer's statements end before they do."""
        self._has_begun = self._has_ended = False

    @property
    def position_of_definition(self) -> Place:
        """Where its function stands."""
        return Place(path=self._body.filename, line=self._body.first_line)

    def resume(self, sent: ast.expr = NONE) -> ast.expr | None:
        """Run the body up to the next ``yield``; return the expression that it yields, None where it ended.

        The expression is of the generator's own variables, so it is to be evaluated before the next resumption.

        Raises:
            Raised: the body raised an exception.
        """
        if self._has_begun:
            return self._go(lambda: self._steps.send(sent))
        return self._go(lambda: next(self._steps))

    def throw(self, signal: Signal) -> ast.expr | None:
        """Raise a signal at the ``yield`` where it waits; return what it yields then, None where it ended."""
        return self._go(lambda: self._steps.throw(signal))

    def end(self) -> None:
        if self._has_ended:
            return
        if not self._has_begun:  # no frame that settrace saw
            with self._inside():
                self._context.calls.never_began(counts_depth=self._target.counts_depth)
                self._context.release(self._body, self._inner, None)
                self._has_ended = True
            return
        has_frame = not CLOSED_GENERATORS_STAY_OUT.holds
        try:
            value = self.throw(Closed(self._inner))
        except Closed:
            value = None
        self._inner.entries -= not has_frame
        if value is not None:  # RuntimeError: generator ignored GeneratorExit
            raise Restart(self.position_of_definition, Reason.UNFAITHFUL)

    def finish(self) -> None:
        body = self._body
        if self._has_begun:
            self._context.calls.finish(self._inner, body.first_line, self._target.function.__code__.co_name, body.lines)

    def _go(self, step: Callable[[], ast.expr]) -> ast.expr | None:
        self._inner.entries += self._has_begun  # the frame counts its first one itself
        self._has_begun = True
        if self._has_ended:
            return None
        with self._inside():
            try:
                return step()
            except StopIteration:
                pass
            except Return as signal:
                self.result = signal.result
            except Signal as signal:
                self._leave(None)
                if isinstance(signal, Raised) and any(base is StopIteration for base in class_mro(type(signal.error))):
                    # Python raises a RuntimeError instead
                    raise Restart(self.position_of_definition, Reason.UNFAITHFUL) from None
                raise
            self._leave(self.result)
        return None

    def _leave(self, result: ast.expr | None) -> None:
        self._has_ended = True
        leave_call(self._context, self._body, self._inner, self._target, result)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """Stand in the generator's place inside the ``with``: its statements, depth and temporary variables."""
        context = self._context
        places, calls, temporaries = context.writer.places, context.calls, context.variables.temporaries
        position, outer, depth = context.position, places.current, calls.depth
        base = self._walk.base = self._inner.num_temporaries = len(temporaries)
        temporaries += self._temporaries
        places.leave(self._place)
        calls.depth = depth + self._target.counts_depth
        try:
            yield
        finally:
            self._place = places.current
            places.leave(outer)
            calls.depth = depth
            context.return_to(position)
            self._temporaries = []
            if not self._has_ended:  # what it returned lives as long as the consumer's statement
                self._temporaries = temporaries[base:]
                del temporaries[base:]


def open_called(context: DriveContext, call: ast.Call, target: Target, frame: Frame) -> OpenedGenerator | None:
    """Bind the parameters of a call of a generator function, whose object nothing else uses.

    Returns:
        None where the call has to stay a call, which is counted.

    Raises:
        Raised: an argument raised an exception.
    """
    return begin(context, call, target, frame, None)


def begin(
    context: DriveContext, call: ast.Call, target: Target, frame: Frame, arguments: list[Argument] | None
) -> OpenedGenerator | None:
    """See ``open_called``; ``arguments`` as in ``calls.enter_call``."""
    places, calls = context.writer.places, context.calls
    position, outer, depth = context.position, places.current, calls.depth
    path, line, column = places.statement() or (frame.filename, frame.first_line, None)
    entered = enter_call(context, call, target, frame, arguments)
    if entered is None:
        return None
    opened = OpenedGenerator(context, *entered, target, Place(path=path, line=line, column=column))
    places.leave(outer)
    calls.depth = depth
    context.return_to(position)
    return opened


def collect(context: DriveContext, resume: Callable[[], ast.expr | None], name: str, frame: Frame) -> ast.expr:
    """Run a generator's body to its end, appending the values that it yields to a list.

    For ``list(g())``, ``sum(g())`` and the like: built-ins that take all values and run no statement between two of
    them, so the body runs as one piece.

    Args:
        context: the session.
        resume: resumes the generator.
        name: the variable of the list, a temporary one.
        frame: the consumer's activation.
    """
    context.emit(f"{name} = []", frame, "bind", [name], reveal=False)
    while (value := resume()) is not None:
        context.emit(f"{name}.append({yielded_text(value)})", frame, "returned")
    return ast.Name(name, ast.Load())


def has_guarded_yield(definition: ast.FunctionDef) -> bool:
    """Return True if a ``yield`` stands in a ``try`` or ``with`` of which closing the generator there may run a part:
    a ``finally``, or a handler of GeneratorExit.
    """
    return any(
        (isinstance(node, (ast.TryStar, ast.With)) or (isinstance(node, ast.Try) and _may_run_at_end(node)))
        and has_yield(node)
        for node in walk_scope(definition.body)
    )


def _may_run_at_end(node: ast.Try) -> bool:
    return bool(node.finalbody) or not all(map(_passes_over_end, node.handlers))


def _passes_over_end(handler: ast.ExceptHandler) -> bool:
    """Return True for a handler of errors that the language has, by their names: none of them is GeneratorExit."""
    if handler.type is None:
        return False
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return all(isinstance(kind, ast.Name) and kind.id in _ERRORS for kind in kinds)


def catches_end(definition: ast.FunctionDef) -> bool:
    """Return True if ending the generator early runs more than ``finally`` of a ``try`` without handlers."""
    return any(
        (
            isinstance(node, (ast.TryStar, ast.With))
            or (isinstance(node, ast.Try) and not all(map(_passes_over_end, node.handlers)))
        )
        and has_yield(node)
        for node in walk_scope(definition.body)
    )
