"""Beam search for the session that hurts a predictor most, among those that the game can write.

Round by round: every branch is continued by blocks of ``spacing`` commands and a question; the branches whose question
hurts most are kept, once for each answer whose exact probability is at least a floor. What hurts is the distance of the
predictor's law from the exact filter's, at the rhythm of commands and questions that it was trained on: a question
right after an answer would be outside it. Beside the session found stand fair sessions, the worst of them, and other
predictors on the same session (the exact filter is at 0; the linear marginal form: ``eval.theory``).

NOT covered: the greatest harm that there is. A beam is greedy, and a small harm found says that this search found
nothing. A session found is one that the game can write, not one that it often does: ``surprise`` says how likely.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.synthetic.game import Floats, Game, Ints
from eval.following import BeliefFollower, Follower, follower
from eval.measure import score
from eval.predictors import Predictor
from eval.results import Result, interval, measured
from eval.sessions import Sessions, sessions_of, told_of
from eval.subjects import Subject
from eval.witness import witnessed
from train.batches import SyntheticSource

KEPT = 4
RANDOM_ROWS = 128


def kl(exact: Floats, law: Floats) -> Floats:
    """KL(exact || law) in nats over the last axis, as ``eval.measure.score`` has it."""
    return _scored(exact, law, "kl")


def variation(exact: Floats, law: Floats) -> Floats:
    """Total variation over the last axis."""
    return _scored(exact, law, "variation")


OBJECTIVES: dict[str, Callable[[Floats, Floats], Floats]] = {"belief KL": kl, "total variation": variation}
"""What is to be made great at the last question, by the name of its metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``rounds`` of ``spacing`` commands and a question; ``width`` branches are kept; ``blocks`` of commands are tried
    on each (all, where there are no more); ``floor``: the least exact probability of an answer; ``seconds``: the
    width shrinks where the search would take longer, and results then depend on the machine's speed.
    """

    rounds: int
    spacing: int
    width: int = 16
    blocks: int = 32
    floor: float = 0.05
    seconds: float = math.inf

    def __post_init__(self) -> None:
        for name in ("rounds", "spacing", "width", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        if not 0 < self.floor <= 0.5:
            raise ValueError(f"expected 0 < floor <= 0.5, got {self.floor}; a greater one may leave no answer")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attack:
    """The worst ``sessions`` found, worst at the last question first, and what they do, read again as whole texts:
    ``harm`` [found, rounds] at each question; ``fair`` [fair rows, rounds]: the same on fair sessions. ``surprise``,
    ``fair_surprise``: minus the log of the exact probability of each answer, same shapes.

    ``searched`` [found]: the last question's harm as the search itself saw it; ``num_scored``: laws it looked at;
    ``widths``: branches kept after each round; ``seconds``: what it took.
    """

    name: str
    objective: str
    budget: Budget
    sessions: Sessions
    harm: Floats
    surprise: Floats
    fair_sessions: Sessions
    fair: Floats
    fair_surprise: Floats
    searched: Floats
    num_scored: int
    widths: tuple[int, ...]
    seconds: float

    def harm_of(self, predictor: Predictor) -> Floats:
        """[found, rounds]: what the sessions found do to another predictor of the same task."""
        return OBJECTIVES[self.objective](self.sessions.exact, self.sessions.laws_of(predictor))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Beam:
    """Branches: what they are (``actions`` [B, commands], ``shown``, ``items`` [B, rounds so far]), and the states of
    the predictor and of the exact filter after them.
    """

    actions: Ints
    shown: Ints
    items: Ints
    model: Any
    exact: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """Every continuation of a beam: ``parents`` [C], ``blocks`` [C, spacing], ``variables``, ``laws`` [C, labels] (the
    exact ones), ``harm`` [C], and both states.
    """

    parents: Ints
    blocks: Ints
    variables: Ints
    laws: Floats
    harm: Floats
    model: Any
    exact: Any


def attack(
    predictor: Predictor, source: SyntheticSource, budget: Budget, *, objective: str = "belief KL", seed: int = 0
) -> Attack:
    """Searches, reads what was found again, and measures fair sessions (the test split's) of the same size.

    Raises:
        ValueError: there is no such objective, or the game's reveals aren't of one variable of distinct values.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"expected an objective among {', '.join(OBJECTIVES)}, got {objective!r}")
    began = time.monotonic()
    length = budget.rounds * budget.spacing
    stream = source.stream(length, budget.spacing, "test")
    game = stream.game
    followed, tracked = follower(predictor, stream, budget.spacing), BeliefFollower(game)
    generator = np.random.default_rng(seed)
    nothing = np.zeros((1, 0), dtype=np.int64)
    beam = _Beam(actions=nothing, shown=nothing, items=nothing, model=followed.start(), exact=tracked.start())
    width, num_scored, widths = budget.width, 0, []
    asked, chosen, answers = None, nothing[0], nothing[0]
    for number in range(budget.rounds):
        is_last = number + 1 == budget.rounds
        asked = _continued(beam, followed, tracked, game, budget, OBJECTIVES[objective], generator)
        num_scored += len(asked.harm)
        chosen, answers = _chosen(asked, tracked, KEPT if is_last else width, budget.floor, generator)
        beam = _kept(beam, asked, chosen, answers, followed, tracked)
        widths.append(len(chosen))
        spent, left = time.monotonic() - began, budget.rounds - number - 1
        if left and spent * (1 + left / (number + 1)) > budget.seconds:
            affordable = (budget.seconds - spent) / left / (spent / (number + 1))
            width = max(1, int(width * max(0.0, affordable)))
    assert asked is not None
    seconds = time.monotonic() - began
    sessions = told_of(stream, witnessed(game, beam.actions, beam.shown, beam.items, budget.spacing))
    fair = sessions_of(source, commands=length, spacing=budget.spacing, rows=RANDOM_ROWS)
    measure = OBJECTIVES[objective]
    return Attack(
        name=predictor.name,
        objective=objective,
        budget=budget,
        sessions=sessions,
        harm=measure(sessions.exact, sessions.laws_of(predictor)),
        surprise=_surprise(sessions),
        fair_sessions=fair,
        fair=measure(fair.exact, fair.laws_of(predictor)),
        fair_surprise=_surprise(fair),
        searched=asked.harm[chosen],
        num_scored=num_scored,
        widths=tuple(widths),
        seconds=seconds,
    )


