"""On a GPU: the delta rule's forms against each other, whole models, and what a step of `paper-s5` takes.

python tests/benchmarks/bench_gpu.py [ROUNDS] [--without-fla] [--only kernels|models|paper]
    [--configurations N]

Forward and backward; everything takes a turn in every round, a ratio is the median of each form over that of ours.
``ours``: the chunked torch form; ``fla``: its kernels behind our switch, in fp32 (N configurations of each, 1 unless
told), both with ``+ decay`` too; ``sdpa``: torch's causal attention in bf16, with its casts; ``loop``: a Python loop
over time (every third round). Errors are relative to the recurrence in float64, with repeated keys at beta = 2.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from trace_mine.train.kernels import fla_ops
from trace_mine.train.kernels.delta import delta_rule
from trace_mine.train.models.delta_net import MatrixMixer
from trace_mine.train.models.registry import MODELS, make_model
from trace_mine.train.recipes import recipe
from trace_mine.train.running import batches_of
from trace_mine.train.settings import override

BATCH, HEADS = 8, 8


def inputs(time_steps: int, width: int, *, repeated: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, v = (torch.randn(BATCH, time_steps, HEADS, width, generator=generator) for _ in range(2))
    k = torch.randn(BATCH, time_steps, HEADS, width, generator=generator)
    if repeated:
        few = torch.randn(BATCH, 4, HEADS, width, generator=generator)
        k = few[:, torch.randint(4, (time_steps,), generator=generator)]
    beta = torch.full((BATCH, time_steps, HEADS), 2.0) if repeated else 2 * torch.rand(BATCH, time_steps, HEADS)
    told = (functional.normalize(q, dim=-1), functional.normalize(k, dim=-1), v, beta)
    return [x.cuda().requires_grad_() for x in told]


def loop(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    outs = []
    for t in range(q.shape[1]):
        written = beta[:, t, :, None] * (v[:, t] - (k[:, t, :, None] @ state).squeeze(-2))
        state = state + k[:, t, :, :, None] * written[..., None, :]
        outs.append((q[:, t, :, None] @ state).squeeze(-2) * q.shape[-1] ** -0.5)
    return torch.stack(outs, 1)


def sdpa(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    parts = [x.bfloat16().transpose(1, 2) for x in (q, k, v)]
    return functional.scaled_dot_product_attention(*parts, is_causal=True)


def timed(run: Callable[..., Tensor], given: list[Tensor]) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    run(*given).sum().backward()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def kernels(rounds: int) -> None:
    forms: dict[str, Callable[..., Tensor]] = {
        "fla": lambda q, k, v, b: delta_rule(q, k, v, b, backend="fla")[0],
        "ours": lambda q, k, v, b: delta_rule(q, k, v, b, backend="torch", chunk_size=64)[0],
        "fla + decay": lambda q, k, v, b: delta_rule(q, k, v, b, log_decay=-b, backend="fla")[0],
        "ours + decay": lambda q, k, v, b: delta_rule(q, k, v, b, log_decay=-b, backend="torch", chunk_size=64)[0],
        "sdpa": sdpa,
        "loop": loop,
    }
    for name, decays in (("fla", False), ("fla + decay", True)):
        if (
            "--without-fla" in sys.argv
            or fla_ops.refusal("auto", torch.zeros(1, 1, 1, 32).cuda(), decays=decays) is not None
        ):
            del forms[name]
    for width in (32, 64, 128):
        for steps in (512, 2048):
            given = inputs(steps, width, repeated=False)
            for form in forms.values():
                timed(form, given)  # compiles
            times: dict[str, list[float]] = {name: [] for name in forms}
            for number in range(rounds):
                for name, form in forms.items():
                    if name != "loop" or number % 3 == 0:
                        times[name].append(timed(form, given))
            us = {name: statistics.median(t) * 1e6 / (BATCH * steps) for name, t in times.items()}
            ratios = {name: us[name] / us["ours"] for name in us}
            told = {"d": width, "T": steps, "us_per_token": us, "times ours": ratios}
            print(json.dumps(told, default=str), flush=True)
    for width in (32, 128):
        hard = inputs(512, width, repeated=True)
        truth = loop(*[x.detach().double() for x in hard])
        for name in forms.keys() & {"fla", "ours"}:
            off = ((forms[name](*hard).detach().double() - truth).abs().max() / truth.abs().max()).item()
            print(json.dumps({"d": width, "repeated keys, beta = 2": name, "relative error": off}), flush=True)


def models(rounds: int) -> None:
    keys = {"hidden_size": 512, "num_hidden_layers": 4, "num_heads": 4, "vocab_size": 1024, "intermediate_size": 2048}
    for name in MODELS:
        extra = {"head_dim": 128} if name in ("gated_delta_net", "delta_product") else {}
        if name == "delta_product":
            extra |= {"num_householder": 2}
        if name == "mamba2":
            extra = {"head_dim": 64, "state_size": 128}
        wanted = keys if name not in ("mamba2",) else {k: v for k, v in keys.items() if k not in ("intermediate_size",)}
        model = make_model(name, **{**wanted, **extra}).cuda()
        ids = torch.randint(1024, (16, 1024), device="cuda")

        def step(model=model, ids=ids) -> Tensor:
            with torch.autocast("cuda", torch.bfloat16):
                return model(input_ids=ids).logits.float().logsumexp(-1).mean()

        for _ in range(2):
            timed(step, [])
        seconds = statistics.median(timed(step, []) for _ in range(rounds))
        count = sum(p.numel() for p in model.parameters())
        print(
            json.dumps({"model": name, "parameters": count, "tokens a second": round(ids.numel() / seconds)}),
            flush=True,
        )


def paper() -> None:
    """Seconds and memory of a step at the lengths of `paper-s5`'s last stage, by rows and by form of the delta rule."""
    settings = override(recipe("paper-s5"), ["device=cpu", "precision=fp32"])
    source = batches_of(settings)
    last = settings.num_steps - settings.stages[-1].steps
    longest = max(range(last, last + 20), key=lambda step: source.batch(step, [0])["input_ids"].shape[1])
    keys = {**settings.model_keys, "vocab_size": len(source.tokenizer)}
    model = make_model(settings.model, **keys).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    for form in ("torch", *([] if "--without-fla" in sys.argv else ["auto"])):
        for module in model.modules():
            if isinstance(module, MatrixMixer):
                module.backend = form
        for rows in (2, 4, 6, 9, 12, 18, 36):
            ids = source.batch(longest, list(range(rows)))["input_ids"].cuda()
            torch.cuda.reset_peak_memory_stats()
            try:
                seconds = statistics.median(_step(model, optimizer, ids) for _ in range(3))
            except torch.cuda.OutOfMemoryError:
                optimizer.zero_grad()
                print(json.dumps({"form": form, "rows": rows, "T": ids.shape[1], "GiB": "out of memory"}), flush=True)
                break
            finally:
                torch.cuda.empty_cache()
            told = {"form": form, "rows": rows, "T": ids.shape[1], "seconds": round(seconds, 3)}
            told["GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
            print(json.dumps({**told, "tokens a second": round(ids.numel() / seconds)}), flush=True)


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, ids: Tensor) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    optimizer.zero_grad()
    with torch.autocast("cuda", torch.bfloat16):
        logits = model(input_ids=ids[:, :-1]).logits.float()
    functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
    optimizer.step()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    if not torch.cuda.is_available():
        raise SystemExit("expected a CUDA device, got none; run it where there is one")
    count = next((int(told) for told in sys.argv[1:2] if told.isdigit()), 9)
    versions = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    print(json.dumps({**versions, "fp32 products": os.environ.get("TRITON_F32_DEFAULT", "tf32x3")}))
    if "--configurations" in sys.argv:
        fla_ops.CONFIGURATIONS = int(sys.argv[sys.argv.index("--configurations") + 1])
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    for name, bench in (("kernels", lambda: kernels(count)), ("models", lambda: models(count)), ("paper", paper)):
        if only in ("", name):
            bench()
