"""Hooks read what the model computes, change only what they say, and leave nothing behind; the rescale is a switch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.hooks import intervening, recording, scaling_beta, states_along, zeroing_head  # noqa: E402
from trace_mine.train.models.registry import MODELS, load_model, make_model  # noqa: E402
from trace_mine.train.rescaling import calibrate, rescaled  # noqa: E402

torch.set_num_threads(1)
MATRIX = ("delta_net", "gated_delta_net", "delta_product", "kimi_delta", "mamba2")


def made(name, **keys):
    torch.manual_seed(0)
    return make_model(name, vocab_size=11, hidden_size=32, num_hidden_layers=2, embedding_range=0.5, **keys)


def tokens(length, rows=3, seed=1):
    return torch.randint(0, 11, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
def test_every_point_of_every_model_is_read_and_changes_nothing(name):
    model, ids = made(name), tokens(20)
    before = model(ids).logits
    points = ("residual", *model.blocks[0].mixing.points)
    with recording(model, points) as readings:
        assert torch.equal(model(ids).logits, before)
    assert {key: len(kept) for key, kept in readings.items()} == {(n, point): 1 for n in (0, 1) for point in points}
    assert readings[1, "residual"][0].shape == (3, 20, 32)
    assert torch.equal(model(ids).logits, before)
    assert all(not any(block.mixing.taps.values()) for block in model.blocks)


def test_beta_is_in_its_range_and_scaling_one_head_leaves_the_other():
    model, ids = made("delta_net", allow_neg_eigval=True), tokens(20)
    with recording(model, ["beta"]) as readings:
        model(ids)
    beta = readings[0, "beta"][0]
    assert beta.shape == (3, 20, 2) and (beta > 0).all() and (beta < 2).all() and (beta > 1).any()
    with scaling_beta(model, 0, 1, 0.5), recording(model, ["beta"], [0]) as scaled:
        changed = model(ids).logits
    assert torch.equal(scaled[0, "beta"][0][..., 0], beta[..., 0])
    torch.testing.assert_close(scaled[0, "beta"][0][..., 1], beta[..., 1] / 2)
    assert not torch.allclose(changed, model(ids).logits)


@pytest.mark.parametrize("name", ["delta_net", "transformer", "mamba2"])
def test_a_zeroed_head_says_nothing(name):
    model, ids = made(name), tokens(12)
    with zeroing_head(model, 1, 0), recording(model, ["heads"], [1]) as readings:
        model(ids)
    heads = readings[1, "heads"][0]
    assert (heads[..., 0, :] == 0).all() and (heads[..., 1, :] != 0).any()


def test_states_are_those_of_the_carry():
    model, ids = made("delta_net"), tokens(32)
    states = states_along(model, ids, 8)
    carry = model(ids[:, :24], return_carry=True).carry
    torch.testing.assert_close(states[1][:, 2], carry[1]["state"])
    assert states_along(made("lstm"), ids, 8) == {}


def test_wrong_places_are_refused():
    model = made("delta_net")
    for call, told in (
        (lambda: zeroing_head(model, 0, 5), "head from 0 to 1"),
        (lambda: zeroing_head(model, 4, 0), "layer from 0 to 1"),
        (lambda: intervening(model, 0, "gamma", print).__enter__(), "a point of DeltaNet"),
    ):
        with pytest.raises(ValueError, match=told):
            call()


@pytest.mark.parametrize("name", MATRIX)
def test_rescaled_states_have_the_calibrated_norm_and_the_switch_goes_off(name, tmp_path):
    model = made(name)
    norms = calibrate(model, tokens(96, rows=8, seed=2))
    ids = tokens(160)
    before = model(ids).logits
    with rescaled(model):
        told = model(ids).logits
        states = states_along(model, ids, 16)
        stepped = torch.stack(list(step_by_step(model, ids)), 1)
    assert torch.equal(before, model(ids).logits)
    # after step 48 (the third block) the rescale is due, and only from then on rows differ
    assert torch.allclose(before[:, :48], told[:, :48], atol=1e-5) and not torch.allclose(before[:, 64:], told[:, 64:])
    torch.testing.assert_close(stepped, told, atol=1e-4, rtol=1e-4)
    for layer in (0, 1):
        held = torch.linalg.vector_norm(states[layer][:, 2:], dim=(-2, -1))
        wanted = torch.tensor(norms[str(layer)]["mean"])
        torch.testing.assert_close(held, wanted.expand_as(held), rtol=1e-4, atol=1e-5)
    model.save_pretrained(tmp_path)
    assert load_model(tmp_path).config.state_norms == norms


def step_by_step(model, ids):
    carry = None
    for t in range(ids.shape[1]):
        logits, carry = model.step(ids[:, t], carry)
        yield logits


def test_what_can_not_be_calibrated_is_refused():
    for name in ("lstm", "transformer", "renormed_delta_net"):
        with pytest.raises(ValueError, match="matrix state"):
            calibrate(made(name), tokens(96))
    with pytest.raises(ValueError, match="at least 48"):
        calibrate(made("delta_net"), tokens(20))
    with pytest.raises(ValueError, match="calibrated model"), rescaled(made("delta_net")):
        pass


def test_a_factor_is_the_one_given_and_an_exception_leaves_no_tap():
    model, ids = made("delta_net", allow_neg_eigval=True), tokens(12)
    with recording(model, ["beta"]) as readings:
        model(ids)
    with scaling_beta(model, 1, 0, 0.25), recording(model, ["beta"], [1]) as scaled:
        model(ids)
    # layer 0 is untouched, so that layer 1 sees what it saw
    torch.testing.assert_close(scaled[1, "beta"][0][..., 0], readings[1, "beta"][0][..., 0] / 4)
    assert torch.equal(scaled[1, "beta"][0][..., 1], readings[1, "beta"][0][..., 1])
    with pytest.raises(KeyError), recording(model, ["beta", "residual"]), zeroing_head(model, 0, 0):
        raise KeyError
    assert all(not any(block.mixing.taps.values()) and not any(block.taps.values()) for block in model.blocks)


def test_states_along_end_with_the_last_whole_block_and_go_on_from_the_one_before():
    model, ids = made("delta_net"), tokens(35)
    states = states_along(model, ids, 8)
    assert {layer: each.shape[1] for layer, each in states.items()} == {0: 4, 1: 4}
    assert states_along(model, ids[:, :32], 8)[0].shape[1] == 4
    carry = model(ids[:, :32], return_carry=True).carry
    torch.testing.assert_close(states[0][:, 3], carry[0]["state"])
    with pytest.raises(ValueError, match="every >= 1"):
        states_along(model, ids, 0)


def test_calibration_is_of_states_from_the_step_on():
    model, ids = made("delta_net"), tokens(96, rows=6, seed=3)
    norms = calibrate(model, ids, from_step=48)
    for layer, states in states_along(model, ids, 16).items():
        wanted = torch.linalg.vector_norm(states[:, 2:], dim=(-2, -1)).flatten(0, 1)  # after 48, 64, 80 and 96
        assert norms[str(layer)]["mean"] == pytest.approx(wanted.mean(0).tolist())
        assert norms[str(layer)]["high"] == pytest.approx(wanted.quantile(0.95, dim=0).tolist())


def test_clamping_brings_down_to_the_high_norm_alone():
    model, ids = made("delta_net"), tokens(96)
    calibrate(model, ids)
    free = states_along(model, ids, 16)
    norms = torch.linalg.vector_norm(free[0][:, 2], dim=(-2, -1))  # [B, H] after step 48, the first rescale
    low, high = float(norms.min()) / 2, float(norms.mean())
    model.config.state_norms = {str(n): {"mean": [low] * 2, "high": [high] * 2} for n in (0, 1)}
    with rescaled(model, mode="clamp"):
        held = torch.linalg.vector_norm(states_along(model, ids, 16)[0][:, 2], dim=(-2, -1))
    torch.testing.assert_close(held, norms.clamp(max=high))
    assert (norms > high).any() and (norms < high).any()


@pytest.mark.parametrize(("every", "skip", "first"), [(16, 0, 1), (16, 4, 5), (32, 1, 4)])
def test_the_first_rescale_comes_after_so_many_blocks(every, skip, first):
    model, ids = made("delta_net"), tokens(112)
    norms = calibrate(model, ids)
    free = states_along(model, ids, 16)
    with rescaled(model, every=every, skip=skip):
        held = states_along(model, ids, 16)
    torch.testing.assert_close(held[0][:, : first - 1], free[0][:, : first - 1])
    after = torch.linalg.vector_norm(held[0][:, first - 1], dim=(-2, -1))
    torch.testing.assert_close(after, torch.tensor(norms["0"]["mean"]).expand_as(after), rtol=1e-4, atol=1e-5)
