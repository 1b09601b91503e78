"""Probes: linear readouts of the state, its parity, or the exact belief from the activations of a model.

Row (b, r) conditions on all text before reveal r of session b: the model has read everything up to the last command,
but not the question. Probes read the recurrent state and the residual stream, standardised and reduced by PCA. All of
that is fitted on fitting sequences alone, and it is sequences that are split, never tokens.

Three controls say how much of a score is the model's: targets of other sequences (``shuffled``), an untrained model,
and the position alone. Without them R2 looks like more than it is: an untrained DeltaNet's state gives R2 .38 to .47 to
the exact belief, an untrained gated one's .51 to .68, because a random recurrent state remembers a good deal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

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

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

Targets = TypeVar("Targets", Floats, Ints)

# A matrix state has some 2,048 numbers. Read raw with few sequences, a ridge fits noise: R2 .88 on the fitting
# sequences, .50 on held-out ones, -4.2 at 8 times the length.
COMPONENTS = 64
ALPHAS = (1e-3, 1e-1, 1.0, 10.0, 1e3)
"""Strengths of the ridge penalty among which the choosing sequences decide."""
SHARES = (0.6, 0.2)
"""Shares of the sequences for fitting and for choosing the ridge's strength; results are of the rest, held out."""
# Fewer than the 1,000 of other intervals: a run has hundreds of probes (places by targets by controls).
RESAMPLES = 300


def features(model: SequenceModel, sessions: Sessions) -> dict[str, Floats]:
    """Record what a model holds before every question, as place -> [batch, reveals, width].

    Places are ``layer n state`` (the matrix or hidden state, flattened) of recurrent layers, and ``layer n residual``
    (the residual stream after the layer, at the last token read) of all. The model reads a session in pieces, from one
    question's begin to the next one's, and hands its carry on.

    Raises:
        ValueError: reveals stand at different positions in different sessions.
    """
    # a reveal's position is its value's; the question begins ``value_offset`` tokens before that
    begins = sessions.batch.reveals[:, :, 0] - sessions.stream.value_offset
    if (begins != begins[0]).any():
        raise ValueError("expected commands of one width, so that reveals stand in line; give per=command")
    parts: dict[str, list[Floats]] = {}
    carry, first = None, 0
    with evaluating(model) as device:
        tokens = torch.from_numpy(sessions.batch.tokens).to(device)
        for begin in begins[0].tolist():
            with recording(model, ("residual",)) as readings:
                # on from the last carry: to read every prefix from its begin would cost the square of the length
                carry = model(tokens[:, first:begin], carry, return_carry=True).carry
            first = begin
            for layer, layer_carry in enumerate(carry):
                state = state_of(layer_carry)
                if state is not None:
                    parts.setdefault(f"layer {layer} state", []).append(state)
                last = readings[layer, "residual"][0][:, -1]
                parts.setdefault(f"layer {layer} residual", []).append(last.double().cpu().numpy())
    return {place: np.stack(by_reveal, axis=1) for place, by_reveal in parts.items()}


def state_of(carry: Carry) -> Floats | None:
    """Flatten a recurrent layer's state to [batch, width]: its matrix state, or an RNN's hidden (and cell) state.

    Layers that keep no state (attention keeps all it has read) give None.
    """
    if "state" in carry:
        return np.asarray(carry["state"].detach().flatten(1).double().cpu().numpy())
    if "hidden" in carry:
        parts = carry["hidden"] if isinstance(carry["hidden"], tuple) else (carry["hidden"],)
        return np.concatenate(
            [part.detach().transpose(0, 1).flatten(1).double().cpu().numpy() for part in parts], axis=1
        )
    return None


def parity(game: Game) -> Ints:
    """[states]: 0 where the items stand in an even permutation, 1 in an odd one.

    Parity is the hard part of the state: every swap changes it, so it can't be read off the last few commands.

    Raises:
        ValueError: states aren't orders of items.
    """
    count = len(game.variables)
    if any(sorted(row) != list(range(count)) for row in game.holds.tolist()):
        raise ValueError("expected states that are orders of the items, for their parity, got others")
    # the parity of a permutation is that of its number of inversions, pairs of items in the wrong order
    pairs = [(i, k) for i in range(count) for k in range(i + 1, count)]
    return np.array([sum(row[i] > row[k] for i, k in pairs) % 2 for row in game.holds.tolist()])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear:
    """A fitted readout of raw features: ``matrix`` [width, outputs] and ``offset`` [outputs]."""

    matrix: Floats
    offset: Floats

    def __post_init__(self) -> None:
        if self.matrix.shape[1:] != self.offset.shape:
            raise ValueError(f"expected one offset an output, got {self.offset.shape} for {self.matrix.shape}")

    def read(self, x: Floats) -> Floats:
        """Apply the readout: [.., width] -> [.., outputs]."""
        return np.asarray(x @ self.matrix + self.offset)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probed:
    """The result of a probe on ``count`` held-out sequences.

    ``value`` is R2 or accuracy, ``low`` and ``high`` its 95% interval over sequences. ``predicted`` stands beside
    ``true`` [sequences, reveals, outputs]. ``linear`` is the readout, of ridge probes alone.
    """

    value: float
    low: float
    high: float
    count: int
    predicted: Floats
    true: Floats
    linear: Linear | None = None

    def __post_init__(self) -> None:
        if self.predicted.shape != self.true.shape or len(self.true) != self.count:
            raise ValueError(
                f"expected {self.count} sequences, predicted and true, got {self.predicted.shape}, {self.true.shape}"
            )


