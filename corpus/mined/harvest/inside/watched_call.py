"""One call of a watched function as text: what is called, with its arguments, in a record's forms."""

from __future__ import annotations

import types
from typing import TypedDict

from trace_mine_harvest.arguments import argument_texts
from trace_mine_harvest.operators import as_operand, is_statement, operator_text
from trace_mine_harvest.spelling import CallSpeller
from trace_mine_harvest.targets import WatchedFunction, unwrapped
from trace_mine_harvest.texts import SELF, Registry, Unspelt


class CallTexts(TypedDict):
    """A call as commands, as ``harvest_protocol.SeenCall`` has them."""

    imports: list[str]
    before: list[str]
    call: str
    named_imports: list[str]
    named_before: list[str]
    named_call: str
    variables: list[str]
    given: list[str]


class WatchedCall:
    """One call with its arguments as text.

    Attributes:
        target: its function.
        plain: the call, with its arguments in place.
        value: the same as it can stand before ``[0]``; empty where it is a statement.
        step: the call as a statement in the making of its object; empty where it is none.
        shape: the classes of its arguments.

    Raises:
        Unspelt: an argument has no text.
    """

    def __init__(
        self,
        speller: CallSpeller,
        registry: Registry,
        target: WatchedFunction,
        code: types.CodeType,
        values: list[tuple[str, object]],
    ) -> None:
        if target.problem:
            raise Unspelt(target.problem)
        self.target = target
        self._registry = registry
        self.step = ""
        self._kept: list[str] = []
        self.shape = tuple(type(value).__name__ for _, value in values)
        # arguments that may be changed, by the name of a variable for each: its text is in place of the argument's
        self._given: dict[str, str] = {}
        # the object of a method that is called by its name
        self._receiver = ""
        rest = values
        if target.kind == "function" or target.kind == "staticmethod":
            callee = registry.imported(target.module, target.qualname)
        else:
            if not values:
                raise Unspelt("no_object")
            callee, rest = self._callee(speller, target, code, values)
        texts = argument_texts(speller, code, rest, dict(target.defaults))
        self.plain = self._joined(callee, texts, values)
        named = argument_texts(speller, code, rest, dict(target.defaults), self._given)
        self._named_call = self._joined(callee, named, values)
        is_special = self._receiver and self.plain != f"{callee}({', '.join(texts)})"
        if is_special:
            self.value = "" if is_statement(self.plain) else as_operand(self.plain)
        else:
            self.value = "" if target.kind == "setter" else self.plain
        if target.kind == "init":
            self.step = f"{SELF} = {self.plain}"
        elif self._kept and callee == f"{self._kept[0]}.{target.name}" and target.kind == "method":
            self.step = self.plain.replace(self._kept[0], SELF)
        elif target.kind == "function" and texts and (mark := _only_mark(texts[0])):
            self.step = self.plain.replace(mark, SELF)

    def _callee(
        self, speller: CallSpeller, target: WatchedFunction, code: types.CodeType, values: list[tuple[str, object]]
    ) -> tuple[str, list[tuple[str, object]]]:
        first = values[0][1]
        if target.kind in ("init", "new"):
            kind = type(first) if target.kind == "init" else first
            if not isinstance(kind, type):
                raise Unspelt("no_object")
            # reached from the constructor of a class below, which was called with other arguments
            if unwrapped(kind.__init__ if target.kind == "init" else kind.__new__, code) is None:  # type: ignore[misc]
                raise Unspelt("inner_constructor")
            return speller.spell(kind), values[1:]
        if target.kind == "classmethod":
            return f"{speller.spell(first)}.{target.name}", values[1:]
        text = speller.spell(first)
        if text.startswith("\x01"):
            self._kept.append(text)
        if target.kind in ("property", "setter"):
            return f"{text}.{target.name}", values[1:]
        if _is_reached(type(first), target.name, code):
            self._receiver = text
            return f"{text}.{target.name}", values[1:]
        return self._registry.imported(target.module, target.qualname), values  # by `super()`, of a class below

    def _joined(self, callee: str, arguments: list[str], values: list[tuple[str, object]]) -> str:
        """The call as text."""
        kind = self.target.kind
        if kind == "property":
            return callee
        if kind == "setter":
            return f"{callee} = {', '.join(arguments)}"
        if self._receiver and kind == "method":
            given = [value for _, value in values]
            special = operator_text(self.target.name, self._receiver, arguments, given)
            if special is not None:
                return special
        return f"{callee}({', '.join(arguments)})"

    def record(self) -> CallTexts:
        """The call as commands, with the arguments in place and, where some may be changed, in variables."""
        plain = self._registry.render(self.plain, {}, self._given, self._kept)
        named = plain
        if self._given:
            named = self._registry.render(self._named_call, self._given, self._given, self._kept)
        return {
            "imports": plain.imports,
            "before": plain.before,
            "call": plain.call,
            "named_imports": named.imports,
            "named_before": named.before,
            "named_call": named.call,
            "variables": named.variables,
            "given": [*self._given],
        }


def _only_mark(text: str) -> str:
    """A text that is a mark and nothing else; else an empty one."""
    return text if text.startswith("\x01") and text.endswith("\x01") and text.count("\x01") == 2 else ""


def _is_reached(kind: type, name: str, code: types.CodeType) -> bool:
    """Return True if a method of an object of a class, asked for by name, is the function with this code."""
    for base in kind.__mro__:
        if name in vars(base):
            return unwrapped(vars(base)[name], code) is not None
    return False
