"""Drift and retention: variants are on where they are asked for, and baselines have their closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from trace_mine.eval.drift import (
    RESCALED,
    baselines_along,
    baselines_holding,
    drift,
    holding,
    memory_needed,
    norms,
    on_device,
    variant_of,
    variants,
)
from trace_mine.eval.grid import extrapolation
from trace_mine.train.hooks import states_along
from trace_mine.train.measure.predictors import ModelPredictor
from trace_mine.train.measure.retention import can_be_held, retention
from trace_mine.train.measure.sessions import sessions_of

SHORT = "stages=[{steps: 6, commands: [24], spacings: [2]}]"


def test_a_variant_is_on_while_inside_and_only_then(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT)
    mixers = [block.mixing for block in subject.model.blocks]
    assert variants(subject) == ("", RESCALED) and variants(tiny_subject("belief", "lstm")) == ("",)
    with variant_of(subject, RESCALED):
        assert all(mixer.rescale is not None for mixer in mixers)
    with variant_of(subject, ""):
        assert all(mixer.rescale is None for mixer in mixers)
    with pytest.raises(ValueError, match="expected variant"), variant_of(subject, "nope"):
        pass
    by_variant = [
        {(r.metric, r.times): r.value for r in drift(subject, times=(4,), rows=3, variant=v)} for v in ("", RESCALED)
    ]
    assert by_variant[0].keys() == by_variant[1].keys()
    assert by_variant[0]["belief KL", 4.0] != by_variant[1]["belief KL", 4.0]


def test_what_is_calibrated_on_are_training_sessions(tiny_subject: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT)
    asked = []
    monkeypatch.setattr("trace_mine.eval.drift.calibrate", lambda model, ids: asked.append(ids))
    monkeypatch.setattr(subject.model.config, "state_norms", None)
    with pytest.raises(ValueError, match="calibrated model"), variant_of(subject, RESCALED):
        pass
    batch = subject.task_batches.stream(24, 2, "train").batch(range(64))
    assert torch.equal(asked[0], on_device(subject, batch))


def test_lengths_are_multiples_of_the_trained_one_and_losses_do_not_underflow(
    tiny_subject: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT)
    results = drift(subject, times=(1, 3), rows=3)
    assert {(r.times, r.commands, r.spacing, r.split) for r in results} == {(1.0, 24, 2, "test"), (3.0, 72, 2, "test")}
    monkeypatch.setattr(ModelPredictor, "log_laws", lambda self, stream, batch: np.full((3, 12, 3), -800.0))
    sure = {r.metric: r.value for r in drift(subject, times=(1,), rows=3)}
    assert sure["loss of reveals"] == 800.0


def test_baselines_have_their_known_answers(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT)
    along = {(r.metric, r.model): r.value for r in baselines_along(subject, times=(1,), rows=4)}
    assert along["belief KL", "exact filter"] == 0 and along["accuracy", "chance"] == pytest.approx(1 / 3)
    held = {(r.model, r.at): r.value for r in baselines_holding(subject, holds=(4, 5, 16))}
    assert held == {(m, at): v for at in (4.0, 16.0) for m, v in (("exact filter", 0.0), ("no memory", math.log(3)))}
    needed = memory_needed(subject, (0, 24), rows=4)
    assert needed[0].value > 0.1 and needed[1].value == 0 and [r.at for r in needed] == [0.0, 24.0]
    assert can_be_held(subject.task_batches) and not can_be_held(tiny_subject("contrast", "lstm").task_batches)


def test_an_old_fact_is_asked_for_with_the_variant_on(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT)
    plain, rescaled = (holding(subject, holds=(16, 64, 65), variant=variant) for variant in ("", RESCALED))
    assert [r.commands for r in plain] == [16, 64]
    assert plain[1].value == retention(subject.model, subject.task_batches, hold=64, spacing=2)["kl"]
    assert plain[1].value != rescaled[1].value and rescaled[1].variant == RESCALED


def test_norms_are_of_the_last_layer_with_a_state(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT, "model.num_hidden_layers=2")
    steps, means = norms(subject, times=1, rows=3)
    ids = on_device(subject, subject.task_batches.stream(24, 2, "test").batch(range(3)))
    wanted = torch.linalg.vector_norm(states_along(subject.model, ids, 16)[1], dim=(-2, -1)).mean(dim=(0, 2))
    np.testing.assert_allclose(means, wanted.numpy(), rtol=1e-6)
    assert steps.tolist() == [16.0 * (n + 1) for n in range(len(means))]
    with pytest.raises(ValueError, match="matrix state"):
        norms(tiny_subject("belief", "lstm"), times=1, rows=3)


def test_the_grid_has_every_pair_that_has_a_reveal(tiny_subject: Callable) -> None:
    subject = tiny_subject("belief", "delta_net", SHORT)
    results = extrapolation(subject, (4, 12), (2, 8), rows=3)
    assert {(r.commands, r.spacing, r.times) for r in results} == {(4, 2, 4 / 24), (12, 2, 0.5), (12, 8, 0.5)}
    assert {r.metric for r in results} == {"accuracy", "accuracy of the last reveal"}
    own = [r for r in results if r.run]
    assert len(own) == 6 and len(results) == 36


def test_the_same_sessions_for_everybody(tiny_subject: Callable) -> None:
    batches = tiny_subject("belief", "delta_net", SHORT).task_batches
    test, train = (sessions_of(batches, commands=8, spacing=2, rows=5, split=split) for split in ("test", "train"))
    again = sessions_of(batches, commands=8, spacing=2, rows=9)
    assert np.array_equal(test.plays.actions, again.plays.actions[:5])
    assert not np.array_equal(test.plays.actions, train.plays.actions)
