"""On a GPU: every model computes what it computes on the CPU, bf16 trains with an fp32 recurrence, runs resume.

All are marked ``gpu`` and skip, with the reason, where there is no CUDA device.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from trace_mine.train.models.registry import MODELS, load_model, make_model
from trace_mine.train.recipes import BELIEF_MODELS, recipe
from trace_mine.train.running import resume, train
from trace_mine.train.settings import override

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")


def model_of(name: str):
    torch.manual_seed(0)
    return make_model(name, **{**BELIEF_MODELS[name], "vocab_size": 20})


def close(got: torch.Tensor, expected: torch.Tensor, share: float) -> None:
    assert (got.detach().cpu().double() - expected.detach().double()).abs().max() <= share * expected.abs().max()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("time", [65, 200])
def test_cuda_equals_cpu_forward_and_backward(name: str, time: int) -> None:
    model = model_of(name)
    ids = torch.randint(20, (3, time), generator=torch.Generator().manual_seed(1))
    told = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        logits = model(input_ids=ids.to(device)).logits
        logits.float().log_softmax(-1)[..., 3].mean().backward()
        told.append((logits.detach().cpu(), [p.grad.detach().cpu().clone() for p in model.parameters()]))
    close(told[1][0], told[0][0], 2e-3)
    largest = max(float(g.abs().max()) for g in told[0][1])
    for got, expected in zip(told[1][1], told[0][1], strict=True):
        assert (got - expected).abs().max() <= 5e-3 * max(float(expected.abs().max()), 0.05 * largest)


@pytest.mark.parametrize("name", MODELS)
def test_steps_equal_forward_on_cuda(name: str) -> None:
    model = model_of(name).cuda().eval()
    ids = torch.randint(20, (2, 70), generator=torch.Generator().manual_seed(2)).cuda()
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        carry, steps = None, []
        for t in range(ids.shape[1]):
            logits, carry = model.step(ids[:, t], carry)
            steps.append(logits)
    close(torch.stack(steps, 1), whole.cpu(), 5e-3)


@pytest.mark.parametrize(
    "name",
    ["delta_net", "gated_delta_net", "delta_product", "kimi_delta", "mamba2", "transformer", "path_attention", "lstm"],
)
def test_bf16_is_near_fp32(name: str) -> None:
    model = model_of(name).cuda()
    ids = torch.randint(20, (4, 128), generator=torch.Generator().manual_seed(3)).cuda()
    losses = []
    for half in (False, True):
        with torch.autocast("cuda", torch.bfloat16, enabled=half), torch.no_grad():
            logits = model(input_ids=ids[:, :-1]).logits.float()
        losses.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_learns_and_resumes_on_cuda(precision: str, tmp_path: Path) -> None:
    chosen = ["device=cuda", f"precision={precision}", "max_steps=60", "save_every=30", "evaluate_rows=8"]
    settings = override(recipe("belief"), [*chosen, "batch_size=16", "log_every=10"])
    final = train(settings, tmp_path / "run")
    assert final["step"] == 60 and {"retention", "rescaled"} <= set(final)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss_reveal"] < lines[0]["loss_reveal"]
    (tmp_path / "run" / "final.json").unlink()
    for path in (tmp_path / "run" / "checkpoints").glob("checkpoint-60"):
        (path / "complete.json").unlink()
    again = resume(tmp_path / "run")
    assert again["step"] == 60
    assert next(load_model(tmp_path / "run").parameters()).dtype == torch.float32


def test_figures_measurements_run_where_the_model_is(tmp_path: Path) -> None:
    from trace_mine.eval.drift import RESCALED, drift, holding, norms
    from trace_mine.eval.measure import beliefs
    from trace_mine.eval.subjects import subject
    from trace_mine.train.measure.sessions import sessions_of

    settings = override(recipe("belief"), ["max_steps=5", "batch_size=8", "evaluate_rows=4", "device=cuda"])
    train(settings, tmp_path / "run")
    on_cpu, on_cuda = subject(tmp_path / "run"), subject(tmp_path / "run")
    on_cuda.model.cuda()
    sessions = sessions_of(on_cpu.source, commands=16, spacing=2, rows=4)
    for one, other in zip(beliefs(sessions, on_cpu.predictor), beliefs(sessions, on_cuda.predictor), strict=True):
        assert other.value == pytest.approx(one.value, rel=0.02, abs=0.02)
    assert drift(on_cuda, times=(1,), rows=4, variant=RESCALED)
    assert holding(on_cuda, holds=(4,)) and len(norms(on_cuda, times=1, rows=2)[0])
