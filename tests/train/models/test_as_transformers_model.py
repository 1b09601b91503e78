"""Every model of the registry is one of transformers': it generates, takes labels, and the plain Trainer trains it."""

from __future__ import annotations

from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.models.ragged import CarryCache  # noqa: E402
from trace_mine.train.models.registry import MODELS, make_model  # noqa: E402

torch.set_num_threads(1)
WORDS = 11


def tiny(name, **keys):
    torch.manual_seed(0)
    keys = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 1, **keys}
    if name == "mamba2":
        keys["head_dim"] = 8
    if name not in ("lstm", "gru"):
        keys["intermediate_size"] = 16
    return make_model(name, initializer_range=None, **keys).eval()


PROMPTS = torch.tensor([[1, 2, 3, 4, 5], [0, 0, 6, 7, 8], [0, 9, 1, 2, 3]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])


@torch.no_grad()
def greedy_alone(model, prompt, count):
    """The likeliest tokens after a prompt [tokens], by steps."""
    logits, carry = None, None
    for token in prompt:
        logits, carry = model.step(token[None], carry)
    tokens = []
    for _ in range(count):
        tokens.append(int(logits.argmax()))
        logits, carry = model.step(torch.tensor(tokens[-1:]), carry)
    return tokens


@pytest.mark.parametrize("name", MODELS)
def test_greedy_generation_is_that_of_steps_for_rows_padded_on_either_side(name):
    model = tiny(name).double()
    for ids, mask in ((PROMPTS, MASK), (PROMPTS.flip(1), MASK.flip(1))):
        for use_cache in (True, False):
            made = model.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False, use_cache=use_cache)
            for row in range(3):
                assert made[row, 5:].tolist() == greedy_alone(model, ids[row][mask[row].bool()], 6), (row, use_cache)


@pytest.mark.parametrize("name", MODELS)
def test_sampling_follows_its_seed_and_beams_do_not_depend_on_the_cache(name):
    model = tiny(name).double()
    draws = []
    for use_cache in (True, False):
        torch.manual_seed(5)
        options = {"attention_mask": MASK, "max_new_tokens": 6, "use_cache": use_cache}
        drawn = model.generate(PROMPTS, do_sample=True, temperature=1.3, top_k=5, num_return_sequences=2, **options)
        draws.append((drawn, model.generate(PROMPTS, num_beams=3, num_return_sequences=2, do_sample=False, **options)))
    assert draws[0][0].shape == (6, 11)
    assert torch.equal(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][1], draws[1][1])


@pytest.mark.parametrize("name", MODELS)
def test_a_session_goes_on_from_what_generate_returned(name):
    model = tiny(name).double()
    options = {"do_sample": False, "return_dict_in_generate": True}
    first = model.generate(PROMPTS[:1], max_new_tokens=3, **options)
    assert isinstance(first.past_key_values, CarryCache)
    asked = torch.cat([first.sequences, torch.tensor([[4, 5]])], 1)
    on = model.generate(asked, past_key_values=first.past_key_values, max_new_tokens=3, **options)
    assert on.sequences[0, 10:].tolist() == greedy_alone(model, asked[0], 3)


@pytest.mark.parametrize("name", MODELS)
def test_embeddings_stand_for_tokens(name):
    model = tiny(name).double()
    embedded = model.get_input_embeddings()(PROMPTS)
    assert torch.equal(model(inputs_embeds=embedded).logits, model(PROMPTS).logits)
    assert torch.equal(
        model(inputs_embeds=embedded, attention_mask=MASK, use_cache=True).logits,
        model(PROMPTS, attention_mask=MASK, use_cache=True).logits,
    )
    made = model.generate(inputs_embeds=embedded, attention_mask=MASK, max_new_tokens=4, do_sample=False)
    ids = model.generate(PROMPTS, attention_mask=MASK, max_new_tokens=4, do_sample=False)
    assert torch.equal(made, ids[:, 5:])


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_of_labels_is_transformers_own_shifted_cross_entropy(name):
    model = tiny(name)
    labels = PROMPTS.masked_fill(MASK == 0, -100)
    output = model(PROMPTS, attention_mask=MASK, labels=labels)
    logs = output.logits[:, :-1].log_softmax(-1)
    taken = -logs.gather(-1, PROMPTS[:, 1:, None])[..., 0][labels[:, 1:] != -100]
    torch.testing.assert_close(output.loss, taken.mean())
    summed = model(PROMPTS, attention_mask=MASK, labels=labels, num_items_in_batch=torch.tensor(4)).loss
    torch.testing.assert_close(summed, taken.sum() / 4)
    as_tuple = model(PROMPTS, attention_mask=MASK, labels=labels, return_dict=False)
    assert isinstance(as_tuple, tuple)
    assert torch.equal(as_tuple[0], output.loss)
    assert torch.equal(as_tuple[1], output.logits)


@pytest.mark.parametrize("name", MODELS)
def test_hidden_states_are_the_embeddings_the_blocks_and_what_logits_are_made_of(name):
    model = tiny(name, num_hidden_layers=2)
    plain = model(PROMPTS, output_hidden_states=True)
    assert len(plain.hidden_states) == 3
    assert torch.equal(plain.hidden_states[0], model.get_input_embeddings()(PROMPTS))
    second, _ = model.blocks[1](plain.hidden_states[1], None)
    assert torch.equal(getattr(model.backbone_module, model.last_norm)(second), plain.hidden_states[2])
    assert torch.equal(model.lm_head(plain.hidden_states[2]), plain.logits)
    assert model(PROMPTS).hidden_states is None
    assert model(PROMPTS).past_key_values is None
    masked = model(PROMPTS, attention_mask=MASK, output_hidden_states=True)
    alone = model(PROMPTS[1:2, 2:], output_hidden_states=True)
    for whole, part in zip(masked.hidden_states, alone.hidden_states, strict=True):
        torch.testing.assert_close(whole[1, 2:], part[0], rtol=1e-5, atol=1e-5)
    kept = model(PROMPTS, logits_to_keep=2).logits
    torch.testing.assert_close(kept, plain.logits[:, -2:])


