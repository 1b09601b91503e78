"""Probes: is the state, its parity, or the exact belief a linear function of what the model holds?

Row (b, r) conditions on all text before reveal r of session b: the model has read everything up to the last command,
and not yet the question. Read are the recurrent state and the residual stream, standardised and reduced by PCA fitted
on training sequences; sequences, never tokens, are split. Controls: targets of other sequences (shuffled), an
untrained model, and the position alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Floats, Game, Ints
from trace_mine.eval.intervals import interval_of
from trace_mine.eval.results import Result, Where, number
from trace_mine.eval.subjects import Subject
from trace_mine.train.hooks import recording
from trace_mine.train.measure.laws import joint_beliefs
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.layers import Carry
from trace_mine.train.models.registry import make_model

COMPONENTS = 64
ALPHAS = (1e-3, 1e-1, 1.0, 10.0, 1e3)
SHARES = (0.6, 0.2)
"""Of the sequences, for fitting and for choosing the ridge's strength; the rest is held out, and what results say."""
RESAMPLES = 300


def features(model: SequenceModel, sessions: Sessions) -> dict[str, Floats]:
    """Place -> [batch, reveals, width]: ``layer n state`` (matrix or hidden state, flat) and ``layer n residual``.

    Raises:
        ValueError: reveals stand at different positions in different sessions.
    """
    begins = sessions.batch.reveals[:, :, 0] - sessions.stream.value_offset
    if (begins != begins[0]).any():
        raise ValueError("expected commands of one width, so that reveals stand in line; give per=command")
    parts: dict[str, list[Floats]] = {}
    carry, first = None, 0
    with evaluating(model) as device:
        tokens = torch.from_numpy(sessions.batch.tokens).to(device)
        for begin in begins[0].tolist():
            with recording(model, ("residual",)) as readings:
                carry = model(tokens[:, first:begin], carry, return_carry=True).carry
            first = begin
            for layer, kept in enumerate(carry):
                hidden = state_of(kept)
                if hidden is not None:
                    parts.setdefault(f"layer {layer} state", []).append(hidden)
                last = readings[layer, "residual"][0][:, -1]
                parts.setdefault(f"layer {layer} residual", []).append(last.double().cpu().numpy())
    return {place: np.stack(by_reveal, axis=1) for place, by_reveal in parts.items()}


def state_of(carry: Carry) -> Floats | None:
    """[batch, width] of what a recurrent layer keeps: its matrix state, or an RNN's hidden (and cell); else None."""
    if "state" in carry:
        return np.asarray(carry["state"].detach().flatten(1).double().cpu().numpy())
    if "hidden" in carry:
        parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
        return np.concatenate(
            [part.detach().transpose(0, 1).flatten(1).double().cpu().numpy() for part in parts], axis=1
        )
    return None


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
    """(for fitting, for choosing, held out): the numbers of the sequences, each in one of the three.

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

    Scales, principal components and weights are fitted on the fitting sequences alone, the strength is chosen on the
    choosing ones, and the held-out ones are read once.
    """
    from sklearn.linear_model import Ridge

    fit, choose, held_out = split(len(x), seed)
    x_fit, y_fit = flat(x[fit]), flat(y[fit])
    rotation, mean = standardised_components(x_fit, components, seed)
    z_fit, z_choose, y_choose = (x_fit - mean) @ rotation, (flat(x[choose]) - mean) @ rotation, flat(y[choose])
    models = [Ridge(alpha=alpha).fit(z_fit, y_fit) for alpha in ALPHAS]
    errors = [((model.predict(z_choose).reshape(y_choose.shape) - y_choose) ** 2).mean() for model in models]
    best = models[int(np.argmin(errors))]
    weights = np.atleast_2d(best.coef_).T
    linear = Linear(matrix=rotation @ weights, offset=best.intercept_ - mean @ rotation @ weights)
    predicted = linear.read(x[held_out])
    residual = ((predicted - y[held_out]) ** 2).sum((1, 2))
    total = ((y_fit.mean(0) - y[held_out]) ** 2).sum((1, 2))

    def r2(rows: Ints) -> float:
        return float(1.0 - residual[rows].sum() / max(total[rows].sum(), 1e-12))

    return _probed(r2, predicted, y[held_out], linear)


