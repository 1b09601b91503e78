"""What a replay is asked about variables: which of their texts are literals, and how a value is asked for.

A text that is a literal can be compared with ``repr``, which C code makes of plain data; the supervisor compares bytes
and never reads a value. Other texts are made by our own code inside, so that they are compared to find what differs
from run to run, and are verified by nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_token = re.compile(
    r"""(?P<open>[\[({])|(?P<close>[\])}])|(?P<comma>,)|(?P<colon>:)|[ ]+"""
    r"""|(?P<atom>b?'(?:[^'\\\n]|\\[^\n])*'|b?"(?:[^"\\\n]|\\[^\n])*"|True\b|False\b|None\b|Ellipsis\b"""
    r"""|[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf\b|nan\b)j?(?:[+-](?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf\b|nan\b)j)?)"""
)
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateQuestion:
    """A variable whose value is asked for after a command.

    Attributes:
        name: the variable.
        text: its value as the session's states have it.
        is_literal: the text is that of plain data, so that an equal answer verifies it.
        by_repr: the answer is ``repr``'s; else our own code inside makes it, which sorts sets.

    Raises:
        ValueError: ``repr`` is asked for a text that is no literal.
    """

    name: str
    text: str
    is_literal: bool
    by_repr: bool

    def __post_init__(self) -> None:
        if self.by_repr and not self.is_literal:
            raise ValueError(f"expected a literal to be asked for by repr, got {self.text[:80]!r}")


def question_of(name: str, text: str) -> StateQuestion:
    """Make the question about a variable from its text.

    >>> question_of("x", "[1, 'a']").by_repr, question_of("s", "{'a', 'b'}").by_repr
    (True, False)
    >>> question_of("c", "C(x=1)").is_literal
    False
    """
    is_literal, has_set = _read(text)
    return StateQuestion(name=name, text=text, is_literal=is_literal, by_repr=is_literal and not has_set)


def _read(text: str) -> tuple[bool, bool]:
    """Return if a text is one literal, and if it has a set in it, whose order ``repr`` does not fix.

    Token by token and not by the compiler: the text comes from inside, and a compiler can be made to use up its stack.
    """
    above: list[str] = []
    colons: list[int] = []
    position, has_set, has_value, last = 0, False, False, ""
    while position < len(text):
        match = _token.match(text, position)
        if match is None:
            return False, False
        kind = match.lastgroup
        if kind == "open":
            above.append(match.group())
            colons.append(0)
        elif kind == "close":
            if not above or above.pop() != _PAIRS[match.group()]:
                return False, False
            num_colons = colons.pop()
            has_set = has_set or (match.group() == "}" and not num_colons and last != "{")
        elif kind == "colon":
            if not above or above[-1] != "{":
                return False, False
            colons[-1] += 1
        elif kind == "comma" and not above:
            return False, False
        has_value = has_value or kind in ("atom", "open")
        last = match.group() if kind else last
        position = match.end()
    return has_value and not above, has_set
