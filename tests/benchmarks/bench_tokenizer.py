"""Tokens and characters a second of encode_rows, with roles, against a byte-level BPE as GPT-2's, interleaved.

    python tests/benchmarks/bench_tokenizer.py DATASET

GPT-2's own merges aren't at hand offline: the BPE here is trained on the same rows, with GPT-2's pre-tokenizer and up
to 50,000 merges. It gives offsets and no roles, as GPT-2's fast tokenizer does.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROUNDS = 7


def main() -> None:
    from datasets import load_dataset
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from tokenizer.encoded import encode_rows
    from tokenizer.lexemes import fit_python

    rows = list(load_dataset(sys.argv[1], split="train"))
    texts = [row["text"] for row in rows]
    characters = sum(map(len, texts))
    ours = fit_python(texts, vocab_size=8_192)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=50_256, initial_alphabet=alphabet, show_progress=False)
    )

    def with_roles() -> int:
        return sum(len(each.ids) for each in encode_rows(ours, rows))

    def as_gpt2() -> int:
        return sum(len(each.ids) for each in bpe.encode_batch(texts))

    found: dict[str, list[float]] = {"ours, with roles": [], "GPT-2-like BPE": []}
    counts: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, run in (("ours, with roles", with_roles), ("GPT-2-like BPE", as_gpt2)):
            started = time.process_time()
            counts[name] = run()
            found[name].append(time.process_time() - started)
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        rate, chars = counts[name] / middle / 1e6, characters / middle / 1e6
        print(f"{name:20} {rate:5.2f} M tokens/s  {chars:5.2f} M characters/s  {counts[name]} tokens")
    ratios = [b / a for a, b in zip(*found.values(), strict=True)]
    scale = counts["ours, with roles"] / counts["GPT-2-like BPE"]
    middle = statistics.median(ratios)
    print(f"ours over BPE: tokens a second {middle * scale:.2f}, characters {middle:.2f}")


main()
