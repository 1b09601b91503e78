"""PD-SSM against its definition, state by state; and an automaton set by hand that it runs without an error."""

from __future__ import annotations

import cmath

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.models.pd_ssm import chosen_maps, run_piece  # noqa: E402


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def test_states_are_sent_on_one_by_one():
    weights, dictionary = normal(2, 5, 3, 4).softmax(-1), normal(3, 4, 6, 6)
    diagonal, inputs, state = normal(2, 5, 3, 6, 2), normal(2, 5, 3, 6, 2), normal(2, 3, 6, 2)
    states, last = run_piece(weights, dictionary, diagonal, inputs, state)
    for row in range(2):
        for head in range(3):
            now = [complex(*pair) for pair in state[row, head].tolist()]
            for t in range(5):
                mixture = sum(weights[row, t, head, m] * dictionary[head, m] for m in range(4))
                then = [complex(*pair) for pair in inputs[row, t, head].tolist()]
                for n, value in enumerate(now):
                    then[int(mixture[:, n].argmax())] += complex(*diagonal[row, t, head, n].tolist()) * value
                now = then
                for got, expected in zip(states[row, t, head].tolist(), now, strict=True):
                    assert cmath.isclose(complex(*got), expected, abs_tol=1e-10)
    assert torch.equal(last, states[:, -1])


def test_maps_have_one_target_a_state_and_the_gradient_of_a_softmax():
    weights, dictionary = normal(3, 2, 4).softmax(-1), normal(2, 4, 5, 5).requires_grad_()
    maps = chosen_maps(weights, dictionary)
    assert torch.equal(maps.detach().sum(-2), torch.ones(3, 2, 5)) and set(maps.detach().unique().tolist()) == {
        0.0,
        1.0,
    }
    toward = normal(3, 2, 5, 5)
    (got,) = torch.autograd.grad((maps * toward).sum(), dictionary)
    soft = torch.einsum("bhm,hmij->bhij", weights, dictionary).softmax(-2)
    (expected,) = torch.autograd.grad((soft * toward).sum(), dictionary)
    torch.testing.assert_close(got, expected)


def test_one_layer_runs_an_automaton_exactly():
    """Two swaps make all six orders of three items: after 2,000 of them not a digit is lost."""
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    swaps = [(1, 0, 2), (0, 2, 1)]
    dictionary = torch.zeros(1, 2, 6, 6)
    for number, swap in enumerate(swaps):
        for state, order in enumerate(orders):
            dictionary[0, number, orders.index(tuple(order[i] for i in swap)), state] = 1.0
    commands = torch.randint(2, (2_000,), generator=torch.Generator().manual_seed(0))
    weights = torch.nn.functional.one_hot(commands, 2).float()[None, :, None]
    diagonal = torch.tensor([1.0, 0.0]).expand(1, 2_000, 1, 6, 2)
    start = torch.zeros(1, 1, 6, 2)
    start[..., 0, 0] = 1.0
    states, _ = run_piece(weights, dictionary, diagonal, torch.zeros(1, 2_000, 1, 6, 2), start)
    order = orders[0]
    for t, command in enumerate(commands.tolist()):
        order = tuple(order[i] for i in swaps[command])
        assert states[0, t, 0, :, 0].tolist() == [float(each == order) for each in orders], t
