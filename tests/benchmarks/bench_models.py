"""Whole models, forward and backward with the loss, in microseconds a token: interleaved rounds in one process.

    python tests/benchmarks/bench_models.py [MODEL ...]

Models with a delta rule take a second turn with its torch form: what the C library is worth to a whole model.
Width 128, 2 layers, MLP of 256 where the recipes have one, T = 256, B = 8, one thread.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from trace_mine.train.kernels import c_ops
from trace_mine.train.models.registry import MODELS, make_model

ROUNDS, BATCH, TIME = 5, 8, 256


def main() -> None:
    torch.set_num_threads(1)
    sizes = {"vocab_size": 64, "hidden_size": 128, "num_hidden_layers": 2, "num_heads": 4}
    models = {}
    for name in ["delta_net", *(each for each in sys.argv[1:] or MODELS if each != "delta_net")]:
        keys = {} if name in ("lstm", "gru") else {"intermediate_size": 256}
        models[name] = make_model(name, **sizes, **keys)
        if name in ("delta_net", "renormed_delta_net", "gated_delta_net", "delta_product"):
            models[f"{name}, torch form"] = slower = make_model(name, **sizes, **keys)
            for block in slower.blocks:
                block.mixing.backend = "torch"
    ids = torch.randint(0, 64, (BATCH, TIME + 1))
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(ROUNDS + 1):
        for name, model in models.items():
            started = time.process_time()
            logits = model(ids[:, :-1]).logits
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
            model.zero_grad()
            if turn:
                seconds[name].append(time.process_time() - started)
    print(f"the delta rule runs in {c_ops.kernel_name()}")
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    for name, each in sorted(middle.items(), key=lambda pair: pair[1]):
        micro = each / (BATCH * TIME) * 1e6
        count = sum(p.numel() for p in models[name].parameters())
        print(f"{name:30} {micro:6.1f} us a token, {each / middle['delta_net']:.2f} x delta_net, {count} parameters")


main()
