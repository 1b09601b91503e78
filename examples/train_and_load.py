"""Trains a small model, loads it, and asks it what a reveal shows. With the extra [train].

python examples/train_and_load.py --steps 480 --out runs/example
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import trace_mine
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=480, help="optimiser steps (default 480, two minutes on a core)")
    parser.add_argument("--out", type=Path, default=Path("runs/example"), help="run folder, a new one")
    chosen = parser.parse_args(arguments)

    train(replace(recipe("quick", None), max_steps=chosen.steps), chosen.out)
    model = trace_mine.load_model(chosen.out).eval()
    tokenizer = trace_mine.load_tokenizer(chosen.out)

    task = trace_mine.tasks["permutations"](n=3)
    stage = trace_mine.Stage(commands=(8, 8), spacing=(8, 8))
    session = trace_mine.Stream(task, seed=0, split="test", stage=stage)[0]
    print(session)
    ids = torch.tensor([tokenizer.encode(session.text)])
    with torch.no_grad():
        law = model(ids).logits[0].softmax(dim=-1)
    values = [tokenizer.convert_tokens_to_ids(str(value)) for value in (1, 2, 3)]
    last = max(place for place, token in enumerate(ids[0].tolist()) if token in values)
    told = ", ".join(f"{law[last - 1, token].item():.2f} {tokenizer.decode([token])}" for token in values)
    print(f"shown {tokenizer.decode(ids[0, last])}; the model expected {told}")


if __name__ == "__main__":
    main()
