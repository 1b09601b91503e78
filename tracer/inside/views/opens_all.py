"""The opening of the plain view, ``written``: everything is opened, and a variable is shown when a command wrote it.

A reveal that tells nothing is left out: of a value that the command spells or takes from a variable whose value the
text gave, and of an object that was shown already after this command, under another of its names.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import final

from trace_mine.tracer.inside.observe.reveals import Assigned, Reveals, Showing, assigned
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.views.opening import Block, Comprehension, Loop, Opening, Shows, past_budget

MOST_REVEALS = 4
"""Reveals after one command: one that changes a hundred fields is followed by four lines, not by a hundred."""
_END_OF_PATH = re.compile(r"[\s\[)]")


@final
class OpensAll(Opening):
    """Opens everything, and shows what each command wrote.

    Args:
        reveals: finds the expressions that show a variable.
        spare: the variable that takes values which the session does not show; it is never revealed.
        comprehensions: True opens all comprehensions. By default those alone that call functions of the program's own:
            another one reads better as an expression than as a loop of ``append``.
        repeats: also reveals that tell nothing are given.
    """

    def __init__(self, reveals: Reveals, *, spare: str, comprehensions: bool, repeats: bool = False) -> None:
        self._reveals = reveals
        self._spare = spare
        self._comprehensions = comprehensions
        self._repeats = repeats
        self._known: set[str] = set()
        """Variables whose value the text has given since they were last bound or changed."""

    @property
    def failure(self) -> str | None:
        return None

    @property
    def loss(self) -> Reason | None:
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

    def opens_comprehension(self, node: Comprehension) -> bool:
        return self._comprehensions

    def opens_generators(self) -> bool:
        return True

    def tells_bound(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(names)

    def emitted(self, source: str, output: str, error: str | None) -> None:
        pass  # nothing is hidden, so nothing has to be concluded from what was shown

    def rewritten(self, number: int, source: str, output: str, error: str | None) -> None:
        """Do nothing: this opening keeps no states, and shows variables by what the program has."""

    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        """Show the variables that the command wrote, by up to ``MOST_REVEALS`` expressions."""
        if not wrote:
            return
        command = assigned(source)
        # asked for all of them, shown or not: ``sources`` remembers the fields as they are now
        due = {
            name: self._reveals.sources(name, command.is_spelt and name in command.names and not self._repeats)
            for name in wrote
            if name != self._spare and name in self._reveals.namespace
        }
        expressions = [each for of_name in due.values() for each in of_name]
        known: set[tuple[int, str]] = set()
        chosen = {each.source for each in expressions}
        if not self._repeats:
            expressions = self._with_one_place(command, expressions)
            known |= self._given(command, due, expressions)
            chosen = _one_of_each(source, [each for each in expressions if each.place not in known])
        num_left = MOST_REVEALS
        for each in expressions:
            if each.source in chosen and num_left and session.show_value(each.source):
                num_left -= 1
                known.add(each.place)
        unknown = {each.source for each in expressions if each.place not in known}
        self._known.difference_update(wrote)
        self._known.update(name for name, of_name in due.items() if unknown.isdisjoint(each.source for each in of_name))

    def _given(
        self, command: Assigned, due: Mapping[str, Sequence[Showing]], expressions: Sequence[Showing]
    ) -> set[tuple[int, str]]:
        """The places whose value the command gives: it spells that, or names a variable whose value is known."""
        if command.value is None or (command.other is None and not command.is_spelt):
            return set()
        is_known = command.is_spelt or command.other in self._known
        given = set()
        for name in command.names:
            # of another name for an object the fields were shown when they changed
            is_other = command.other is not None and name in due and self._reveals.has_other_name(name)
            given |= {each.source for each in due.get(name, ()) if is_known or (is_other and "." in each.source)}
        for path in command.fields:
            if is_known and self._reveals.is_assigned(path, command):
                given |= {path, f"{path} is None"}
        return {each.place for each in expressions if each.source in given}

    def _with_one_place(self, command: Assigned, expressions: list[Showing]) -> list[Showing]:
        """The expressions, with one place for all that ``x = self.y = f()`` binds to one value."""
        paths = {*command.names, *command.fields}
        if len(paths) < 2 or not self._reveals.hold_one(paths):
            return expressions
        return [
            each._replace(place=(0, "=")) if each.source.removesuffix(" is None") in paths else each
            for each in expressions
        ]

    def unshown(self, names: Iterable[str]) -> None:
        self._known.difference_update(names)

    def forget(self, name: str) -> None:
        self._reveals.forget(name)
        self._known.discard(name)


def _one_of_each(source: str, expressions: Sequence[Showing]) -> set[str]:
    """Choose one expression for each object or field that a command changed: under the name that the command uses, else
    under the shortest one, of these the latest.
    """
    places: dict[tuple[int, str], list[str]] = defaultdict(list)
    for each in expressions:
        places[each.place].append(each.source)

    def rank(numbered: tuple[int, str]) -> tuple[bool, bool, int, int]:
        number, expression = numbered
        path = _END_OF_PATH.split(expression.removeprefix("len("), maxsplit=1)[0]
        return _names(source, path), _names(source, path.partition(".")[0]), -path.count("."), number

    return {max(enumerate(of_place), key=rank)[1] if len(of_place) > 1 else of_place[0] for of_place in places.values()}


def _names(source: str, path: str) -> bool:
    """Return True if a command's text has this variable or field."""
    return re.search(rf"(?<![\w.]){re.escape(path)}(?!\w)", source) is not None
