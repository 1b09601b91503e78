"""Probes: is the state, its parity, or the exact belief a linear function of what the model holds?

Row (b, r) conditions on all text before reveal r of session b: the model has read everything up to the last command,
and not yet the question. Read are the recurrent state and the residual stream, standardised and reduced by PCA fitted
on training sequences; sequences, never tokens, are split. Controls: targets of other sequences (shuffled), an
untrained model, and the position alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats, Game, Ints, Plays, belief_after_action, belief_after_reveal
from trace_mine.eval.results import Result
from trace_mine.eval.sessions import Sessions, sessions_of
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import SyntheticSource
from trace_mine.train.hooks import recording
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.registry import make_model

COMPONENTS = 64
ALPHAS = (1e-3, 1e-1, 1.0, 10.0, 1e3)
SHARES = (0.6, 0.2)
"""Of the sequences, for fitting and for choosing the ridge's strength; the rest is what is told."""
RESAMPLES = 300


@torch.no_grad()
def features(model: SequenceModel, sessions: Sessions) -> dict[str, Floats]:
    """Place -> [batch, reveals, width]: ``layer n state`` (matrix or hidden state, flat) and ``layer n residual``.

    Raises:
        ValueError: reveals stand at different positions in different sessions.
    """
    begins = sessions.batch.reveals[:, :, 0] - sessions.stream.value_offset
    if (begins != begins[0]).any():
        raise ValueError("expected commands of one width, so that reveals stand in line; give per=command")
    device = next(model.parameters()).device
    tokens = torch.from_numpy(sessions.batch.tokens).to(device)
    found: dict[str, list[Floats]] = {}
    carry, first = None, 0
    for begin in begins[0].tolist():
        with recording(model, ("residual",)) as readings:
            carry = model(tokens[:, first:begin], carry, return_carry=True).carry
        first = begin
        for layer, kept in enumerate(carry):
            hidden = state_of(kept)
            if hidden is not None:
                found.setdefault(f"layer {layer} state", []).append(hidden)
            last = readings[layer, "residual"][0][:, -1]
            found.setdefault(f"layer {layer} residual", []).append(last.double().cpu().numpy())
    return {place: np.stack(parts, axis=1) for place, parts in found.items()}


def state_of(carry: Mapping[str, Any]) -> Floats | None:
    """[batch, width] of what a recurrent layer keeps: its matrix state, or an RNN's hidden (and cell); else None."""
    if "state" in carry:
        return np.asarray(carry["state"].detach().flatten(1).double().cpu().numpy())
    if "hidden" in carry:
        parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
        return np.concatenate(
            [part.detach().transpose(0, 1).flatten(1).double().cpu().numpy() for part in parts], axis=1
        )
    return None


def joint_beliefs(game: Game, plays: Plays) -> Floats:
    """[batch, reveals, states]: the exact joint belief before each reveal is asked for (float64, renormalised)."""
    belief = np.tile(np.eye(len(game.holds))[game.start], (len(plays.actions), 1))
    found = np.zeros((len(belief), plays.shown.shape[1], len(game.holds)))
    for step in range(plays.actions.shape[1]):
        belief = belief_after_action(game, belief, plays.actions[:, step])
        if (step + 1) % plays.spacing == 0:
            reveal = (step + 1) // plays.spacing - 1
            found[:, reveal] = belief
            belief = belief_after_reveal(game, belief, plays, reveal)
    return found


def parity(game: Game) -> Ints:
    """[states]: 0 for an even order of items, 1 for an odd one.

    Raises:
        ValueError: states aren't orders of items.
    """
    count = len(game.variables)
    if any(sorted(row) != list(range(count)) for row in game.holds.tolist()):
        raise ValueError("expected states that are orders of the items, for their parity, got others")
    pairs = [(i, k) for i in range(count) for k in range(i + 1, count)]
    return np.array([sum(row[i] > row[k] for i, k in pairs) % 2 for row in game.holds.tolist()])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear:
    """A fitted readout: ``read(x)`` = x @ matrix + offset, [.., width] -> [.., outputs]."""

    matrix: Floats
    offset: Floats

    def read(self, x: Floats) -> Floats:
        """What it reads off."""
        return np.asarray(x @ self.matrix + self.offset)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probed:
    """A probe on held-out sequences: ``value`` (R2 or accuracy) with its 95% interval over them, ``predicted``
    [sequences, reveals, outputs] beside ``true``; ``linear`` for ridge probes.
    """

    value: float
    low: float
    high: float
    count: int
    predicted: Floats
    true: Floats
    linear: Linear | None = None


def split(count: int, seed: int = 0) -> tuple[Ints, Ints, Ints]:
    """Sequences for fitting, choosing and telling.

    Raises:
        ValueError: fewer than five.
    """
    if count < 5:
        raise ValueError(f"expected at least 5 sequences to split, got {count}; take more rows")
    order = np.random.default_rng(seed).permutation(count)
    first, second = round(SHARES[0] * count), round((SHARES[0] + SHARES[1]) * count)
    return order[:first], order[first:second], order[second:]


