"""Beta, eigenvalues, decays and keys: a model set by hand has known ones, and every model of the family can be read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eval.interpret import Tokens, beta_results, key_results, key_spaces, tokens_of_sessions, transitions
from eval.planted import planted_subject
from eval.sessions import Sessions, sessions_of
from train.batches import SyntheticSource
from train.models.registry import make_model
from train.settings import Settings, StageSettings

torch.set_num_threads(1)
FAMILY = {
    "delta_net": {"allow_neg_eigval": True},
    "renormed_delta_net": {"allow_neg_eigval": True},
    "gated_delta_net": {"head_dim": 16, "allow_neg_eigval": True},
    "delta_product": {"head_dim": 16, "num_householder": 3, "use_forget_gate": True, "allow_neg_eigval": True},
    "mamba2": {"head_dim": 16, "state_size": 16, "signed": True},
}


def sessions_with(per: str = "word", **parameters: object) -> Sessions:
    stages = (StageSettings(steps=1, commands=(8,), spacings=(2,)),)
    settings = Settings(recipe="t", model="delta_net", task_parameters=parameters, per=per, stages=stages)
    return sessions_of(SyntheticSource(settings), commands=12, spacing=2, rows=6)


def made(name: str, size: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return make_model(name, vocab_size=size, hidden_size=32, num_hidden_layers=2, num_heads=2, **FAMILY.get(name, {}))


def test_a_planted_head_reflects_on_swaps_overwrites_at_the_start_and_leaves_alone_elsewhere() -> None:
    subject = planted_subject(n=3, num_heads=2, head=1)
    tokens = tokens_of_sessions(sessions_of(subject.source, commands=32, spacing=2, rows=8))
    rows = beta_results(tokens, transitions(subject.model, tokens), **subject.named)
    told = {(r.metric, r.place): r for r in rows if r.metric != "percentile of beta"}
    kinds = {"commands": 2.0, "the opening": 1.0, "reveals": 0.0}
    for part, beta in kinds.items():
        place = f"layer 0, head 1, whole commands in {part}"
        assert told["beta", place].value == pytest.approx(beta, abs=1e-6)
        assert told["eigenvalue", place].value == pytest.approx(1 - beta, abs=1e-6)
        assert told["share of beta above 1.9", place].value == (1.0 if beta == 2 else 0.0)
    assert told["share of beta above 1.9", "layer 0, head 0"].value == 0
    assert told["beta", "layer 0, head 0"].run == "planted"
    assert told["beta", "layer 0, head 0"].low < told["beta", "layer 0, head 0"].value


@pytest.mark.parametrize("n", [3, 5])
def test_keys_of_a_planted_head_lie_in_the_space_of_swaps(n: int) -> None:
    subject = planted_subject(n=n, num_heads=2, head=0)
    tokens = tokens_of_sessions(sessions_of(subject.source, commands=64, spacing=2, rows=8))
    spaces = {(space.head, space.which): space for space in key_spaces(subject.model, tokens)}
    # e_i - e_k span n - 1 dimensions
    swaps = spaces[0, "beta > 1.8"]
    assert swaps.components[0.99][0] == n - 1
    assert swaps.count == 8 * 64
    assert swaps.shares.sum() == pytest.approx(1)
    assert spaces[0, "all keys"].components[0.99][0] < spaces[1, "all keys"].components[0.99][0]
    assert (1, "beta > 1.8") not in spaces
    rows = key_results(list(spaces.values()), **subject.named)
    assert {row.at for row in rows if row.metric == "key components"} == {0.9, 0.95, 0.99}


def test_components_are_those_of_the_covariance() -> None:
    sessions = sessions_with(n=3)
    tokens = tokens_of_sessions(sessions)
    model = made("delta_net", len(sessions.stream.vocabulary))
    (space,) = [s for s in key_spaces(model, tokens) if (s.layer, s.head, s.which) == (1, 0, "all keys")]
    kept = []
    model.blocks[1].mixing.taps["keys"] = [lambda keys: kept.append(keys)]
    with torch.no_grad():
        model(input_ids=torch.from_numpy(tokens.ids))
    keys = kept[0][:, :, 0].double().numpy()[tokens.real]
    slow = np.linalg.svd(keys - keys.mean(0), compute_uv=False) ** 2
    assert np.allclose(space.shares, slow / slow.sum(), atol=1e-9)
    assert space.effective == pytest.approx(slow.sum() ** 2 / (slow**2).sum())
    value, low, high = space.components[0.9]
    assert low <= value <= high


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("per", ["word", "command"])
def test_every_model_of_the_family_can_be_read(name: str, per: str) -> None:
    sessions = sessions_with(per, n=3, p=0.1, style="echo")
    tokens = tokens_of_sessions(sessions)
    model = made(name, len(sessions.stream.vocabulary))
    read = transitions(model, tokens)
    assert [each.layer for each in read] == [0, 1]
    batch, time = tokens.ids.shape
    for each in read:
        updates = 3 if name == "delta_product" else 1
        heads = model.blocks[0].mixing.num_heads
        assert each.eigenvalues.shape == (batch, time, updates, heads)
        assert np.nanmin(each.eigenvalues) >= -1
        assert np.nanmax(each.eigenvalues) <= 1
        assert (each.beta is None) == (name == "mamba2")
        assert (each.decay is None) == (name in ("delta_net", "renormed_delta_net"))
    rows = beta_results(tokens, read, model=name)
    assert all(np.isfinite(row.value) for row in rows)
    assert len({(r.metric, r.place, r.at) for r in rows}) >= len({(r.metric, r.place) for r in rows})
    assert all(np.isfinite(row.value) for row in key_results(key_spaces(model, tokens)))
    assert not any(hooks for block in model.blocks for hooks in block.mixing.taps.values())


def test_a_signed_decay_has_its_sign() -> None:
    sessions = sessions_with("command", n=3)
    tokens = tokens_of_sessions(sessions)
    model = made("mamba2", len(sessions.stream.vocabulary))
    with torch.no_grad():
        model.blocks[0].mixing.sign_proj.bias.fill_(-3.0)
    first, second = transitions(model, tokens)
    assert np.nanmax(first.eigenvalues) < 0 < np.nanmin(second.eigenvalues)


def test_padding_counts_nowhere() -> None:
    subject = planted_subject(n=3)
    whole = tokens_of_sessions(sessions_of(subject.source, commands=16, spacing=2, rows=4))
    filled = np.concatenate([whole.ids, np.zeros_like(whole.ids)], axis=1)
    kinds = np.concatenate([whole.kinds, np.full_like(whole.kinds, -1)], axis=1)
    padded = Tokens(ids=filled, lengths=whole.lengths, kinds=kinds, names=whole.names)
    for tokens in (whole, padded):
        assert tokens.real.sum() == whole.lengths.sum()
    one, other = (beta_results(t, transitions(subject.model, t)) for t in (whole, padded))
    assert [r.value for r in one] == pytest.approx([r.value for r in other])
    spaces = [key_spaces(subject.model, t) for t in (whole, padded)]
    assert [s.effective for s in spaces[0]] == pytest.approx([s.effective for s in spaces[1]])


@pytest.mark.parametrize("per", ["word", "command"])
def test_kinds_part_a_session(per: str) -> None:
    sessions = sessions_with(per, n=3)
    tokens = tokens_of_sessions(sessions)
    words = np.array(sessions.stream.vocabulary)[tokens.ids]
    assert (tokens.kinds[tokens.real] >= 0).all()
    named = np.array([*tokens.names, "none"])[tokens.kinds]
    at = sessions.batch.reveals[:, :, 0]
    assert (np.take_along_axis(named, at, axis=1) == "values in reveals").all()
    assert (named == "values in the opening").sum() == 3 * len(words)
    in_commands = np.isin(words, ["a", "b", "c"]) & (named == "names in commands")
    assert in_commands.sum() == (12 * 4 * len(words) if per == "word" else 0)
    by_word = tokens_of_sessions(sessions, by_word=True)
    assert ("'a' in commands" in by_word.names) == (per == "word")


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_models_without_beta_are_refused(name: str) -> None:
    sessions = sessions_with(n=3)
    tokens = tokens_of_sessions(sessions)
    model = made(name, len(sessions.stream.vocabulary))
    with pytest.raises(ValueError, match="beta or decays"):
        transitions(model, tokens)
    with pytest.raises(ValueError, match="matrix state"):
        key_spaces(model, tokens)


def test_rows_of_a_dataset_have_roles_as_kinds(tmp_path: Path) -> None:
    from eval.interpret import tokens_of_rows
    from tokenizer.encoded import ROLES, Encoded

    rows = [
        Encoded(
            ids=np.arange(1, length, dtype=np.int32),
            roles=np.full(length - 1, ROLES.index("value"), dtype=np.int8),
            steps=np.zeros(length - 1, dtype=np.int32),
        )
        for length in (5, 9)
    ]
    tokens = tokens_of_rows(rows, 6)
    assert tokens.lengths.tolist() == [4, 6]
    model = made("delta_net", 16)
    told = {row.place for row in beta_results(tokens, transitions(model, tokens))}
    assert "layer 0, head 0, value" in told
