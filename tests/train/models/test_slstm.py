"""The sLSTM against its definition without a stabiliser, in float64; and at gates that overflow there."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.models.slstm import slstm  # noqa: E402


def by_definition(inputs, weight):
    """h of each step: c = f c + exp(i) z, n = f n + exp(i), h = o c / n, head by head and row by row."""
    batch, time, _, count, width = inputs.shape
    outs = inputs.new_zeros(batch, time, count, width)
    for row in range(batch):
        for head in range(count):
            h = c = n = inputs.new_zeros(width)
            steps = []
            for t in range(time):
                z, i, f, o = (
                    inputs[row, t, gate, head] + h @ weight[head][:, gate * width :][:, :width] for gate in range(4)
                )
                c = f.sigmoid() * c + i.exp() * z.tanh()
                n = f.sigmoid() * n + i.exp()
                h = o.sigmoid() * c / n
                steps.append(h)
            outs[row, :, head] = torch.stack(steps)
    return outs


def test_the_recurrence_is_that_of_the_definition_gradients_too():
    generator = torch.Generator().manual_seed(0)
    inputs = 2 * torch.randn(2, 9, 4, 3, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, 5, 20, generator=generator, dtype=torch.float64)
    told = []
    for op in (lambda *x: slstm(*x, None)[0], by_definition):
        leaves = [inputs.clone().requires_grad_(), weight.clone().requires_grad_()]
        out = op(*leaves)
        out.sin().sum().backward()
        told.append([out.detach(), *(x.grad for x in leaves)])
    for got, expected in zip(*told, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("gate", [-500.0, 500.0])
def test_input_gates_of_any_size_stay_finite(gate):
    inputs = torch.randn(1, 6, 4, 1, 3, generator=torch.Generator().manual_seed(1))
    inputs[:, ::2, 1] = gate
    inputs.requires_grad_()
    out, hidden = slstm(inputs, torch.zeros(1, 3, 12), None)
    out.sum().backward()
    assert out.isfinite().all() and inputs.grad.isfinite().all() and all(each.isfinite().all() for each in hidden)
    assert (out.abs() <= 1).all()
