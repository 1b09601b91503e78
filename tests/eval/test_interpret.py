"""The head that was planted is the one found; searches find planted blind spots, and nothing against the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from corpus.synthetic.game import Floats, Plays
from corpus.synthetic.stream import Batch, TokenStream
from eval.adversary import search
from eval.interpret import costs, described, has_beta, heads_of, told_costs, tracking_head
from eval.predictors import ExactFilter, ModelPredictor
from eval.sessions import sessions_of
from eval.subjects import Subject


@dataclass(frozen=True)
class Planted:
    """Predicts by the truth where the given head's output is as it is in the model, and by chance elsewhere."""

    subject: Subject
    head: int
    name: str = "planted"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        seen = []
        mixer = self.subject.model.blocks[0].mixing
        taps = mixer.taps.setdefault("heads", [])
        reader = lambda out: seen.append(out[..., self.head, :].abs().sum().item())  # noqa: E731
        taps.append(reader)
        betas = []
        mixer.taps.setdefault("beta", []).append(lambda beta: betas.append(beta[..., self.head].max().item()))
        try:
            ModelPredictor(name="x", model=self.subject.model).laws(stream, plays, batch)
        finally:
            taps.remove(reader)
            mixer.taps["beta"].pop()
        law = ExactFilter().laws(stream, plays, batch)
        works = min(seen) > 0 and max(betas) > 1.0
        return law if works else np.full_like(law, 1 / law.shape[-1])


@pytest.mark.parametrize("planted", [0, 1])
def test_the_planted_head_is_the_one_found(planted: int, tiny_subject: Callable, monkeypatch) -> None:
    subject = tiny_subject("contrast", "delta_net")
    with torch.no_grad():  # beta of every head is spread around 1.5: halved, none is above 1
        subject.model.blocks[0].mixing.b_proj.weight.mul_(0.01)
    monkeypatch.setattr(Subject, "predictor", property(lambda self: Planted(self, planted)))
    monkeypatch.setattr(subject.model.blocks[0].mixing.config, "allow_neg_eigval", True)
    sessions = sessions_of(subject.source, commands=16, spacing=2, rows=8)
    shifted = subject.model.blocks[0].mixing.taps.setdefault("beta", [])
    shifted.append(lambda beta: beta + 0.5)
    found = costs(subject, sessions)
    shifted.pop()
    for kind in ("beta halved", "head silenced"):
        best = tracking_head(found, kind)
        assert (best.layer, best.head) == (0, planted)
        assert best.before == 1.0 and best.after == pytest.approx(1 / 3)
        assert all(c.lost.mean() == 0 for c in found if c.kind == kind and c.head != planted)
    rows = told_costs(subject, found)
    lost = [r for r in rows if r.metric == "accuracy lost" and r.place == f"layer 0 head {planted}"]
    assert all(r.low <= r.value <= r.high for r in lost)


@pytest.mark.parametrize("model", ["delta_net", "renormed_delta_net", "gated_delta_net", "delta_product"])
def test_every_model_of_the_delta_family_is_read(model: str, tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", model)
    sessions = sessions_of(subject.source, commands=16, spacing=2, rows=2)
    heads = heads_of(subject, sessions)
    assert [head.head for head in heads] == [0, 1]
    for head in heads:
        assert ((head.beta > 0) & (head.beta < 2)).all()
        assert head.spectrum.sum() == pytest.approx(1.0)
        assert 1 <= head.components(0.9) <= head.components(0.99) <= len(head.spectrum)
    assert {r.metric for r in described(subject, heads)} == {"beta percentile", "beta above 1.9", "key components"}
    assert len(costs(subject, sessions)) == 4


def test_models_without_beta_are_told(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "transformer")
    assert not has_beta(subject)
    sessions = sessions_of(subject.source, commands=4, spacing=2, rows=2)
    with pytest.raises(ValueError, match="expected a model of the delta family, got transformer"):
        heads_of(subject, sessions)
    assert {cost.kind for cost in costs(subject, sessions)} == {"head silenced"}
    with pytest.raises(ValueError, match="no such point"):
        tracking_head(costs(subject, sessions))


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
    stream = tiny_subject("belief", "lstm").source.stream(48, 2, "test")
    assert search(ExactFilter(), stream, reveals=4, spacing=2, width=6).worst.max() < 1e-9


@pytest.mark.parametrize("pair", [(2, 0), (1, 1)])
def test_a_planted_blind_spot_is_found(pair: tuple[int, int], tiny_subject: Callable) -> None:
    stream = tiny_subject("belief", "lstm").source.stream(48, 2, "test")
    found = search(Blind(pair), stream, reveals=3, spacing=2, width=8)
    assert tuple(found.plays.actions[0, -2:]) == pair
    assert found.worst[-1] > 0.3
    assert (np.diff(found.kl) <= 0).all()
    # what was found is a session that the game can give, and its score is no accident of the search
    law = ExactFilter().laws(stream, found.plays, stream.batch_of(found.plays))
    assert np.isfinite(law).all() and np.allclose(law.sum(-1), 1)


def test_searches_refuse_other_games(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "lstm", "task.values=repeated")
    with pytest.raises(ValueError, match="expected distinct values"):
        search(ExactFilter(), subject.source.stream(8, 2, "test"), reveals=1, spacing=2)
