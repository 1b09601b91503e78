"""Any local causal model is scored as ours are; one of ours saved and opened that way gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trace_mine.eval.hf import HFPredictor, common, evaluate_hf, hf_predictor
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.scores import score
from trace_mine.train.measure.sessions import sessions_of
from trace_mine.train.settings import Settings, StageSettings


@pytest.mark.parametrize(("name", "model"), [("belief", "delta_net"), ("belief", "lstm"), ("contrast", "transformer")])
def test_ours_through_hf_equals_ours(name: str, model: str, tiny_subject: Callable, tiny_run: Callable) -> None:
    subject = tiny_subject(name, model)
    sessions = sessions_of(subject.batches, commands=12, spacing=2, rows=4)
    expected = sessions.laws_of(subject.predictor)
    got = sessions.laws_of(hf_predictor(tiny_run(name, model)))
    assert np.abs(got - expected).max() < 1e-5


def gpt2(folder: Path, texts: list[str], *, merges: bool, context: int = 4_096) -> Path:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    raw = ByteLevelBPETokenizer()
    raw.train_from_iterator(texts, vocab_size=400 if merges else 257, min_frequency=2, show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=raw._tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=500, n_positions=context, n_embd=32, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("merges", [False, True])
def test_a_random_gpt2_goes_through(merges: bool, tiny_subject: Callable, tmp_path: Path) -> None:
    subject = tiny_subject("belief", "lstm")
    sessions = sessions_of(subject.batches, commands=8, spacing=2, rows=3)
    texts = [
        "".join(sessions.stream.vocabulary[t] for t in sessions.batch.tokens[row]) for row in range(len(sessions.shown))
    ]
    opened = hf_predictor(gpt2(tmp_path / "gpt2", texts, merges=merges))
    law = sessions.laws_of(opened)
    assert (law > 0).all() and (law.sum(-1) <= 1 + 1e-9).all()
    # the slow way, label by label, says the same as one pass
    text, place = texts[0], int(sessions.batch.reveals[0, 1, 0])
    prefix = "".join(sessions.stream.vocabulary[t] for t in sessions.batch.tokens[0, :place])
    assert text.startswith(prefix)
    rows = [opened.tokenizer(prefix + label + "\n")["input_ids"] for label in sessions.stream.labels]
    slow = np.exp(opened._label_logs(rows, common(rows)))
    first = [opened._log_probabilities([row])[0][common(rows) - 1, row[common(rows)]] for row in rows]
    assert np.allclose(law[0, 1], np.exp(first))
    assert (slow <= law[0, 1] + 1e-12).all()  # it also asks for the line end after the label
    told = evaluate_hf(tmp_path / "gpt2", subject.batches, trained=subject.trained, rows=2)
    assert {r.model for r in told} >= {"gpt2", "exact filter", "chance"}
    raw, normalised = (
        next(r.value for r in told if r.model == "gpt2" and r.metric == "belief KL" and r.variant == v)
        for v in ("", "normalised")
    )
    assert raw >= normalised > 0


class Merging:
    """A tokenizer that merges the last character of the question with the value: nothing parts at the boundary."""

    bos_token_id = None
    unk_token_id = None

    def __call__(self, text: str) -> dict[str, list[int]]:
        ids, at = [], 0
        while at < len(text):
            if text[at : at + 1] == "\n" and text[at + 1 : at + 2].isdigit():
                ids.append(200 + int(text[at + 1]))
                at += 2
            else:
                ids.append(ord(text[at]) % 128)
                at += 1
        return {"input_ids": ids}


def test_a_tokenizer_that_merges_over_the_boundary_is_scored_by_its_own_tokens(tiny_subject: Callable) -> None:
    sessions = sessions_of(tiny_subject("belief", "lstm").batches, commands=4, spacing=2, rows=2)
    weights = torch.randn(256, generator=torch.Generator().manual_seed(0)).double()

    class Unigram(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(weights)
            self.config = SimpleNamespace(max_position_embeddings=4096)

        def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=self.weight.expand(*input_ids.shape, -1))

    law = sessions.laws_of(HFPredictor(name="u", model=Unigram(), tokenizer=Merging()))
    expected = weights.softmax(0)[[201, 202, 203]].numpy()
    assert np.allclose(law, expected)


class Characters:
    """A token a character."""

    bos_token_id = None
    unk_token_id = None

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(each) for each in text]}


@pytest.mark.parametrize("group", ["Z12", "A4xZ5"])
def test_labels_that_begin_another_and_labels_of_two_variables_are_one_each(group: str) -> None:
    """A model that knows every next character is always right, and nothing is counted twice."""
    stages = (StageSettings(steps=1, commands=(4,), spacings=(2,)),)
    settings = Settings(
        recipe="t", model="lstm", task="groups", task_parameters={"group": group, "style": "echo"}, stages=stages
    )
    sessions = sessions_of(TaskBatches(settings), commands=4, spacing=2, rows=8)
    words = sessions.stream.vocabulary
    texts = ["".join(words[t] for t in row) for row in sessions.batch.tokens]

    class Knowing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.config = SimpleNamespace(max_position_embeddings=4096)

        def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:
            logits = torch.zeros(*input_ids.shape, 128, dtype=torch.float64)
            for row, ids in enumerate(input_ids.tolist()):
                for t in range(len(ids)):
                    seen = "".join(map(chr, ids[: t + 1]))
                    for text in texts:
                        if text.startswith(seen) and len(text) > t + 1:
                            logits[row, t, ord(text[t + 1])] = 40.0
            return SimpleNamespace(logits=logits)

    law = sessions.laws_of(HFPredictor(name="k", model=Knowing(), tokenizer=Characters()))
    scores = score(sessions.exact, law, sessions.shown)
    assert law.sum(-1).max() < 1 + 1e-9
    assert scores.kl.mean() < 0.5 and scores.hits.mean() > 0.8  # sessions of one beginning are told apart by luck alone
    assert len(set(sessions.stream.labels)) == len(sessions.stream.labels)


def test_what_can_not_be_scored_is_refused(tiny_subject: Callable, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a local folder with config\.json"):
        hf_predictor(tmp_path)
    subject = tiny_subject("belief", "lstm")
    folder = gpt2(tmp_path / "gpt2", ["a = 1\n"], merges=False, context=512)
    sessions = sessions_of(subject.batches, commands=64, spacing=2, rows=1)
    with pytest.raises(ValueError, match="expected sessions of at most 512 tokens, the model's context"):
        sessions.laws_of(hf_predictor(folder))
