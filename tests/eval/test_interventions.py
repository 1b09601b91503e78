"""A planted state-tracking head is the one that is found, and changing another does nothing."""

import numpy as np
import pytest
import torch

from eval.interventions import CAPPED, CHANGES, HALVED, REMOVED, effect_results, effects, found_results, tracking_head
from eval.planted import planted_subject
from eval.sessions import sessions_of
from eval.subjects import Subject
from train.batches import SyntheticSource
from train.models.registry import make_model
from train.settings import Settings, StageSettings

torch.set_num_threads(1)


@pytest.mark.parametrize("head", [0, 1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_the_planted_head_is_the_one_that_is_found(head: int, change: str) -> None:
    subject = planted_subject(n=3, num_heads=3, head=head)
    sessions = sessions_of(subject.source, commands=64, spacing=2, rows=32)
    found = effects(subject, sessions, [change])
    told = tracking_head(found, change)
    assert (told.layer, told.head) == (0, head)
    assert told.is_clear
    assert told.low > 0.5  # from 1 to about chance, 1/3
    for effect in found:
        assert (effect.accuracy_before == 1.0).all()
        if effect.place not in ("all heads", f"layer 0, head {head}"):
            assert (effect.accuracy == 1.0).all()
            assert effect.cost.max() == 0


def test_one_head_of_one_needs_no_rival() -> None:
    subject = planted_subject(n=5, num_heads=1)
    sessions = sessions_of(subject.source, commands=32, spacing=2, rows=16)
    found = effects(subject, sessions)
    assert {effect.place for effect in found} == {"layer 0, head 0"}
    told = tracking_head(found)
    assert told.is_clear
    assert np.isnan(told.ahead)


def test_capping_a_head_that_never_reflects_changes_nothing() -> None:
    # a model that only remembers its start: overwriting (beta 1) is all it does
    subject = planted_subject(n=3, num_heads=2, head=0)
    mixer = subject.model.blocks[0].mixing
    with torch.no_grad():
        weight = mixer.b_proj.weight
        opens = [n for n, w in enumerate(subject.source.vocabulary) if w.endswith(" = ")]
        others = [n for n in range(weight.shape[1]) if n not in opens]
        weight[0, others] = -weight[0].abs().max()
        weight[1] = -weight[0].abs().max()
    sessions = sessions_of(subject.source, commands=8, spacing=2, rows=32)
    found = {effect.change: effect for effect in effects(subject, sessions) if effect.place == "layer 0, head 0"}
    assert found[CAPPED].cost.max() == 0
    assert np.abs(found[CAPPED].kl - found[CAPPED].kl_before).max() < 1e-5
    assert np.abs(found[REMOVED].kl - found[REMOVED].kl_before).max() > 0.1
    assert not tracking_head(list(found.values()), CAPPED).is_clear


def test_rows_say_what_was_changed_and_what_it_cost() -> None:
    subject = planted_subject(n=3, num_heads=2, head=1)
    sessions = sessions_of(subject.source, commands=32, spacing=2, rows=16)
    found = effects(subject, sessions, [HALVED])
    rows = effect_results(found, sessions, **subject.named)
    told = {(r.metric, r.variant, r.place): r.value for r in rows}
    assert told["accuracy", "", ""] == 1.0
    lost = told["accuracy lost", HALVED, "layer 0, head 1"]
    assert lost == pytest.approx(1.0 - told["accuracy", HALVED, "layer 0, head 1"])
    assert told["accuracy lost", HALVED, "layer 0, head 0"] == 0
    assert told["accuracy lost", HALVED, "all heads"] > 0.4
    cost, ahead = found_results(tracking_head(found), sessions, **subject.named)
    assert cost.place == "layer 0, head 1"
    assert cost.value == pytest.approx(lost)
    assert ahead.low > 0
    assert effect_results([], sessions) == []


def random_subject(model: str, **keys: object) -> Subject:
    torch.manual_seed(0)
    stages = (StageSettings(steps=1, commands=(8,), spacings=(2,)),)
    parameters = {"n": 3, "p": 0.1, "style": "echo"}
    settings = Settings(recipe="t", model=model, task_parameters=parameters, per="command", stages=stages)
    source = SyntheticSource(settings)
    made = make_model(model, vocab_size=len(source.vocabulary), hidden_size=32, num_heads=2, **keys).eval()
    return Subject(run="r", label=model, seed=0, settings=settings, model=made, source=source)


@pytest.mark.parametrize(
    ("model", "keys", "changes"),
    [
        ("delta_product", {"head_dim": 16, "num_householder": 2, "allow_neg_eigval": True}, set(CHANGES)),
        ("gated_delta_net", {"head_dim": 16}, set(CHANGES)),
        ("renormed_delta_net", {}, set(CHANGES)),
        ("mamba2", {"head_dim": 16, "state_size": 16}, {REMOVED}),
        ("transformer", {}, {REMOVED}),
    ],
)
def test_every_model_with_heads_can_be_changed_and_is_itself_again(model: str, keys: dict, changes: set) -> None:
    subject = random_subject(model, **keys)
    sessions = sessions_of(subject.source, commands=8, spacing=2, rows=4)
    before = sessions.laws_of(subject.predictor)
    found = effects(subject, sessions)
    assert {effect.change for effect in found} == changes
    assert all(effect.is_hidden and np.isfinite(effect.cost).all() for effect in found)
    assert np.array_equal(sessions.laws_of(subject.predictor), before)
    removed = next(effect for effect in found if effect.change == REMOVED and effect.place == "all heads")
    assert np.abs(removed.kl - removed.kl_before).max() > 0


def test_what_cannot_be_changed_is_refused() -> None:
    subject = random_subject("lstm")
    sessions = sessions_of(subject.source, commands=8, spacing=2, rows=2)
    with pytest.raises(ValueError, match="with heads"):
        effects(subject, sessions)
    subject = random_subject("mamba2", head_dim=16, state_size=16)
    with pytest.raises(ValueError, match="with beta"):
        effects(subject, sessions, [HALVED])
    with pytest.raises(ValueError, match="a change among"):
        effects(subject, sessions, ["beta doubled"])
    with pytest.raises(ValueError, match="effects of"):
        tracking_head([], HALVED)