def standardised_components(x: Floats, components: int, seed: int) -> tuple[Floats, Floats]:
    """(rotation [width, components], mean [width]) of the principal components of standardised x [rows, width], so that
    (x - mean) @ rotation are theirs. A feature that hardly varies is left out rather than blown up.
    """
    from sklearn.decomposition import PCA

    mean, spread = x.mean(0), x.std(0)
    scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
    pca = PCA(**pca_settings(x, components, seed)).fit((x - mean) * scale)
    return scale[:, None] * pca.components_.T, mean


def pca_settings(x: Floats, components: int, seed: int) -> dict[str, Any]:
    """PCA's arguments for x [rows, width]: exact where that is fast, randomised and seeded for wide features."""
    solver = "full" if x.shape[1] <= 512 else "randomized"
    return {"n_components": min(components, x.shape[1], len(x) - 1), "svd_solver": solver, "random_state": seed}


def flat(values: Floats) -> Floats:
    """[sequences, reveals, width] as [sequences * reveals, width]."""
    return values.reshape(-1, values.shape[-1])


def logistic(x: Floats, y: Ints, *, components: int = COMPONENTS, seed: int = 0) -> Probed:
    """A logistic probe from x [sequences, reveals, width] to classes y [sequences, reveals]: accuracy. Nothing is
    chosen for it, so that the choosing sequences are fitted on too; the held-out ones are those of ``ridge``.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit, choose, held_out = split(len(x), seed)
    fitted = np.concatenate([fit, choose])
    x_fit = flat(x[fitted])
    pca = PCA(**pca_settings(x_fit, components, seed))
    model = make_pipeline(StandardScaler(), pca, StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(x_fit, y[fitted].ravel())
    predicted = model.predict(flat(x[held_out])).reshape(y[held_out].shape)
    right = (predicted == y[held_out]).mean(1)
    shaped = predicted[..., None].astype(float), y[held_out][..., None].astype(float)
    return _probed(lambda rows: float(right[rows].mean()), *shaped, None)


def _probed(value: Callable[[Ints], float], predicted: Floats, true: Floats, linear: Linear | None) -> Probed:
    """``value(rows)`` is the probe's number on these of the held-out sequences."""
    count = len(true)
    low, high = interval_of(value, count, RESAMPLES)
    whole = value(np.arange(count))
    return Probed(value=whole, low=low, high=high, count=count, predicted=predicted, true=true, linear=linear)


def shuffled(y: NDArray[Any], seed: int = 0) -> NDArray[Any]:
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
    keys = {**subject.settings.model_keys, "vocab_size": len(subject.task_batches.tokenizer)}
    return make_model(subject.settings.model, **keys).eval()


def probe_run(subject: Subject, *, rows: int = 128) -> list[Result]:
    """Probes of every place to the belief (R2), and to the state and its parity (accuracy), each with its controls.

    Raises:
        ValueError: the run was trained on a dataset, whose rows have no states to probe for.
    """
    commands, spacing = subject.trained
    sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=max(rows, 20))
    game, plays = sessions.stream.game, sessions.plays
    belief = joint_beliefs(game, plays)
    states = plays.states[:, spacing - 1 :: spacing][:, : plays.shown.shape[1]]
    odd = parity(game)[states]
    results = []
    fresh = features(untrained(subject), sessions)
    for place, x in features(subject.model, sessions).items():
        cases = {"": (x, False), "control: untrained": (fresh[place], False), "control: shuffled": (x, True)}
        cases["control: position"] = positions(x), False
        for variant, (inputs, wrong) in cases.items():
            where: dict[str, Where] = {**subject.named, "variant": variant, "place": place}
            where |= {"commands": commands, "spacing": spacing}
            if game.is_hidden:
                probed = ridge(inputs, shuffled(belief) if wrong else belief)
                results.append(_row("probe to the belief, R2", probed, "", where))
            for name, target in (("state", states), ("parity", odd)):
                probed = logistic(inputs, shuffled(target) if wrong else target)
                results.append(_row(f"probe to the {name}", probed, "share", where))
    return results


def _row(metric: str, probed: Probed, unit: str, where: dict[str, Where]) -> Result:
    interval: dict[str, Where] = {"low": probed.low, "high": probed.high, "count": probed.count}
    return number(metric, probed.value, unit=unit, **interval, **where)