def attack_subject(subject: Subject, *, times: float = 1.0, objective: str = "belief KL", **given: Any) -> Attack:
    """``attack`` on a run, in its trained spacing, over ``times`` its trained number of commands; ``given``: fields of
    the budget.
    """
    commands, spacing = subject.trained
    given = {"spacing": spacing, "rounds": max(1, round(commands * times / spacing)), **given}
    return attack(subject.predictor, subject.source, Budget(**given), objective=objective)


def attack_results(found: Attack, others: Sequence[Predictor] = (), **named: Any) -> list[Result]:
    """At the last question and at each (``at``: commands): the ``adversary``'s harm (the worst session's), the fair
    sessions' mean and worst, surprise per answer; and ``others`` on the worst session, as rows of their own.
    """
    spacing, stream = found.budget.spacing, found.sessions.stream
    unit = "nats" if found.objective == "belief KL" else "share"
    last, by_question = f"{found.objective} under attack", f"{found.objective} under attack, by question"
    where: dict[str, Any] = {"commands": found.sessions.commands, "spacing": spacing, "task": stream.task.name}
    who = named or {"model": found.name}
    hard: dict[str, Any] = {**where, **who, "variant": "adversary", "split": "searched"}
    fair: dict[str, Any] = {**where, **who, "variant": "fair sessions", "split": found.fair_sessions.stream.split}
    worst = {**fair, "variant": "worst fair session", "count": len(found.fair)}
    rows = [
        Result(metric=last, value=float(found.harm[0, -1]), unit=unit, count=1, **hard),
        measured(last, found.fair[:, [-1]], unit=unit, **fair),
        Result(metric=last, value=float(found.fair[:, -1].max()), unit=unit, **worst),
        measured("surprise of an answer", found.surprise[:1], unit="nats", **hard),
        measured("surprise of an answer", found.fair_surprise, unit="nats", **fair),
    ]
    for number, value in enumerate(found.harm[0]):
        at = float((number + 1) * spacing)
        rows.append(Result(metric=by_question, value=float(value), unit=unit, at=at, count=1, **hard))
        rows.append(measured(by_question, found.fair[:, [number]], unit=unit, at=at, **fair))
    for other in others:
        harm = found.harm_of(other)[0]
        told: dict[str, Any] = {**where, "model": other.name, "variant": f"adversary of {found.name}", "unit": unit}
        rows.append(Result(metric=last, value=float(harm[-1]), count=1, **told))
        for number, value in enumerate(harm):
            at = float((number + 1) * spacing)
            rows.append(Result(metric=by_question, value=float(value), count=1, at=at, **told))
    return rows


