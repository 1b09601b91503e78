"""The head that was planted is the one found; searches find planted blind spots, and nothing against the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import torch

from planted import planted_subject
from trace_mine.corpus.synthetic.game import Floats, Plays
from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.eval.adversary import search
from trace_mine.eval.interpret import (
    SCALES,
    Cost,
    Head,
    cost_results,
    has_beta,
    head_results,
    heads_of,
    intervention_costs,
    scale_curve,
    tracking_head,
)
from trace_mine.train.hooks import recording
from trace_mine.train.measure.predictors import ExactFilter, Uniform
from trace_mine.train.measure.sessions import sessions_of


def best_of(costs: list[Cost], head: int) -> Cost:
    return next(cost for cost in costs if (cost.kind, cost.head) == ("beta halved", head))


@pytest.mark.parametrize("head", [0, 1, 2])
def test_the_planted_head_is_the_one_found(head: int) -> None:
    subject = planted_subject(n=3, num_heads=3, head=head)
    sessions = sessions_of(subject.batches, commands=64, spacing=2, rows=8)
    found = intervention_costs(subject, sessions)
    assert {cost.kind for cost in found} == {"beta halved", "beta capped", "head silenced"}
    for kind in ("beta halved", "beta capped", "head silenced"):
        best = tracking_head(found, kind)
        assert (best.layer, best.head) == (0, head)
        assert best.before == 1.0
        assert best.after < 0.6
        others = [cost.lost for cost in found if cost.kind == kind and cost.head != head]
        assert len(others) == 2 and all((lost == 0).all() for lost in others)
    lost = [
        r for r in cost_results(subject, found) if r.metric == "accuracy lost" and r.place == f"layer 0 head {head}"
    ]
    assert len(lost) == 3 and all(r.low <= r.value <= r.high for r in lost)
    curves = [[r.value for r in scale_curve(subject, sessions, 0, each)] for each in range(3)]
    assert [len(curve) for curve in curves] == [len(SCALES)] * 3
    assert curves[head][0] == 1.0 and curves[head][-1] == best_of(found, head).after, "from as it is to halved"
    assert all(set(curve) == {1.0} for each, curve in enumerate(curves) if each != head)
    near = {each.head: float((each.beta > 1.9).mean()) for each in heads_of(subject, sessions)}
    assert max(near, key=lambda key: near[key]) == head


@pytest.mark.parametrize("model", ["delta_net", "renormed_delta_net", "gated_delta_net", "delta_product", "kimi_delta"])
def test_every_model_of_the_delta_family_is_read(model: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model)
    sessions = sessions_of(subject.batches, commands=16, spacing=2, rows=2)
    heads = heads_of(subject, sessions)
    assert [head.head for head in heads] == [0, 1]
    for head in heads:
        assert ((head.beta > 0) & (head.beta < 2)).all()
        assert head.spectrum.sum() == pytest.approx(1.0)
        assert 1 <= head.components(0.9) <= head.components(0.99) <= len(head.spectrum)
    assert {r.metric for r in head_results(subject, heads)} == {"beta percentile", "beta above 1.9", "key components"}
    assert len(intervention_costs(subject, sessions)) == 6


def test_models_without_beta_are_told(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "transformer")
    assert not has_beta(subject)
    sessions = sessions_of(subject.batches, commands=4, spacing=2, rows=2)
    with pytest.raises(ValueError, match="expected a model of the delta family, got transformer"):
        heads_of(subject, sessions)
    assert {cost.kind for cost in intervention_costs(subject, sessions)} == {"head silenced"}
    with pytest.raises(ValueError, match="no such point"):
        tracking_head(intervention_costs(subject, sessions))


@dataclass(frozen=True)
class Blind:
    """The truth, but where the last two actions are these: there it says chance."""

    pair: tuple[int, int]
    name: str = "blind"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        law = ExactFilter().laws(stream, plays, batch)
        met = (plays.actions[:, 0::2] == self.pair[0]) & (plays.actions[:, 1::2] == self.pair[1])
        law[met[:, : law.shape[1]]] = 1 / law.shape[-1]
        return law


def test_nothing_hurts_the_exact_filter(tiny_subject: Callable) -> None:
    stream = tiny_subject("belief", "lstm").batches.stream(48, 2, "test")
    assert search(ExactFilter(), stream, reveals=4, spacing=2, width=6).worst.max() < 1e-9


@pytest.mark.parametrize("pair", [(2, 0), (1, 1)])
def test_a_planted_blind_spot_is_found(pair: tuple[int, int], tiny_subject: Callable) -> None:
    stream = tiny_subject("belief", "lstm").batches.stream(48, 2, "test")
    found = search(Blind(pair), stream, reveals=3, spacing=2, width=8)
    assert tuple(found.plays.actions[0, -2:]) == pair
    assert found.worst[-1] > 0.3
    assert (np.diff(found.kl) <= 0).all()
    # what was found is a session that the game can give, and its score is no accident of the search
    law = ExactFilter().laws(stream, found.plays, stream.batch_of(found.plays))
    assert np.isfinite(law).all() and np.allclose(law.sum(-1), 1)


@pytest.mark.parametrize("floor", [0.05, 0.2])
def test_a_search_follows_every_answer_that_is_probable_enough_and_no_other(
    floor: float, tiny_subject: Callable
) -> None:
    stream = tiny_subject("belief", "lstm").batches.stream(48, 2, "test")
    game = stream.game
    # so wide that nothing is dropped: sessions of a command, a question and an answer, twice
    plays = search(Uniform(), stream, reveals=2, spacing=1, width=10_000, floor=floor).plays
    answers = game.holds[plays.states[:, 0], plays.shown[:, 0]].tolist()
    followed = list(zip(plays.actions.tolist(), plays.shown.tolist(), answers, strict=True))
    pairs = list(product(range(len(game.actions)), repeat=2)), list(product(range(len(game.variables)), repeat=2))
    expected = []
    for actions, variables in product(*pairs):
        # by hand: a maybe-swap from a start that is known leaves the variable as it was, or moves it
        laws = dict.fromkeys(range(len(game.items)), 0.0)
        for state, chance in ((game.moves[actions[0], game.start], 0.1), (game.start, 0.9)):
            laws[int(game.holds[state, variables[0]])] += chance
        expected += [(list(actions), list(variables), item) for item, p in laws.items() if p >= floor]
    assert sorted(followed) == sorted(expected)
    assert 0.1 in game.chances and any(p == 0 for p in laws.values()), "some answers can't be"


@pytest.mark.parametrize("limits", [{"floor": 0.0}, {"floor": 0.5}, {"reveals": 0}, {"width": 0}])
def test_a_search_refuses_limits_under_which_it_would_follow_nothing_or_the_impossible(
    limits: dict, tiny_subject: Callable
) -> None:
    stream = tiny_subject("belief", "lstm").batches.stream(48, 2, "test")
    with pytest.raises(ValueError, match=r"expected at least one reveal|expected 0 < floor <= 1/3"):
        search(ExactFilter(), stream, **{"reveals": 1, "spacing": 2, **limits})


def test_searches_refuse_other_games(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "lstm", "task.values=repeated")
    with pytest.raises(ValueError, match="expected distinct values"):
        search(ExactFilter(), subject.batches.stream(8, 2, "test"), reveals=1, spacing=2)


def test_components_are_as_many_as_have_the_share_of_variance() -> None:
    head = Head(layer=0, head=0, beta=np.ones(1), spectrum=np.array([0.5, 0.4, 0.1]))
    assert [head.components(share) for share in (0.4, 0.5, 0.51, 0.9, 0.95, 1.0)] == [1, 1, 2, 2, 3, 3]


def test_spectra_are_of_the_keys_variance_about_their_mean(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "delta_net")
    sessions = sessions_of(subject.task_batches, commands=16, spacing=2, rows=3)
    ids = torch.from_numpy(sessions.batch.tokens[:, : int(sessions.batch.lengths.min())])
    with recording(subject.model, ["keys"], [0]) as readings, torch.no_grad():
        subject.model(input_ids=ids)
    for head in heads_of(subject, sessions):
        keys = readings[0, "keys"][0][..., head.head, :].double().flatten(0, 1).numpy()
        variances = np.sort(np.linalg.eigvalsh(np.cov(keys.T)))[::-1]
        np.testing.assert_allclose(head.spectrum, variances / variances.sum(), atol=1e-9)