def split(count: int, seed: int = 0) -> tuple[Ints, Ints, Ints]:
    """Split the numbers of ``count`` sequences into three parts: for fitting, for choosing, and held out.

    Raises:
        ValueError: fewer than five.
    """
    if count < 5:
        raise ValueError(f"expected at least 5 sequences to split, got {count}; take more rows")
    # drawn, so that the parts don't depend on the order in which the sessions were made
    order = np.random.default_rng(seed).permutation(count)
    first, second = round(SHARES[0] * count), round((SHARES[0] + SHARES[1]) * count)
    return order[:first], order[first:second], order[second:]


def ridge(x: Floats, y: Floats, *, components: int = COMPONENTS, seed: int = 0) -> Probed:
    """Fit a ridge probe from x [sequences, reveals, width] to y [sequences, reveals, outputs].

    Scales, principal components and weights are fitted on the fitting sequences alone. The penalty's strength is chosen
    on the choosing ones, and the held-out ones are read once, at the end. ``value`` is R2 over all outputs together,
    1 - residual / total, where the total is the squared distance from the mean of the fitting sequences.
    """
    from sklearn.linear_model import Ridge

    fit, choose, held_out = split(len(x), seed)
    x_fit, y_fit = as_rows(x[fit]), as_rows(y[fit])
    rotation, mean = standardised_components(x_fit, components, seed)
    z_fit, z_choose, y_choose = (x_fit - mean) @ rotation, (as_rows(x[choose]) - mean) @ rotation, as_rows(y[choose])
    # five fits, since z is small after PCA; strengths a hundred apart, since the error is flat around the best
    models = [Ridge(alpha=alpha).fit(z_fit, y_fit) for alpha in ALPHAS]
    errors = [((model.predict(z_choose).reshape(y_choose.shape) - y_choose) ** 2).mean() for model in models]
    best = models[int(np.argmin(errors))]
    # (x - mean) @ rotation @ weights + intercept, written as one linear map of x: steering pushes x along it
    weights = np.atleast_2d(best.coef_).T
    linear = Linear(matrix=rotation @ weights, offset=best.intercept_ - mean @ rotation @ weights)
    predicted = linear.read(x[held_out])
    # one number a sequence, so that the bootstrap can draw sequences
    residual = ((predicted - y[held_out]) ** 2).sum((1, 2))
    total = ((y_fit.mean(0) - y[held_out]) ** 2).sum((1, 2))

    def r2(rows: Ints) -> float:
        return float(1.0 - residual[rows].sum() / max(total[rows].sum(), 1e-12))

    return _probed(r2, predicted, y[held_out], linear)


def standardised_components(x: Floats, components: int, seed: int) -> tuple[Floats, Floats]:
    """Fit the principal components of standardised x [rows, width], as (rotation [width, components], mean [width]).

    The components of x are (x - mean) @ rotation: dividing by the spread is part of the rotation.
    """
    mean, spread = x.mean(0), x.std(0)
    # a feature that never varies (spread of rounding errors) gets 0: divided by its spread it would be noise of size 1
    scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
    pca = make_pca(x, components, seed).fit((x - mean) * scale)
    return scale[:, None] * pca.components_.T, mean


def make_pca(x: Floats, components: int, seed: int) -> PCA:
    """Make an unfitted PCA for features like x [rows, width], with as many components as x can have."""
    from sklearn.decomposition import PCA

    # the exact solver's time grows with the cube of the width; the randomised one is seeded, so it repeats
    solver = "full" if x.shape[1] <= 512 else "randomized"
    return PCA(n_components=min(components, x.shape[1], len(x) - 1), svd_solver=solver, random_state=seed)


def as_rows(values: Floats) -> Floats:
    """Reshape [sequences, reveals, width] to [sequences * reveals, width], the order of rows kept."""
    return values.reshape(-1, values.shape[-1])


