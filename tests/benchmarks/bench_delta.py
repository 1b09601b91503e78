"""Our delta rule against what else could run in its place: ``python tests/benchmarks/bench_delta.py [ROUNDS]``.

Forward and backward on CPU with one thread, B=32 sequences of T=512 steps, H=4 heads of width d = 32 and 64, in one
process. Everything takes a turn in every round, and a ratio is the median over the rounds of the ratios within a
round, so that a busy machine slows both sides. The slowest loops take a turn in every third round only.

Ours is what CPU tensors get: the C library where it was built (named in the output), else the torch form.

* torch form: ours without the library
* python loop: fla's naive recurrence, one elementwise step after another
* bmm loop: the same as two batched products a step
* naive chunks: fla's naive chunkwise form, C=32 (fla/ops/delta_rule/naive.py, loaded by its path: fla.ops itself can't
  be imported without triton)
* sdpa: torch's causal scaled_dot_product_attention on q, k and v
* lstm: torch.nn.LSTM of width H * d, its input and recurrent products included
* decay, n=2: our op with log decay, and with two keys a step
* by channel: the torch form of the rule with a decay for each channel of the keys

The share of the peak counts the products of the chunked form only, not what the C library makes twice, against one
1024 x 1024 float32 product. Exits with 1 where a ratio stays below its target.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from trace_mine.train.kernels import c_ops
from trace_mine.train.kernels.channel_delta import channel_delta_rule
from trace_mine.train.kernels.delta import delta_rule

BATCH, TIME, HEADS = 32, 512, 4
CHUNK, CHUNK_IN_C = 32, 16
ROUNDS = 9
SLOW_EVERY = 3
TARGETS = {  # (name, d): how many times as long as our op it takes, at least
    ("python loop", 32): 30.0,
    ("naive chunks", 32): 3.0,
    ("sdpa", 32): 2.0,
    ("lstm", 32): 1.2,
}
TARGETS_IN_C = {("torch form", 32): 1.5, ("torch form", 64): 1.5}  # below that a second implementation isn't worth it


def fla_naive() -> ModuleType:
    """fla's naive delta rule: needs torch and einops only, but its package imports triton."""
    fla = importlib.util.find_spec("fla")
    if fla is None or fla.submodule_search_locations is None:
        raise SystemExit("expected flash-linear-attention, got no module named 'fla'; pip install it")
    path = Path(fla.submodule_search_locations[0], "ops", "delta_rule", "naive.py")
    spec = importlib.util.spec_from_file_location("fla_naive", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bmm_loop(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """The recurrence with everything that needs no state taken out of the loop."""
    lanes = BATCH * HEADS
    scaled = beta[..., None]
    q, k, v, reader = (
        x.transpose(1, 2).reshape(lanes, TIME, 1, -1) for x in (q * q.shape[-1] ** -0.5, k, v * scaled, k * scaled)
    )
    state = q.new_zeros(lanes, q.shape[-1], v.shape[-1])
    outs = []
    for q_t, k_t, v_t, reader_t in zip(q.unbind(1), k.unbind(1), v.unbind(1), reader.unbind(1), strict=True):
        written = torch.baddbmm(v_t, reader_t, state, alpha=-1)
        state = torch.baddbmm(state, k_t.transpose(1, 2), written)
        outs.append(torch.bmm(q_t, state))
    return torch.cat(outs, 1).view(BATCH, HEADS, TIME, -1).transpose(1, 2)


def contenders(width: int) -> dict[str, tuple[Callable[..., Tensor], list[Tensor]]]:
    """Each: a function of inputs that need gradients, and the inputs."""
    generator = torch.Generator().manual_seed(0)
    naive = fla_naive()
    q, k, v = (torch.randn(BATCH, TIME, HEADS, width, generator=generator) for _ in range(3))
    q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
    beta = 2 * torch.rand(BATCH, TIME, HEADS, generator=generator)
    log_decay = -torch.rand(BATCH, TIME, HEADS, generator=generator)
    by_channel = -torch.rand(BATCH, TIME, HEADS, width, generator=generator)
    lstm = torch.nn.LSTM(HEADS * width, HEADS * width, batch_first=True)
    heads_first = [x.transpose(1, 2).contiguous() for x in (q, k, v, beta)]
    twice = [x.repeat_interleave(2, 1) for x in (k, v, beta)]

    def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def two_keys(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
        return delta_rule(q, k, v, beta, num_householder=2)[0]

    def chunks(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
        return naive.delta_rule_chunkwise(q, k, v, beta, chunk_size=CHUNK)[0]

    return {
        "ours": (lambda *x: delta_rule(*x)[0], [q, k, v, beta]),
        "torch form": (lambda *x: delta_rule(*x, backend="torch")[0], [q, k, v, beta]),
        "sdpa": (sdpa, heads_first[:3]),
        "lstm": (lambda x: lstm(x)[0], [v.flatten(2)]),
        "decay": (lambda *x: delta_rule(*x[:4], log_decay=x[4])[0], [q, k, v, beta, log_decay]),
        "by channel": (lambda *x: channel_delta_rule(*x[:3], x[4], x[3])[0], [q, k, v, beta, by_channel]),
        "n=2": (two_keys, [q, *twice]),
        "naive chunks": (chunks, heads_first),
        "bmm loop": (bmm_loop, [q, k, v, beta]),
        "python loop": (lambda *x: naive.delta_rule_recurrence(*x)[0], heads_first),
    }


def seconds(op: Callable[..., Tensor], inputs: list[Tensor]) -> float:
    leaves = [x.detach().requires_grad_() for x in inputs]
    start = time.perf_counter()
    out = op(*leaves)
    out.backward(torch.ones_like(out))
    return time.perf_counter() - start


def flops(width: int, in_c: bool) -> int:
    """Of the products in forward and backward of our op without decay, C's triangular solves among them."""
    chunk = CHUNK_IN_C if in_c else CHUNK
    with_keys, with_state = chunk * chunk * width, chunk * width * width
    solve = with_keys // 2 if in_c else with_keys  # substitution, or the product with an inverse that isn't counted
    forward = 3 * with_keys + 3 * with_state + solve
    backward = 7 * with_keys + 6 * with_state + solve
    return 2 * (forward + backward) * BATCH * HEADS * (TIME // chunk)


def peak() -> float:
    """Operations a second of one large float32 product: the best of 15."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return 2 * 1024**3 / min(times)


def measure(width: int, rounds: int) -> bool:
    ops = contenders(width)
    taken: dict[str, list[float]] = {name: [] for name in ops}
    ratios: dict[str, list[float]] = {name: [] for name in ops}
    for name in ("ours", "torch form", "sdpa", "lstm", "naive chunks"):
        seconds(*ops[name])
    for i in range(rounds):
        for name, op in ops.items():
            if name in ("python loop", "bmm loop", "naive chunks") and i % SLOW_EVERY:
                continue
            taken[name].append(seconds(*op))
            ratios[name].append(taken[name][-1] / taken["ours"][-1])
    in_c = c_ops.available() is None
    targets = TARGETS | (TARGETS_IN_C if in_c else {})
    kernel = c_ops.kernel_name()
    print(f"d={width}: B={BATCH} T={TIME} H={HEADS}, forward + backward, {rounds} rounds, ours in {kernel}")
    reached = True
    for name in ops:
        ratio, target = statistics.median(ratios[name]), targets.get((name, width))
        microseconds = statistics.median(taken[name]) / (BATCH * TIME) * 1e6
        verdict = ""
        if target is not None:
            reached &= ratio >= target
            verdict = f"   target {target:g}: {'reached' if ratio >= target else 'MISSED'}"
        print(f"  {name:13} {microseconds:8.2f} us a token   {ratio:7.2f} times ours{verdict}")
    best = peak()
    for name in ("ours", "torch form"):
        rate = flops(width, in_c and name == "ours") / statistics.median(taken[name])
        print(f"  {name}: {rate / 1e9:.0f} of {best / 1e9:.0f} GFLOP/s, {rate / best:.0%} of the measured peak")
    print()
    return reached


def main(arguments: list[str]) -> int:
    torch.set_num_threads(1)
    rounds = int(arguments[0]) if arguments else ROUNDS
    results = [measure(width, rounds) for width in (32, 64)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