@pytest.mark.parametrize("name", MODELS)
def test_checkpointing_of_activations_leaves_gradients_as_they_are(name):
    model = tiny(name, num_hidden_layers=2).double().train()
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            model._set_gradient_checkpointing(True, partial(torch.utils.checkpoint.checkpoint, use_reentrant=False))
        model.zero_grad(set_to_none=True)
        saved = 0

        def count(tensor):
            nonlocal saved
            saved += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            total = model(PROMPTS, attention_mask=MASK).logits.square().sum()
        total.backward()
        gradients.append((saved, {key: each.grad for key, each in model.named_parameters() if each.grad is not None}))
    assert gradients[1][0] < gradients[0][0]
    for key, gradient in gradients[0][1].items():
        torch.testing.assert_close(gradients[1][1][key], gradient, rtol=1e-12, atol=1e-12, msg=key)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers 5.6 knows no other name
def test_transformers_own_switch_turns_checkpointing_on_and_off():
    model = tiny("delta_net").train()
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    model(PROMPTS, labels=PROMPTS).loss.backward()
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


def test_guessing_tokens_ahead_is_refused_since_states_cannot_go_back():
    model = tiny("delta_net")
    with pytest.raises(ValueError, match="stateful"):
        model.generate(PROMPTS[:1], max_new_tokens=3, assistant_model=tiny("lstm"))
    with pytest.raises(ValueError, match="stateful"):
        model.generate(PROMPTS[:1], max_new_tokens=3, prompt_lookup_num_tokens=2)


class Rows(torch.utils.data.Dataset):
    """Rows that count upwards; what a plain Trainer takes."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        ids = (torch.arange(7) + index) % WORDS
        return {"input_ids": ids, "attention_mask": torch.ones(7, dtype=torch.long), "labels": ids}


def trainer(model, folder, steps, **options):
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=0.02,
        lr_scheduler_type="constant",
        logging_steps=1,
        save_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=3,
        **options,
    )
    return Trainer(model=model, args=arguments, train_dataset=Rows(), eval_dataset=Rows())


@pytest.mark.parametrize("name", MODELS)
def test_plain_trainer_lowers_the_loss_and_resumes_to_the_same_weights(name, tmp_path):
    whole = trainer(tiny(name).train(), tmp_path / "whole", 4)
    whole.train()
    losses = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    evaluated = whole.predict(Rows())
    assert evaluated.predictions.shape == (24, 7, WORDS)  # logits alone: no cache, no hidden
    trainer(tiny(name).train(), tmp_path / "cut", 2).train()
    on = trainer(tiny(name).train(), tmp_path / "cut", 4)
    on.train(resume_from_checkpoint=True)
    for key, weight in on.model.state_dict().items():
        assert torch.equal(weight, whole.model.state_dict()[key]), key


def test_accumulated_steps_have_the_loss_of_the_whole_batch(tmp_path):
    """Rows of 7 labels and of fewer: a mean of means would weigh them wrongly."""
    from transformers import Trainer

    rows = [Rows()[index] for index in range(4)]
    for row, keep in zip(rows, (7, 2, 7, 3), strict=True):
        row["labels"] = row["labels"].clone()
        row["labels"][keep:] = -100
        row["labels"][0] = -100  # predicted by nothing; the Trainer of transformers 5.6 counts it all the same
    model = tiny("delta_net").train()
    batch = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    expected = float(model(**batch).loss.detach())
    made = trainer(model, tmp_path, 1)
    accumulated = Trainer(model=model, args=made.args, train_dataset=rows)
    accumulated.train()
    assert accumulated.state.log_history[0]["loss"] == pytest.approx(expected, rel=1e-3)  # it rounds to 4 digits


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_trainer_checkpoints_activations_when_asked(tmp_path):
    plain, saving = (
        trainer(tiny("gated_delta_net").train(), tmp_path / str(index), 2, gradient_checkpointing=bool(index))
        for index in range(2)
    )
    plain.train()
    saving.train()
    for key, weight in plain.model.state_dict().items():
        torch.testing.assert_close(saving.model.state_dict()[key], weight, rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", ["transformer", "delta_net", "lstm"])
@torch.no_grad()
def test_the_collator_that_packs_gives_the_loss_of_the_rows_alone(name):
    from transformers import DataCollatorWithFlattening

    model = tiny(name)
    rows = [{"input_ids": list(range(1, length))} for length in (4, 9, 6)]
    packed = DataCollatorWithFlattening(return_flash_attn_kwargs=True)(rows)
    loss = model(**packed).loss
    counts = [len(row["input_ids"]) - 1 for row in rows]
    alone = [
        float(model(**{k: torch.tensor([row["input_ids"]]) for k in ("input_ids", "labels")}).loss) for row in rows
    ]
    expected = sum(each * count for each, count in zip(alone, counts, strict=True)) / sum(counts)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
