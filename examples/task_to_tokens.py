"""A synthetic task to tokens: sessions of swaps that only perhaps happen, with the exact law of every reveal.

python examples/task_to_tokens.py
"""

from __future__ import annotations

import numpy as np

import trace_mine
from trace_mine.corpus.synthetic.stream import TokenStream


def main() -> None:
    task = trace_mine.tasks["permutations"](n=3, p=0.25)
    stage = trace_mine.Stage(commands=(8, 8), spacing=(2, 2))
    session = trace_mine.Stream(task, seed=0, split="train", stage=stage)[0]
    print(session)

    tokens = TokenStream(task, seed=0, split="train", stage=stage)
    batch = tokens.batch(range(4), beliefs=True)
    print(f"{len(tokens.vocabulary)} words, {batch.tokens.shape[0]} sessions of {batch.tokens.shape[1]} tokens")
    text = "".join(tokens.vocabulary[token] for token in batch.tokens[0])
    assert text == session.text
    assert batch.laws is not None and np.allclose(batch.laws.sum(axis=-1), 1)
    for outcome, law in zip(batch.outcomes[0], batch.laws[0], strict=True):
        told = ", ".join(f"{p:.3f} {label}" for label, p in zip(tokens.labels, law, strict=True))
        print(f"shown {tokens.labels[outcome]}, of: {told}")


if __name__ == "__main__":
    main()
