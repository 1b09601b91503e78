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
    above: list[_Open] = []
    position, has_set, is_done, last = 0, False, False, ""
    while position < len(text):
        match = _token.match(text, position)
        if match is None or is_done:
            return False, False
        kind, token, position = match.lastgroup or "", match.group(), match.end()
        if not kind:
            continue  # spaces
        if not _may_follow(kind, last, above):
            return False, False
        if kind == "open":
            above.append(_Open(bracket=token))
        elif kind == "close":
            closed = above.pop()
            if closed.bracket != _PAIRS[token] or not closed.is_whole():
                return False, False
            has_set = has_set or (token == "}" and closed.num_colons == 0 and closed.num_values > 0)
            kind = "atom"
        elif above:
            above[-1].num_colons += kind == "colon"
        if kind == "atom" and above:
            above[-1].num_values += 1
        is_done = kind == "atom" and not above
        last = kind
    return is_done, has_set


@dataclass(slots=True, kw_only=True)
class _Open:
    """A bracket that is open, and what stood in it so far. Not frozen: it is counted as tokens come."""

    bracket: str
    num_values: int = 0
    num_colons: int = 0

    def is_whole(self) -> bool:
        """True if what stood in it is values, or pairs of them."""
        return not self.num_colons or self.num_values == 2 * self.num_colons


def _may_follow(kind: str, last: str, above: list[_Open]) -> bool:
    """Return True if a token of this kind may stand after one of kind ``last``; empty: at the beginning."""
    if kind in ("atom", "open"):
        return last in ("", "open", "comma", "colon")
    if not above:
        return False
    if kind == "close":
        return last in ("atom", "open", "comma")
    if kind == "comma":
        # in a dictionary after a pair only
        return last == "atom" and above[-1].num_colons in (0, above[-1].num_values - above[-1].num_colons)
    return last == "atom" and above[-1].bracket == "{" and above[-1].num_values == 2 * above[-1].num_colons + 1
