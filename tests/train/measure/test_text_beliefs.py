"""Belief KL over texts: zero for a model that says the exact law, the cross-entropy's excess for one that doesn't."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.tokenizer.lexemes import fit_python  # noqa: E402
from trace_mine.train.measure.text_beliefs import belief_kl, scored_beliefs  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402

TEXT = ">>> flip()\n12\n>>> 1\n1\n"
SEGMENTS = [(0, 4, "prompt", 0), (4, 11, "command", 0), (11, 14, "value", 0)]
SEGMENTS += [(14, 18, "prompt", 1), (18, 20, "reveal", 1), (20, 22, "value", 1)]
ROW = {
    "text": TEXT,
    "segments": [dict(zip(("start", "end", "role", "step"), s, strict=True)) for s in SEGMENTS],
    "beliefs": [
        {"segment": 2, "outcomes": ["12", "7"], "probabilities": [0.25, 0.75], "method": "exact"},
        {"segment": 5, "outcomes": ["1"], "probabilities": [1.0], "method": "exact"},
        {"segment": 5, "outcomes": ["1", "2"], "probabilities": [0.5, 0.5], "method": "sampled"},
    ],
}


class Says(torch.nn.Module):
    """Gives the first token of an outcome its probability and every other token of it nearly 1."""

    def __init__(self, tokenizer, first):
        super().__init__()
        self.ids = {text: tokenizer.convert_tokens_to_ids(text) for text in ("1", "2", "7", "Ċ")}
        self.first, self.size = first, len(tokenizer)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids, carry=None, return_carry=False):
        logits = torch.full((*input_ids.shape, self.size), -60.0)
        for t, before in enumerate(input_ids[0].tolist()):
            if before == self.ids["1"]:
                logits[0, t, self.ids["2"]] = 0.0
            elif before in (self.ids["2"], self.ids["7"]):
                logits[0, t, self.ids["Ċ"]] = 0.0
            else:
                for text, p in self.first.items():
                    logits[0, t, self.ids[text]] = math.log(p)
        return type("Output", (), {"logits": logits, "carry": ()})


def test_the_exact_law_has_no_divergence_and_another_its_own():
    tokenizer = fit_python([TEXT])
    exact = belief_kl(Says(tokenizer, {"1": 0.25, "7": 0.75}), tokenizer, [ROW], max_length=100)
    assert exact["num_beliefs"] == 1 and exact["kl"] == pytest.approx(0, abs=1e-5)
    assert exact["entropy"] == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    other = belief_kl(Says(tokenizer, {"1": 0.5, "7": 0.5}), tokenizer, [ROW], max_length=100)
    wanted = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert other["kl"] == pytest.approx(wanted, abs=1e-5)
    outside = belief_kl(Says(tokenizer, {"1": 0.125, "7": 0.375, "2": 0.5}), tokenizer, [ROW], max_length=100)
    assert outside["kl"] == pytest.approx(math.log(2), abs=1e-5)
    assert belief_kl(Says(tokenizer, {"1": 1.0}), tokenizer, [ROW], max_length=3) == {
        "num_beliefs": 0,
        "beliefs_too_long": 1,
    }


@pytest.mark.parametrize("name", ["delta_net", "transformer", "lstm", "mamba2"])
def test_a_prefix_and_its_carry_give_what_the_whole_gives(name):
    tokenizer = fit_python([TEXT])
    torch.manual_seed(0)
    model = make_model(name, vocab_size=len(tokenizer), hidden_size=32)
    told = belief_kl(model, tokenizer, [ROW], max_length=100)
    from trace_mine.tokenizer.encoded import encode_text

    slow = 0.0
    for outcome, p in (("12", 0.25), ("7", 0.75)):
        before = [tokenizer.bos_token_id, *encode_text(tokenizer, ">>> flip()\n")]
        ids = encode_text(tokenizer, outcome + "\n")
        law = model(torch.tensor([before + ids])).logits[0].double().log_softmax(-1)
        q = sum(law[len(before) - 1 + n, number].item() for n, number in enumerate(ids))
        slow += p * (math.log(p) - q)
    assert told["kl"] == pytest.approx(slow, rel=1e-4)


def test_a_scored_belief_says_what_the_outcomes_have_together_and_which_is_likeliest():
    tokenizer = fit_python([TEXT])
    rows = [{"beliefs": [], "text": "", "segments": []}, ROW]

    def scored(first, **more):
        return scored_beliefs(Says(tokenizer, first), tokenizer, rows, **{"max_length": 100, **more})

    ((belief,), too_long) = scored({"1": 0.125, "7": 0.375, "2": 0.5})
    assert (belief.row, belief.segment, belief.outcomes, belief.tops, too_long) == (1, 2, 2, 1, 0)
    assert belief.mass == pytest.approx(0.5, abs=1e-5) and belief.top == 1.0
    ((wrong,), _) = scored({"1": 0.6, "7": 0.3, "2": 0.1})
    assert wrong.top == 0.0 and wrong.mass == pytest.approx(0.9, abs=1e-5)
    # both outcomes are next to impossible: still the likelier one of the two is told, by their shares
    ((tiny,), _) = scored({"1": 3e-21, "7": 1e-21, "2": 1.0})
    assert tiny.top == 0.0 and tiny.kl > 40
    twice = {**ROW, "beliefs": [ROW["beliefs"][0]] * 3}
    model = Says(tokenizer, {"1": 0.5, "7": 0.5})
    assert len(scored_beliefs(model, tokenizer, [twice, twice], max_length=100, most=2)[0]) == 2
    assert len(scored_beliefs(model, tokenizer, [twice], max_length=100)[0]) == 3