def logistic(x: Floats, y: Ints, *, components: int = COMPONENTS, seed: int = 0) -> Probed:
    """Fit a logistic probe from x [sequences, reveals, width] to classes y [sequences, reveals]; ``value`` is accuracy.

    It has no strength to choose, so the choosing sequences serve for fitting too. The held-out sequences are those of
    ``ridge``, so that both probes' numbers are of the same ones.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit, choose, held_out = split(len(x), seed)
    fitted = np.concatenate([fit, choose])
    x_fit = as_rows(x[fitted])
    pca = make_pca(x_fit, components, seed)
    # scaled again after PCA, for the penalty of the logistic regression is on weights of components of one size
    model = make_pipeline(StandardScaler(), pca, StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(x_fit, y[fitted].ravel())
    predicted = model.predict(as_rows(x[held_out])).reshape(y[held_out].shape)
    correct = (predicted == y[held_out]).mean(1)
    with_axis = predicted[..., None].astype(float), y[held_out][..., None].astype(float)
    return _probed(lambda rows: float(correct[rows].mean()), *with_axis, None)


def _probed(value: Callable[[Ints], float], predicted: Floats, true: Floats, linear: Linear | None) -> Probed:
    """The probe's number on all held-out sequences with its interval; ``value(rows)`` is the number on some of them."""
    count = len(true)
    low, high = interval_of(value, count, RESAMPLES)
    over_all = value(np.arange(count))
    return Probed(value=over_all, low=low, high=high, count=count, predicted=predicted, true=true, linear=linear)


def shuffled(y: Targets, seed: int = 0) -> Targets:
    """Give every sequence's targets y [sequences, ...] to another sequence.

    A probe of shuffled targets can use only what all sequences have in common at a reveal, that is the position.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    giver = np.empty_like(order)
    # one cycle through all sequences: a mere permutation leaves one sequence, on average, with its own targets
    giver[order] = np.roll(order, 1)
    return y[giver]


def positions(x: Floats) -> Floats:
    """Make features that hold nothing but the position, [sequences, reveals, 2]: the share of reveals, and its square.

    The square lets a linear probe follow a quantity that rises and levels off, as the entropy of a belief does.
    """
    at = np.linspace(0.0, 1.0, x.shape[1])
    return np.tile(np.stack([at, at**2], axis=-1), (len(x), 1, 1))


def untrained(subject: Subject) -> SequenceModel:
    """Make the subject's model with fresh parameters, seeded: the control that says what a random state remembers."""
    # away from the seeds of training, lest this be the very model that training began from
    torch.manual_seed(10_007 + subject.seed)
    keys = {**subject.settings.model_keys, "vocab_size": len(subject.task_batches.tokenizer)}
    return make_model(subject.settings.model, **keys).eval()


def probe_run(subject: Subject, *, rows: int = 128) -> list[Result]:
    """Probe every place of a run for the belief (R2), and for the state and its parity (accuracy), with all controls.

    ``rows`` test sessions of the trained size are split; fewer than 20 are raised to 20. The ``variant`` of a result is
    empty for the model's own probe and else the control. Beliefs are probed where outcomes are hidden only: elsewhere
    the belief is the state.

    Raises:
        ValueError: the run was trained on a dataset, whose rows have no states to probe for.
    """
    commands, spacing = subject.trained
    # with fewer than 20 the held-out part would be under four sequences
    sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=max(rows, 20))
    game, plays = sessions.stream.game, sessions.plays
    belief = joint_beliefs(game, plays)
    # the state at a reveal is the one after the last command before it
    states = plays.states[:, spacing - 1 :: spacing][:, : plays.shown.shape[1]]
    parities = parity(game)[states]
    results = []
    untrained_features = features(untrained(subject), sessions)
    for place, x in features(subject.model, sessions).items():
        # (what is read, True where the targets are other sequences')
        cases = {"": (x, False), "control: untrained": (untrained_features[place], False)}
        cases |= {"control: shuffled": (x, True), "control: position": (positions(x), False)}
        for variant, (inputs, is_shuffled) in cases.items():
            where: dict[str, Where] = {**subject.named, "variant": variant, "place": place}
            where |= {"commands": commands, "spacing": spacing}
            if game.is_hidden:
                probed = ridge(inputs, shuffled(belief) if is_shuffled else belief)
                results.append(_result("probe to the belief, R2", probed, "", where))
            for name, target in (("state", states), ("parity", parities)):
                probed = logistic(inputs, shuffled(target) if is_shuffled else target)
                results.append(_result(f"probe to the {name}", probed, "share", where))
    return results


def _result(metric: str, probed: Probed, unit: str, where: dict[str, Where]) -> Result:
    interval: dict[str, Where] = {"low": probed.low, "high": probed.high, "count": probed.count}
    return number(metric, probed.value, unit=unit, **interval, **where)
