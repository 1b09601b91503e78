"""Under how many further hash seeds a session is replayed: by the sets of texts that it makes or has as values.

Texts of a set stand in an order that the hash seed gives. n of them stand in the same order under another seed once in
n! times, so a session that hangs on the order of few members agrees by luck: with two, under the two seeds that it is
replayed under anyway (``jails``), one time in four.

Not covered: sets that only a kept-whole command's functions make and that neither a source nor a value shows; members
whose own ``__hash__`` hangs on texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from trace_mine.tracer.replays.reader import ORDERS, Jails
from trace_mine.tracer.replays.session import TextCommand

BY_LUCK = 1 / 64
"""How likely a session that hangs on the order of a set may agree under all seeds."""
USUAL_SEEDS = 2

_text = re.compile(r"""b?'(?:[^'\\\n]|\\.)*+'|b?"(?:[^"\\\n]|\\.)*+\"""")
_braces = re.compile(r"\{([^{}:]*+)\}")  # with no colon in it, which a dictionary has
_made = re.compile(r"\b(?:frozen)?set\(\s*+(?!\))|\{[^{}:]*+\bfor\b|\.(?:keys|items)\(\)\s*+[-&|^]")


def further_orders(commands: Sequence[TextCommand], values: Sequence[Iterable[str]]) -> tuple[Jails, ...]:
    """The jails, each with a hash seed of its own, under which a session is to be replayed besides.

    Args:
        commands: the session's.
        values: for each command the texts of the variables that it changed.
    """
    fewest = 0
    for command, changed in zip(commands, values, strict=True):
        shown = [count for text in (command.source, command.want, *changed) for count in set_sizes(text)]
        sizes = [count for count in shown if count > 1]
        # made, and shown by nothing: as of two. A set that is shown without texts is one of numbers.
        if not shown and _made.search(_text.sub("''", command.source)):
            sizes = [2]
        fewest = min([*sizes, *([fewest] if fewest else [])], default=0)
    if not fewest:
        return ()
    seeds = math.ceil(math.log(BY_LUCK) / -math.log(math.factorial(min(fewest, 20)))) - USUAL_SEEDS
    return ORDERS[: max(seeds, 0)]


def set_sizes(text: str) -> list[int]:
    """How many texts each set has that stands in a command, an output or a value; 0: none, as in ``{1, 2}``.

    >>> set_sizes("x = {'a', 'b'}, {1}, {'k': 1}")
    [2, 0]
    """
    # a mark that no source has, so that braces and commas of the texts themselves count for nothing
    return [match.count("\0") for match in _braces.findall(_text.sub("\0", text)) if match.strip()]
