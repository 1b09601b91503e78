"""The exact law of the next output of a session of a game, given the session's text alone.

``laws`` answers for plays, which come with tables. Here there is nothing but text: a file's, or a model's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game


class TextFilter:
    """The exact filter of a game, fed with a session's commands and outputs as text.

    An output that can't come tells nothing and is passed over: the variables are what the commands made them.

    Attributes:
        is_lost: True once a command wasn't one of the game's, or an action showed something; nothing is known from
            there on.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.is_lost = False
        self._patterns = [_pattern(source) for source in game.opening]
        self._opened = 0
        self._labels: list[str | None] = [None] * len(game.items)
        self._belief: Floats = np.eye(len(game.holds))[game.start]
        self._actions = {source: number for number, source in enumerate(game.actions)}
        self._reveals = {game.reveal_source(variable): variable for variable in range(len(game.variables))}

    def law(self, source: str) -> dict[str, float] | None:
        """Return the law of a command's output, text -> probability; None where the command shows nothing known."""
        variable = self._reveals.get(source)
        if self.is_lost or variable is None or self._opened < len(self._patterns):
            return None
        law: dict[str, float] = {}
        for text, mass in zip(self._texts(variable), self._belief.tolist(), strict=True):
            if mass > 0:
                law[text] = law.get(text, 0.0) + mass
        return law

    def take(self, source: str, output: str) -> None:
        """Take in a command and its output, without line ends at their ends."""
        if self.is_lost:
            return
        if self._opened < len(self._patterns):
            self._open(source, output)
        elif source in self._reveals and output:
            shown = np.array([text == output for text in self._texts(self._reveals[source])])
            kept = self._belief * shown
            if kept.sum() > 0:
                self._belief = np.asarray(kept / kept.sum())
        elif source in self._actions and not output:
            action = self._actions[source]
            chance = self.game.chances[action]
            moved = self._belief[self.game.inverse()[action]]
            self._belief = np.asarray((1.0 - chance) * self._belief + chance * moved)
        else:
            self.is_lost = True

    def _open(self, source: str, output: str) -> None:
        """Take in a command of the opening, which tells the labels of the items."""
        match = self._patterns[self._opened].fullmatch(source)
        if match is None or output:
            self.is_lost = True
            return
        held = self.game.holds[self.game.start]
        for group, text in match.groupdict().items():
            self._labels[held[int(group[1:])]] = text
        self._opened += 1
        if self._opened == len(self._patterns):
            given = [*self._labels]
            # Items without digits of their own have one label, whatever the session.
            is_other = self.game.num_labels is None and given != [*self.game.items]
            self.is_lost = None in given or is_other

    def _texts(self, variable: int) -> Sequence[str]:
        """Return the output of a variable's reveal for each state."""
        return self.game.reveal_texts(variable, [text or "" for text in self._labels])


def _pattern(source: str) -> re.Pattern[str]:
    r"""Turn a command of an opening into a pattern with a group ``_N`` for each place ``{N}``.

    >>> _pattern("a = {0}").pattern
    'a\\ =\\ (?P<_0>[^\\s,]+)'
    """
    parts = re.split(r"\{(\d+)\}", source)
    texts = [re.escape(part) if place % 2 == 0 else rf"(?P<_{part}>[^\s,]+)" for place, part in enumerate(parts)]
    return re.compile("".join(texts))
