"""Every model of ours goes through the path for local models, also where transformers has another of its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trace_mine.eval.hf import hf_predictor
from trace_mine.train.measure.sessions import sessions_of
from trace_mine.train.models.registry import MODELS


@pytest.mark.parametrize("model", MODELS)
def test_each_of_our_models_is_itself(model: str, tiny_subject: Callable, tiny_run: Callable) -> None:
    subject = tiny_subject("belief", model)
    opened = hf_predictor(tiny_run("belief", model))
    assert type(opened.model) is MODELS[model]
    sessions = sessions_of(subject.batches, commands=12, spacing=2, rows=2)
    assert np.abs(sessions.laws_of(opened) - sessions.laws_of(subject.predictor)).max() < 1e-5


def test_what_has_no_context_is_not_held_to_one(tiny_subject: Callable, tiny_run: Callable) -> None:
    subject = tiny_subject("belief", "lstm")
    sessions = sessions_of(subject.batches, commands=1_400, spacing=200, rows=1)
    opened = hf_predictor(tiny_run("belief", "lstm"))
    opened.model.config.max_position_embeddings = 64
    assert np.abs(sessions.laws_of(opened) - sessions.laws_of(subject.predictor)).max() < 1e-5
