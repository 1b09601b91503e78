"""Token by token: losses, hits, copies, and a model that is left in the mode that it was in."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from trace_mine.tokenizer.encoded import Encoded  # noqa: E402
from trace_mine.train.measure.tokens import copied_values, evaluating, token_hits, token_losses  # noqa: E402


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_evaluated_without_dropout_and_gradients_and_then_as_it_was(training: bool) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)).train(training)
    with evaluating(model) as device:
        assert device == torch.device("cpu") and not model[1].training and not torch.is_grad_enabled()
    assert model.training == model[1].training == training and torch.is_grad_enabled()
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.training == training


def test_losses_are_nats_and_hits_the_likeliest_token() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]).log()[None]
    targets = torch.tensor([[2, 1]])
    assert token_losses(logits, targets)[0].tolist() == pytest.approx([-math.log(0.7), -math.log(0.25)])
    assert token_hits(logits, targets).tolist() == [[True, False]]


def test_a_copy_is_right_where_the_value_before_had_the_same_token_there() -> None:
    row = Encoded(
        ids=np.array([9, 1, 2, 9, 1, 3, 9, 1, 3, 4], dtype=np.int32),
        roles=np.array([0, 5, 5, 0, 5, 5, 0, 5, 5, 5], dtype=np.int8),
        steps=np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2], dtype=np.int32),
    )
    # values 1 2, 1 3, 1 3 4: the first has nothing before it, 4 has no token at its place
    assert copied_values(row, 5, 100).tolist() == [3, 7]
    assert copied_values(row, 5, 6).tolist() == [1, 4]
