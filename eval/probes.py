"""Probes: is the state, its parity, or the exact belief a linear function of what the model holds?

Read are the embedding, the residual stream and the recurrent state (``eval.features``), standardised and reduced by PCA
fitted on training sequences; sequences, never tokens, are split, and the strength of the regularisation is chosen on
sequences of their own. Controls: targets of other sequences (shuffled), an untrained model, and the position alone.
Not covered: whether the model uses what a probe reads; ``eval.steering`` asks that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from corpus.synthetic.game import Floats, Game, Ints
from eval.features import features, has_parity, joint_beliefs, parity, true_states
from eval.results import Result
from eval.sessions import sessions_of
from eval.subjects import Subject
from train.models.language_model import SequenceModel
from train.models.registry import make_model

COMPONENTS = 64
ALPHAS = (1e-3, 1e-1, 1.0, 10.0, 1e3)
"""Strengths of the ridge that are tried."""
INVERSES = (1e-2, 1e-1, 1.0)
"""Of the logistic probe's, inverted as scikit-learn has it."""
SHARES = (0.6, 0.2)
"""Of the sequences, for fitting and for choosing the strength; the rest is what is told."""
RESAMPLES = 300


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
    with np.errstate(invalid="ignore"):  # features that never vary have no shares of variance, and need none
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
    flat = x[fit].reshape(-1, x.shape[-1])
    count = min(components, flat.shape[1], len(flat) - 1)
    solver = "full" if flat.shape[1] <= 512 else "randomized"
    scaled = make_pipeline(StandardScaler(), PCA(count, svd_solver=solver, random_state=seed), StandardScaler())
    with np.errstate(invalid="ignore"):  # as for ridge
        z = scaled.fit_transform(flat)
    chosen = scaled.transform(x[choose].reshape(-1, x.shape[-1]))
    tried = [LogisticRegression(C=inverse, max_iter=300).fit(z, y[fit].ravel()) for inverse in INVERSES]
    best = max(tried, key=lambda each: float(each.score(chosen, y[choose].ravel())))
    predicted = best.predict(scaled.transform(x[tell].reshape(-1, x.shape[-1]))).reshape(y[tell].shape)
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
    """Every sequence's targets given to another one, none to its own: what is left is what position alone tells."""
    order = np.random.default_rng(seed).permutation(len(y))
    given = np.empty_like(y)
    given[order] = y[np.roll(order, 1)]
    return given


def positions(x: Floats) -> Floats:
    """[sequences, reveals, reveals]: nothing but which reveal it is, one-hot; the best guess is the mean there."""
    return np.tile(np.eye(x.shape[1]), (len(x), 1, 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simplex:
    """Laws over three values as points of a triangle [points, 2] with these ``corners`` [3, 2]; ``colours`` [points, 3]
    mix one for each corner by the true law, so that a probed point shows where it should be.
    """

    true: Floats
    probed: Floats
    colours: Floats
    corners: Floats


CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
COLOURS = np.array([[0.0, 0.447, 0.698], [0.835, 0.369, 0.0], [0.0, 0.62, 0.451]])
"""Of Okabe and Ito: told apart by the colour-blind."""


def simplex_points(game: Game, probed: Probed, variable: int = 0) -> Simplex:
    """The marginal of one variable, true and as a probe to the joint belief reads it, which may lie outside.

    Raises:
        ValueError: the game hasn't three items.
    """
    if len(game.items) != 3:
        raise ValueError(f"expected a game of three items for a triangle, got {len(game.items)}")
    held = np.eye(3)[game.holds[:, variable]]
    true, read = ((law @ held).reshape(-1, 3) for law in (probed.true, probed.predicted))
    return Simplex(true=true @ CORNERS, probed=read @ CORNERS, colours=np.clip(true @ COLOURS, 0, 1), corners=CORNERS)


def untrained(subject: Subject) -> SequenceModel:
    """The same model with fresh parameters."""
    torch.manual_seed(10_007 + subject.seed)
    keys = {**subject.settings.model_keys, "vocab_size": len(subject.source.tokenizer)}
    return make_model(subject.settings.model, **keys).eval()


def probe_run(subject: Subject, *, rows: int = 128) -> list[Result]:
    """Probes of every place, each with its controls: before the question to the joint belief (R2), the state and its
    parity (accuracy); before the value to the law of what is asked (R2), or to the value where nothing is hidden.

    What has one class only, or none (the parity of states that aren't orders), has no row.
    """
    commands, spacing = subject.trained
    sessions = sessions_of(subject.source, commands=commands, spacing=spacing, rows=max(rows, 20))
    game, states = sessions.stream.game, true_states(sessions.plays)
    classes = {"state": states} | ({"parity": parity(game)[states]} if has_parity(game) else {})
    laws = {"belief": joint_beliefs(game, sessions.plays)} if game.is_hidden else {}
    asked: dict[str, Any] = {"asked law": sessions.exact} if game.is_hidden else {}
    shows = {} if game.is_hidden else {"asked value": sessions.shown}
    size = {"commands": commands, "spacing": spacing}
    fresh, found = untrained(subject), []
    for point, linear, chosen in (("question", laws, classes), ("value", asked, shows)):
        blank = features(fresh, sessions, point)
        for place, x in features(subject.model, sessions, point).items():
            if point == "value" and place.endswith("state"):
                continue  # it is read before the question; what is asked is drawn from it into the residual
            given = {"": (x, False), "control: untrained": (blank[place], False), "control: shuffled": (x, True)}
            given["control: position"] = positions(x), False
            for variant, (inputs, wrong) in given.items():
                where = {**subject.named, **size, "variant": variant, "place": place}
                for name, law in linear.items():
                    told = ridge(inputs, shuffled(law) if wrong else law)
                    found.append(_row(f"probe to the {name}, R2", told, "", where))
                for name, target in chosen.items():
                    if len(np.unique(target[split(len(target))[0]])) > 1:
                        told = logistic(inputs, shuffled(target) if wrong else target)
                        found.append(_row(f"probe to the {name}", told, "share", where))
    return found


def _row(metric: str, told: Probed, unit: str, where: dict[str, Any]) -> Result:
    return Result(metric=metric, value=told.value, unit=unit, low=told.low, high=told.high, count=told.count, **where)
