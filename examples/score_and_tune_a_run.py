"""Opens a run, lets it write, scores it by reveal, draws that, and trains it on with the plain Trainer. With [eval].

python examples/score_and_tune_a_run.py runs/quick
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

import trace_mine

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=Path, help="a folder that trace-train left, on swaps of 3 variables")
parser.add_argument("--steps", type=int, default=50, help="steps of the Trainer (default 50)")
chosen = parser.parse_args()

model = AutoModelForCausalLM.from_pretrained(chosen.run, trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained(chosen.run, trust_remote_code=True)
start = tokenizer(">>> a = 1\n>>> b = 2\n>>> c = 3\n>>> a, b = b, a\n", return_tensors="pt")
print(tokenizer.decode(model.generate(**start, max_new_tokens=16)[0]))

task, stage = trace_mine.tasks["permutations"](n=3), trace_mine.Stage(commands=(16, 16), spacing=(1, 1))
texts = {
    split: [task.trace(i, seed=1, split=split, stage=stage).text for i in range(64)] for split in ("test", "train")
}
ids = {split: tokenizer(many, return_tensors="pt")["input_ids"] for split, many in texts.items()}


def accuracy_by_reveal() -> list[float]:
    with torch.no_grad():
        hits = model(ids["test"][:, :-1]).logits.argmax(-1) == ids["test"][:, 1:]
    digits = torch.tensor([tokenizer.decode([number]).isdigit() for number in range(len(tokenizer))])
    # the first three digits of a session are what the variables start with
    return (
        torch.stack([row[digits[own]][3:] for row, own in zip(hits, ids["test"][:, 1:], strict=True)])
        .float()
        .mean(0)
        .tolist()
    )


plt.plot(before := accuracy_by_reveal(), label="as trained")
arguments = TrainingArguments(
    f"{chosen.run}-tuned", max_steps=chosen.steps, learning_rate=1e-3, report_to=[], use_cpu=True
)
Trainer(model, arguments, train_dataset=[{"input_ids": row, "labels": row} for row in ids["train"]]).train()
model.eval()
plt.plot(after := accuracy_by_reveal(), label=f"{chosen.steps} steps on")
plt.legend()
plt.savefig(f"{chosen.run}-by-reveal.png")
print(f"accuracy {sum(before) / len(before):.3f}, after {chosen.steps} steps {sum(after) / len(after):.3f}")
