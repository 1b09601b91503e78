"""Adversarial search: a beam search for the sessions on which a trained model's belief is furthest from the exact one.

The beam grows sessions by commands, a question and an answer. It scores each session by KL(exact || predictor) at its
last question, and goes on with every answer of exact probability ``floor`` or more. The exact filter scores 0 on every
session, so a high score is the predictor's fault and not the session's.

Not covered: sessions that look harmless at first are dropped, because the beam is greedy. The ``draws`` of the plays
that are returned don't lead to their ``states``, which are only chosen to agree with the answers: texts and laws are
right, a replay of the draws is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays, reveal_laws
from trace_mine.corpus.synthetic.stream import TokenStream
from trace_mine.train.measure.laws import logs
from trace_mine.train.measure.predictors import Predictor
from trace_mine.train.measure.scores import kl
from trace_mine.train.measure.sessions import Sessions, sessions_from

# With rarer answers the search would find long chances (three answers of 1% each) rather than errors of the model.
FLOOR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchResult:
    """The sessions of the last beam, and how much every depth of the search could hurt the predictor.

    ``worst`` [reveals]: the largest KL at each depth, in nats. ``plays``: the sessions of the last beam, worst first.
    ``kl`` [sessions]: the KL of each of them at its last reveal, in nats, so in descending order.
    """

    worst: Floats
    plays: Plays
    kl: Floats

    def __post_init__(self) -> None:
        if len(self.kl) != len(self.plays.actions):
            raise ValueError(f"expected one KL a session, got {len(self.kl)} for {len(self.plays.actions)} sessions")
        if (np.diff(self.kl) > 0).any():
            raise ValueError(f"expected sessions with the largest KL first, got {self.kl}; sort them")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamCandidate:
    """One session of the beam: ``actions`` [commands] and ``shown`` [reveals], the variables asked for.

    ``states`` [commands]: states that agree with all answers so far; they are shorter than ``actions`` by ``spacing``
    as long as the last question has no answer yet.
    """

    actions: Ints
    shown: Ints
    states: Ints

    def __post_init__(self) -> None:
        if len(self.states) > len(self.actions):
            raise ValueError(f"expected at most one state a command, got {len(self.states)} for {len(self.actions)}")


def search(
    predictor: Predictor, stream: TokenStream, *, reveals: int, spacing: int, width: int = 24, floor: float = FLOOR
) -> SearchResult:
    """Search for sessions of ``reveals`` questions, one after every ``spacing`` commands, that hurt the predictor.

    At each depth all candidates are scored, the ``width`` worst are kept, and each of these goes on once for every
    answer of probability ``floor`` or more. One depth scores at most ``width * items * actions ** spacing * variables``
    sessions, so the cost grows linearly with ``reveals`` and exponentially with ``spacing``.

    Raises:
        ValueError: labels are drawn anew for each session, or reveals show all variables; there is no reveal; the beam
            has no room; or ``floor`` is 0, which would follow answers that can't be given, or so high that a question
            may have no answer left.
    """
    game = stream.game
    check_limits(game, reveals, width, floor)
    moves = np.array(list(product(range(len(game.actions)), repeat=spacing)), dtype=np.int64)
    # one session without a command: all sessions begin in the game's start
    nothing = np.empty(0, dtype=np.int64)
    beam = [BeamCandidate(actions=nothing, shown=nothing, states=nothing)]
    worst: list[float] = []
    for _ in range(reveals):
        grown = [longer for each in beam for longer in with_questions(game, each, moves)]
        sessions = sessions_from(stream, plays_of(game, grown, spacing))
        harm = kl(sessions.exact, logs(sessions.laws_of(predictor)))[:, -1]
        # A stable order, so that ties (symmetric sessions have equal KL) give the same beam on every machine
        best = np.argsort(-harm, kind="stable")[:width]
        worst.append(float(harm[best[0]]))
        beam = [
            answered for place in best for answered in with_answers(game, grown[place], sessions, int(place), floor)
        ]
    return SearchResult(worst=np.array(worst), plays=sessions.plays.at(best), kl=harm[best])


def check_limits(game: Game, reveals: int, width: int, floor: float) -> None:
    """Raise ValueError where ``search`` refuses its arguments."""
    if reveals < 1 or width < 1:
        raise ValueError(f"expected at least one reveal and a width of 1, got reveals={reveals}, width={width}")
    if game.shows_all or game.num_labels is not None:
        raise ValueError("expected distinct values, shown one at a time, got another task")
    # the likeliest of n answers has probability 1 / n at least: up to there every question keeps an answer
    if not 0 < floor <= 1 / len(game.items):
        raise ValueError(f"expected 0 < floor <= 1/{len(game.items)} (one over the number of items), got {floor}")


def with_questions(game: Game, candidate: BeamCandidate, moves: Ints) -> list[BeamCandidate]:
    """Lengthen a candidate by each of ``moves`` [moves, spacing] and a question for each variable, still unanswered."""
    return [
        BeamCandidate(
            actions=np.concatenate([candidate.actions, move]),
            shown=np.append(candidate.shown, variable),
            states=candidate.states,
        )
        for move in moves
        for variable in range(len(game.variables))
    ]


def with_answers(
    game: Game, candidate: BeamCandidate, sessions: Sessions, place: int, floor: float
) -> list[BeamCandidate]:
    """Answer the last question of a candidate in every way that has an exact probability of ``floor`` or more.

    ``place`` is the candidate's row in ``sessions``. An answer is said by a state that shows it.
    """
    spacing = sessions.plays.spacing
    answers = []
    # An answer of probability 0 would have to be conditioned on: the exact law after it is 0 / 0, and its KL no number.
    for item in np.flatnonzero(sessions.exact[place, -1] >= floor):
        states = np.full(spacing, state_showing(game, int(candidate.shown[-1]), int(item)))
        answers.append(
            BeamCandidate(
                actions=candidate.actions,
                shown=candidate.shown,
                states=np.concatenate([candidate.states, states]),
            )
        )
    return answers


def plays_of(game: Game, candidates: list[BeamCandidate], spacing: int) -> Plays:
    """Sessions out of candidates whose last question has no answer yet; each gets its likeliest answer.

    The filter reads of a state only what a reveal shows in it, so one state that shows the answer stands for all the
    states that do, and the same state is repeated for the commands between two reveals.
    """
    actions = np.stack([each.actions for each in candidates])
    shown = np.stack([each.shown for each in candidates])
    before = np.stack([each.states for each in candidates])
    unanswered = np.full((len(candidates), spacing), game.start, dtype=np.int64)
    states = np.concatenate([before, unanswered], axis=1)
    labels = np.tile(np.arange(len(game.items)), (len(candidates), 1))
    plays = Plays(
        actions=actions, states=states, draws=np.ones(actions.shape), shown=shown, labels=labels, spacing=spacing
    )
    # The law of the last reveal doesn't depend on what that reveal shows, so the score doesn't either; but the session
    # is returned as a text, and an answer that can't be would make it one that no run gives.
    likeliest = reveal_laws(game, plays)[:, -1].argmax(axis=1)
    for row, item in enumerate(likeliest):
        states[row, -1] = state_showing(game, int(shown[row, -1]), int(item))
    return plays


def state_showing(game: Game, variable: int, item: int) -> int:
    """The first state in which this variable holds this item."""
    return int(np.flatnonzero(game.holds[:, variable] == item)[0])
