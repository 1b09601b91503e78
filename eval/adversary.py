"""Adversarial search: which sessions hurt a trained model's belief most?

A beam over commands, questions and answers that the game can give (each answer at least ``floor`` probable), scored by
KL(exact || predictor) at the last question. The exact filter scores 0 on all of them, so it is the predictor's fault.
Not covered: sequences that look harmless until later are dropped, for the beam is greedy; and the plays' ``draws`` are
not those that lead to their ``states``, which only agree with the answers: texts and laws are right, replays aren't.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Ints, Plays, reveal_laws
from trace_mine.corpus.synthetic.stream import TokenStream
from trace_mine.train.measure.laws import logs
from trace_mine.train.measure.predictors import Predictor
from trace_mine.train.measure.scores import kl
from trace_mine.train.measure.sessions import sessions_from

FLOOR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """``worst`` [reveals]: the largest KL at each depth; ``plays``: the sessions of the last beam, worst first, and
    ``kl`` [sessions], theirs at the last reveal.
    """

    worst: Floats
    plays: Plays
    kl: Floats


def search(
    predictor: Predictor, stream: TokenStream, *, reveals: int, spacing: int, width: int = 24, floor: float = FLOOR
) -> Found:
    """Beam search over sessions of ``reveals`` questions, one after every ``spacing`` commands.

    At each depth the ``width`` worst are kept, and go on with every answer that they may get.

    Raises:
        ValueError: labels are drawn anew for each session, or reveals show all variables, or there is no reveal.
    """
    game = stream.game
    if reveals < 1:
        raise ValueError(f"expected at least one reveal, got {reveals}")
    if game.shows_all or game.num_labels is not None:
        raise ValueError("expected distinct values, shown one at a time, got another task")
    moves = np.array(list(product(range(len(game.actions)), repeat=spacing)), dtype=np.int64)
    actions, shown = np.empty((1, 0), dtype=np.int64), np.empty((1, 0), dtype=np.int64)
    states = np.empty((1, 0), dtype=np.int64)
    worst: list[float] = []
    for _ in range(reveals):
        grown = [
            (np.concatenate([actions[row], move]), np.append(shown[row], variable), states[row])
            for row in range(len(actions))
            for move in moves
            for variable in range(len(game.variables))
        ]
        sessions = sessions_from(stream, _plays(stream, grown, spacing))
        harm = kl(sessions.exact, logs(sessions.laws_of(predictor)))[:, -1]
        best = np.argsort(-harm, kind="stable")[:width]
        found = Found(worst=np.array([*worst, harm[best[0]]]), plays=sessions.plays.at(best), kl=harm[best])
        worst.append(float(harm[best[0]]))
        keep: list[tuple[Ints, Ints, Ints]] = []
        for number in best:
            for item in np.flatnonzero(sessions.exact[number, -1] >= floor):
                state = int(np.flatnonzero(game.holds[:, grown[number][1][-1]] == item)[0])
                path = np.concatenate([grown[number][2], np.full(spacing, state)])
                keep.append((grown[number][0], grown[number][1], path))
        actions, shown, states = (np.stack([each[part] for each in keep]) for part in range(3))
    return found


def _plays(stream: TokenStream, grown: list[tuple[Ints, Ints, Ints]], spacing: int) -> Plays:
    """Sessions whose states agree with the answers given so far; the last answer is any (no score depends on it)."""
    game = stream.game
    actions, shown = (np.stack([each[part] for each in grown]) for part in range(2))
    before = np.stack([each[2] for each in grown])
    last = np.full((len(grown), spacing), game.start, dtype=np.int64)
    states = np.concatenate([before, last], axis=1)
    labels = np.tile(np.arange(len(game.items)), (len(grown), 1))
    draft = Plays(
        actions=actions, states=states, draws=np.ones(actions.shape), shown=shown, labels=labels, spacing=spacing
    )
    # the last reveal's law doesn't depend on what it shows, and what it shows has to be possible
    likeliest = reveal_laws(game, draft)[:, -1].argmax(axis=1)
    for row, item in enumerate(likeliest):
        states[row, -1] = int(np.flatnonzero(game.holds[:, shown[row, -1]] == item)[0])
    return draft