def lead(found: Attack) -> tuple[float, float, float]:
    """(by how much the adversary's last harm is above the fair sessions' mean, its 95% interval over fair sessions)."""
    low, high = interval(found.harm[0, -1] - found.fair[:, -1])
    return float((found.harm[0, -1] - found.fair[:, -1]).mean()), low, high


def _continued(
    beam: _Beam,
    followed: Follower,
    tracked: BeliefFollower,
    game: Game,
    budget: Budget,
    measure: Callable[[Floats, Floats], Floats],
    generator: np.random.Generator,
) -> _Asked:
    """Every branch with its blocks of commands, and every question after each."""
    size, count = len(beam.actions), len(game.actions)
    if count**budget.spacing <= budget.blocks:
        every = np.stack(np.unravel_index(np.arange(count**budget.spacing), (count,) * budget.spacing), axis=1)
        blocks = np.tile(every, (size, 1))
    else:
        blocks = generator.integers(count, size=(size * budget.blocks, budget.spacing))
    parents = np.repeat(np.arange(size), len(blocks) // size)
    after = followed.act(followed.take(beam.model, parents), blocks)
    exactly = tracked.act(tracked.take(beam.exact, parents), blocks)
    num_variables = len(game.variables)
    rows = np.repeat(np.arange(len(blocks)), num_variables)
    variables = np.tile(np.arange(num_variables), len(blocks))
    model, told = followed.ask(followed.take(after, rows), variables)
    exact, laws = tracked.ask(tracked.take(exactly, rows), variables)
    return _Asked(
        parents=parents[rows],
        blocks=blocks[rows],
        variables=variables,
        laws=laws,
        harm=measure(laws, told),
        model=model,
        exact=exact,
    )


def _chosen(
    asked: _Asked, tracked: BeliefFollower, width: int, floor: float, generator: np.random.Generator
) -> tuple[Ints, Ints]:
    """(continuations, answers) that are kept: the worst, no two of which harm alike and lead to one belief, and no more
    than a quarter of them from one branch.
    """
    rows, items = np.nonzero(asked.laws >= floor)
    order = generator.permutation(len(rows))
    order = order[np.argsort(-asked.harm[rows[order]], kind="stable")][: 64 * width]
    rows, items = rows[order], items[order]
    beliefs = tracked.see(tracked.take(asked.exact, rows), items)[0]
    most = max(1, width // 4) if len(set(asked.parents.tolist())) > 1 else width
    kept: list[int] = []
    seen: set[Any] = set()
    used: dict[int, int] = {}
    for place, (row, item) in enumerate(zip(rows.tolist(), items.tolist(), strict=True)):
        parent = int(asked.parents[row])
        like = (
            round(float(asked.harm[row]), 6),
            int(asked.variables[row]),
            item,
            np.round(beliefs[place], 6).tobytes(),
        )
        if like in seen or used.get(parent, 0) >= most:
            continue
        seen.add(like)
        used[parent] = used.get(parent, 0) + 1
        kept.append(place)
        if len(kept) == width:
            break
    return rows[kept], items[kept]


def _kept(
    beam: _Beam, asked: _Asked, chosen: Ints, answers: Ints, followed: Follower, tracked: BeliefFollower
) -> _Beam:
    parents = asked.parents[chosen]
    return _Beam(
        actions=np.concatenate([beam.actions[parents], asked.blocks[chosen]], axis=1),
        shown=np.concatenate([beam.shown[parents], asked.variables[chosen, None]], axis=1),
        items=np.concatenate([beam.items[parents], answers[:, None]], axis=1),
        model=followed.see(followed.take(asked.model, chosen), answers),
        exact=tracked.see(tracked.take(asked.exact, chosen), answers),
    )


def _scored(exact: Floats, law: Floats, name: str) -> Floats:
    """One of the scores, [...] for laws [..., labels]: which label was shown doesn't matter to it."""
    labels = exact.shape[-1]
    told = score(exact.reshape(-1, 1, labels), law.reshape(-1, 1, labels), np.zeros((law[..., 0].size, 1), dtype=int))
    return np.asarray(getattr(told, name)).reshape(exact.shape[:-1])


def _surprise(sessions: Sessions) -> Floats:
    told = np.take_along_axis(sessions.exact, sessions.shown[..., None], axis=2)[..., 0]
    return np.asarray(-np.log(told))
