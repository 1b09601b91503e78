"""Padded and packed rows come out as if each sequence were alone, for every model of the registry."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from rows_alone import logits_alone, positions  # noqa: E402
from trace_mine.train.models.ragged import CarryCache  # noqa: E402
from trace_mine.train.models.registry import MODELS, make_model  # noqa: E402

torch.set_num_threads(1)
WORDS = 11


def tiny(name, **keys):
    torch.manual_seed(0)
    keys = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 1, **keys}
    if name == "mamba2":
        keys["head_dim"] = 8
    elif name == "renormed_delta_net":
        keys["renorm_every"] = 3
    if name not in ("lstm", "gru"):
        keys["intermediate_size"] = 16
    return make_model(name, **keys).double().eval()


WINDOW = {"layers": [1], "num_heads": 2, "num_kv_heads": 1, "window_size": 3}
TINY = {name: tiny(name) for name in MODELS}
TINY["hybrid"] = tiny("gated_delta_net", num_hidden_layers=2, attn=WINDOW)


@st.composite
def layouts(draw, packed):
    """Ids, a mask with padding anywhere, and where sequences begin (nowhere else than at first, unless ``packed``)."""
    rows, time = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    bits = st.lists(st.lists(st.integers(0, 1), min_size=time, max_size=time), min_size=rows, max_size=rows)
    mask = draw(bits)
    begins = draw(bits) if packed else [[0] * time] * rows
    ids = torch.randint(0, WORDS, (rows, time), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return ids, mask, begins


def check(model, ids, mask, begins, cached):
    expected, carries = logits_alone(model, ids, mask, begins)
    output = model(ids, attention_mask=torch.tensor(mask), position_ids=positions(mask, begins), use_cache=cached)
    for (row, column), logits in expected.items():
        torch.testing.assert_close(output.logits[row, column], logits, rtol=0, atol=1e-10)
    if cached:
        # one more token a row goes on from where the row alone ended
        more = torch.arange(len(ids)) % WORDS
        wider = torch.cat([torch.tensor(mask), torch.ones(len(ids), 1, dtype=torch.long)], 1)
        after = model(more[:, None], attention_mask=wider, past_key_values=output.past_key_values).logits[:, 0]
        for row in range(len(ids)):
            alone, _ = model.step(more[row][None], carries.get(row))
            torch.testing.assert_close(after[row], alone[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_padding_anywhere_is_never_seen(name, cached, data):
    check(TINY[name], *data.draw(layouts(packed=False)), cached)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_packed_sequences_are_alone(name, cached, data):
    check(TINY[name], *data.draw(layouts(packed=True)), cached)


@pytest.mark.parametrize("name", ["renormed_delta_net", "transformer", "lstm"])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_rows_are_selected_repeated_and_reordered_with_what_they_hold(name, data):
    model = TINY[name]
    ids, mask, begins = data.draw(layouts(packed=False))
    picks = data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=1, max_size=5))
    _, carries = logits_alone(model, ids, mask, begins)
    cached = model(ids, attention_mask=torch.tensor(mask), use_cache=True).past_key_values
    assert [cached.position(row) for row in range(len(ids))] == [sum(row) for row in mask]
    cached.reorder_cache(torch.tensor(picks))
    cached.batch_repeat_interleave(2)
    taken = [row for row in picks for _ in range(2)]
    more = torch.arange(len(taken)) % WORDS
    after = model(more[:, None], past_key_values=cached).logits[:, 0]
    for place, row in enumerate(taken):
        alone, _ = model.step(more[place][None], carries.get(row))
        torch.testing.assert_close(after[place], alone[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_padded_and_packed_batch_are_those_of_its_sequences(name):
    model = tiny(name)
    mask = [[0, 0, 1, 1, 1, 1], [1, 1, 0, 1, 1, 0]]
    begins = [[0, 0, 0, 0, 1, 0], [0] * 6]
    ids = torch.arange(12).reshape(2, 6) % WORDS
    expected, _ = logits_alone(model, ids, mask, begins)
    sum(logits.square().sum() for logits in expected.values()).backward()
    wanted = {key: each.grad.clone() for key, each in model.named_parameters() if each.grad is not None}
    model.zero_grad()
    output = model(ids, attention_mask=torch.tensor(mask), position_ids=positions(mask, begins))
    output.logits[torch.tensor(mask).bool()].square().sum().backward()
    for key, each in model.named_parameters():
        if key in wanted:
            torch.testing.assert_close(each.grad, wanted[key], rtol=1e-9, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_padding_repeats_the_output_of_the_last_token_before_it(name):
    model = TINY[name]
    ids = torch.arange(6)[None] % WORDS
    plain = model(ids).logits
    for cached in (False, True):
        padded = model(ids, attention_mask=torch.tensor([[1, 1, 1, 0, 0, 0]]), use_cache=cached).logits
        torch.testing.assert_close(padded[0, :3], plain[0, :3], rtol=0, atol=1e-12)
        assert torch.equal(padded[0, 3:], padded[0, 2].expand(3, -1))


def test_rows_padded_on_the_right_compute_what_they_did_without_a_mask():
    for name, model in TINY.items():
        ids = torch.arange(12).reshape(2, 6) % WORDS
        mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
        masked, plain = model(ids, attention_mask=mask).logits, model(ids).logits
        assert torch.equal(masked[mask.bool()], plain[mask.bool()]), name


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("transformer", "path_attention")])
def test_a_recurrent_cache_does_not_grow(name):
    model = TINY[name]
    cached = model(torch.arange(8)[None], use_cache=True).past_key_values
    before = cached.num_bytes()
    assert before > 0
    for token in range(20):
        model(torch.tensor([[token % WORDS]]), past_key_values=cached)
    assert cached.num_bytes() == before
    assert cached.get_seq_length() == 28


def test_rows_of_padding_alone_have_seen_nothing():
    model = TINY["lstm"]
    output = model(torch.zeros(2, 3, dtype=torch.long), attention_mask=torch.zeros(2, 3), use_cache=True)
    assert not output.logits.any()
    assert output.past_key_values.position(0) == 0
    assert output.past_key_values.get_seq_length() == 3
    after = model(torch.tensor([[1], [2]]), past_key_values=output.past_key_values)
    assert torch.equal(after.logits, model(torch.tensor([[1], [2]])).logits)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"attention_mask": torch.ones(2, 3, 4)}, "expected attention_mask"),
        ({"attention_mask": torch.tensor([[0, 1, 1], [1, 1, 1]]), "return_carry": True}, "without padding"),
        ({"position_ids": torch.tensor([[0, 1, 3], [0, 1, 2]])}, "got a jump"),
        ({"position_ids": torch.tensor([[0, 1]])}, "expected position_ids"),
        ({"inputs_embeds": torch.zeros(2, 3, 16)}, "got both or neither"),
        ({"past_key_values": [1]}, "got list"),
        ({"past_key_values": CarryCache(), "carry": []}, "got both"),
        ({"output_attentions": True}, "got output_attentions=True"),
        ({"cu_seq_lens_q": torch.tensor([0, 3])}, "got cu_seq_lens_q"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(more, told):
    with pytest.raises(ValueError, match=told) as caught:
        TINY["delta_net"](torch.zeros(2, 3, dtype=torch.long), **more)
    assert "\n" not in str(caught.value)


def test_a_cache_of_other_rows_is_refused():
    model = TINY["gru"]
    cached = model(torch.zeros(2, 3, dtype=torch.long), use_cache=True).past_key_values
    with pytest.raises(ValueError, match="expected the 2 rows"):
        model(torch.zeros(3, 1, dtype=torch.long), past_key_values=cached)
    with pytest.raises(ValueError, match="can't go back"):
        cached.crop(-1)