def ridge(x: Floats, y: Floats, *, components: int = COMPONENTS, seed: int = 0) -> Probed:
    """A ridge probe from x [sequences, reveals, width] to y [sequences, reveals, outputs]: R2 over all outputs,
    against the mean of the fitting sequences.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge

    fit, choose, tell = split(len(x), seed)
    flat = {name: x[rows].reshape(-1, x.shape[-1]) for name, rows in (("fit", fit), ("choose", choose), ("tell", tell))}
    goal = {name: y[rows].reshape(-1, y.shape[-1]) for name, rows in (("fit", fit), ("choose", choose), ("tell", tell))}
    mean, spread = flat["fit"].mean(0), flat["fit"].std(0)
    scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
    count = min(components, flat["fit"].shape[1], len(flat["fit"]) - 1)
    pca = PCA(count, svd_solver="full" if flat["fit"].shape[1] <= 512 else "randomized", random_state=seed)
    pca.fit((flat["fit"] - mean) * scale)
    rotation = scale[:, None] * pca.components_.T
    z = {name: (values - mean) @ rotation for name, values in flat.items()}
    best: tuple[float, Any] | None = None
    for alpha in ALPHAS:
        model = Ridge(alpha=alpha).fit(z["fit"], goal["fit"])
        error = float(((model.predict(z["choose"]).reshape(goal["choose"].shape) - goal["choose"]) ** 2).mean())
        if best is None or error < best[0]:
            best = error, model
    assert best is not None
    weights = np.atleast_2d(best[1].coef_).T
    linear = Linear(matrix=rotation @ weights, offset=best[1].intercept_ - mean @ rotation @ weights)
    predicted = linear.read(x[tell])
    residual = ((predicted - y[tell]) ** 2).sum((1, 2))
    total = ((goal["fit"].mean(0) - y[tell]) ** 2).sum((1, 2))

    def r2(rows: Any) -> float:
        return float(1.0 - residual[rows].sum() / max(total[rows].sum(), 1e-12))

    return _told(r2, len(tell), predicted, y[tell], linear)


def logistic(x: Floats, y: Ints, *, components: int = COMPONENTS, seed: int = 0) -> Probed:
    """A logistic probe from x [sequences, reveals, width] to classes y [sequences, reveals]: accuracy."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit, choose, tell = split(len(x), seed)
    fit = np.concatenate([fit, choose])
    flat = x[fit].reshape(-1, x.shape[-1])
    count = min(components, flat.shape[1], len(flat) - 1)
    solver = "full" if flat.shape[1] <= 512 else "randomized"
    pca = PCA(count, svd_solver=solver, random_state=seed)
    model = make_pipeline(StandardScaler(), pca, StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(flat, y[fit].ravel())
    predicted = model.predict(x[tell].reshape(-1, x.shape[-1])).reshape(y[tell].shape)
    right = (predicted == y[tell]).mean(1)
    shaped = predicted[..., None].astype(float), y[tell][..., None].astype(float)
    return _told(lambda rows: float(right[rows].mean()), len(tell), *shaped, None)


def _told(value: Any, count: int, predicted: Floats, true: Floats, linear: Linear | None) -> Probed:
    generator = np.random.default_rng(0)
    drawn = [value(generator.integers(count, size=count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    whole = value(np.arange(count))
    return Probed(
        value=whole, low=float(low), high=float(high), count=count, predicted=predicted, true=true, linear=linear
    )


def shuffled(y: Any, seed: int = 0) -> Any:
    """Every sequence's targets given to another one, none its own: what is left is what position alone tells."""
    order = np.random.default_rng(seed).permutation(len(y))
    given = np.empty_like(order)
    given[order] = np.roll(order, 1)  # one cycle through all of them
    return y[given]


def positions(x: Floats) -> Floats:
    """[sequences, reveals, 2]: nothing but which reveal it is, and its square."""
    at = np.linspace(0.0, 1.0, x.shape[1])
    return np.tile(np.stack([at, at**2], axis=-1), (len(x), 1, 1))


def untrained(subject: Subject) -> SequenceModel:
    """The same model with fresh parameters."""
    torch.manual_seed(10_007 + subject.seed)
    keys = {**subject.settings.model_keys, "vocab_size": len(subject.source.tokenizer)}
    return make_model(subject.settings.model, **keys).eval()


def probe_run(subject: Subject, *, rows: int = 128) -> list[Result]:
    """Probes of every place to the belief (R2), and to the state and its parity (accuracy), each with its controls.

    Raises:
        ValueError: the run was trained on a dataset, whose rows have no states to probe for.
    """
    if not isinstance(subject.source, SyntheticSource):
        raise ValueError(f"expected a run on a task alone to probe, got {subject.run}, trained on a dataset")
    commands, spacing = subject.trained
    sessions = sessions_of(subject.source, commands=commands, spacing=spacing, rows=max(rows, 20))
    game, plays = sessions.stream.game, sessions.plays
    belief = joint_beliefs(game, plays)
    states = plays.states[:, spacing - 1 :: spacing][:, : plays.shown.shape[1]]
    odd = parity(game)[states]
    found = []
    fresh = features(untrained(subject), sessions)
    for place, x in features(subject.model, sessions).items():
        given = {"": (x, False), "control: untrained": (fresh[place], False), "control: shuffled": (x, True)}
        given["control: position"] = positions(x), False
        for variant, (inputs, wrong) in given.items():
            where = {**subject.named, "variant": variant, "place": place, "commands": commands, "spacing": spacing}
            if game.is_hidden:
                told = ridge(inputs, shuffled(belief) if wrong else belief)
                found.append(_row("probe to the belief, R2", told, "", where))
            for name, target in (("state", states), ("parity", odd)):
                told = logistic(inputs, shuffled(target) if wrong else target)
                found.append(_row(f"probe to the {name}", told, "share", where))
    return found


def _row(metric: str, told: Probed, unit: str, where: dict[str, Any]) -> Result:
    return Result(metric=metric, value=told.value, unit=unit, low=told.low, high=told.high, count=told.count, **where)
