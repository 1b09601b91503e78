"""What the heads of a delta-rule model do: their beta, eigenvalues and decays by kind of token, and how many directions
their keys take.

A step of the delta rule is S <- a (I - beta k k^T) S + beta k v^T with a unit key k: its eigenvalues are the decay a
(1 where the model has none), and a (1 - beta) along k. beta near 2 reflects (-1: what swaps need), beta 1 overwrites,
beta 0 leaves alone. Mamba-2 has no beta: all its eigenvalues are a, with a sign where the model is signed.
NOT covered: keys are taken to be of length 1 (they are up to 1e-6 / |k|^2); an eigenvalue near -1 says that a head
could track state, not that it does: see ``eval.interventions``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus.synthetic.game import Floats, Ints
from eval.results import Result, measured
from eval.sessions import Sessions
from train.hooks import recording
from train.models.delta_net import MatrixMixer
from train.models.language_model import SequenceModel

REFLECTS = 1.9
"""beta above it is an eigenvalue below -0.9."""
PERCENTILES = (5, 25, 50, 75, 95)
SHARES = (0.9, 0.95, 0.99)
RESAMPLES = 100
CONSTANT = 1e-12
"""Variance of unit keys below which they are one key."""
ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """``ids`` [B, T] filled up on the right after ``lengths`` [B]; ``kinds`` [B, T]: indices into ``names``, -1 where
    a token is none of them or is filling.
    """

    ids: Ints
    lengths: Ints
    kinds: Ints
    names: tuple[str, ...]

    @property
    def real(self) -> NDArray[np.bool_]:
        """[B, T]: whether a token belongs to its row."""
        return np.asarray(np.arange(self.ids.shape[1]) < self.lengths[:, None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transitions:
    """One layer's, where the row has no such token nan. ``beta`` [B, T, n, H] (n updates a token, 1 but for
    DeltaProduct; None for Mamba-2); ``decay`` [B, T, H] (None: 1 always).
    """

    layer: int
    beta: Floats | None
    decay: Floats | None

    @property
    def eigenvalues(self) -> Floats:
        """[B, T, n, H]: a (1 - beta), of Mamba-2 a. A token's decay is counted with the first of its n updates."""
        if self.beta is None:
            assert self.decay is not None
            return self.decay[:, :, None]
        found = 1.0 - self.beta
        if self.decay is not None:
            found[:, :, 0] *= self.decay
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeySpace:
    """Principal components of one head's keys: ``shares`` [K] of the variance, greatest first (zeros where all keys are
    one), over ``count`` keys; ``components``: share -> how many hold it, with 95% bounds over resampled sequences.
    ``effective``: (sum of variances)^2 / sum of squared variances, K where all are alike.
    """

    layer: int
    head: int
    which: str
    shares: Floats
    count: int
    components: dict[float, tuple[int, float, float]]
    effective: float


def tokens_of_sessions(sessions: Sessions, *, by_word: bool = False) -> Tokens:
    """A task's sessions; kinds are the class of a word and the part of the session, as in ``names in commands``, or
    (``by_word``) the word itself, as in ``'a' in commands``.
    """
    game, stream, ids = sessions.stream.game, sessions.stream, sessions.batch.tokens
    classes = np.array([repr(word) if by_word else _class(word, game.variables) for word in stream.vocabulary])
    if not by_word:
        classes[stream.label_tokens] = "values"
    opens = np.array([word.startswith(">>> ") for word in stream.vocabulary])
    statement = np.cumsum(opens[ids], axis=1) - 1 - len(game.opening)
    is_reveal = (statement + 1) % (sessions.plays.spacing + 1) == 0
    parts = np.where(statement < 0, "the opening", np.where(is_reveal, "reveals", "commands"))
    told = np.char.add(np.char.add(classes[ids], " in "), parts)
    real = np.arange(ids.shape[1]) < sessions.batch.lengths[:, None]
    names = tuple(str(name) for name in np.unique(told[real]))
    return Tokens(ids=ids, lengths=sessions.batch.lengths, kinds=_numbered(told, real, names), names=names)


def tokens_of_rows(rows: Sequence[Any], max_length: int) -> Tokens:
    """A dataset's encoded rows (``tokenizer.encoded.Encoded``), cut at ``max_length``; kinds are roles."""
    from tokenizer.encoded import ROLES
    from train.batches import padded

    told = padded(rows, max_length)
    lengths = np.array([min(len(row.ids), told["input_ids"].shape[1]) for row in rows])
    ids, roles = told["input_ids"].numpy(), told["roles"].numpy()
    return Tokens(ids=ids, lengths=lengths, kinds=roles.astype(np.int64), names=ROLES)


def transitions(model: SequenceModel, tokens: Tokens) -> list[Transitions]:
    """Every layer's beta and decay on the tokens.

    Raises:
        ValueError: no layer has a beta or a decay.
    """
    points = {n: [p for p in ("beta", "log_decay") if p in b.mixing.points] for n, b in enumerate(model.blocks)}
    places = [(layer, point) for layer, told in points.items() for point in told]
    if not places:
        raise ValueError(f"expected a model with beta or decays, got {type(model).__name__}, which has neither")
    with _signs(model) as signs:
        read = _read(model, tokens, places)
    missing = ~tokens.real
    found = []
    for layer in sorted({layer for layer, _ in places}):
        beta = decay = None
        if "beta" in points[layer]:
            raw = read[layer, "beta"]
            beta = raw.reshape(len(raw), tokens.ids.shape[1], -1, raw.shape[-1]).copy()
            beta[missing] = np.nan
        if "log_decay" in points[layer]:
            decay = np.exp(read[layer, "log_decay"])
            if layer in signs:
                decay *= np.where(torch.cat(signs[layer]).cpu().numpy() < 0, -1.0, 1.0)
            decay[missing] = np.nan
        found.append(Transitions(layer=layer, beta=beta, decay=decay))
    return found


def beta_results(tokens: Tokens, read: Sequence[Transitions], **where: Any) -> list[Result]:
    """For each layer, head and update: mean, percentiles (``at``) and share above 1.9 of beta, and the mean eigenvalue
    and decay, over all tokens and by kind. Intervals over sequences; percentiles have none.
    """
    found: list[Result] = []
    for each in read:
        eigenvalues = each.eigenvalues
        for head in range(eigenvalues.shape[-1]):
            for update in range(eigenvalues.shape[2]):
                of = head_place(each.layer, head)
                if eigenvalues.shape[2] > 1:
                    of += f", update {update + 1}"
                for kind in (None, *range(len(tokens.names))):
                    inside = tokens.real if kind is None else tokens.kinds == kind
                    if not inside.any():
                        continue
                    place = of if kind is None else f"{of}, {tokens.names[kind]}"
                    told = {**where, "place": place}
                    if each.beta is not None:
                        found += _distribution(np.where(inside, each.beta[:, :, update, head], np.nan), told)
                    value = np.where(inside, eigenvalues[:, :, update, head], np.nan)
                    found.append(measured("eigenvalue", value, **told))
                    if each.decay is not None and update == 0:
                        found.append(measured("decay", np.where(inside, each.decay[:, :, head], np.nan), **told))
    return found


def key_spaces(model: SequenceModel, tokens: Tokens, *, above: float = 1.8) -> list[KeySpace]:
    """Each head's keys on the real tokens: ``all keys``, and where at least two have a beta greater than ``above``,
    those (``beta > 1.8``). All updates of a token together. Keys are centred.

    Raises:
        ValueError: no layer has a matrix state, and so keys that directions of a state stand for.
    """
    layers = [n for n, block in enumerate(model.blocks) if isinstance(block.mixing, MatrixMixer)]
    if not layers:
        raise ValueError(f"expected a model with a matrix state, got {type(model).__name__}; name another")
    betas = {n for n in layers if "beta" in model.blocks[n].mixing.points}
    read = _read(model, tokens, [*((layer, "keys") for layer in layers), *((layer, "beta") for layer in betas)])
    found = []
    for layer in layers:
        keys = read[layer, "keys"]
        real = np.repeat(tokens.real, keys.shape[1] // tokens.ids.shape[1], axis=1)
        for head in range(keys.shape[2]):
            chosen = {"all keys": real}
            if layer in betas:
                strong = real & (read[layer, "beta"][:, :, head] > above)
                if strong.sum() > 1:
                    chosen[f"beta > {above:g}"] = strong
            found += [_key_space(keys[:, :, head], inside, layer, head, which) for which, inside in chosen.items()]
    return found


def key_results(spaces: Sequence[KeySpace], **where: Any) -> list[Result]:
    """How many components hold 90, 95 and 99% (``at``) of the variance, and the effective dimension."""
    found = []
    for space in spaces:
        told = {**where, "place": f"{head_place(space.layer, space.head)}, {space.which}", "count": space.count}
        for share, (value, low, high) in space.components.items():
            found.append(Result(metric="key components", value=value, low=low, high=high, at=share, **told))
        found.append(Result(metric="effective dimension of keys", value=space.effective, **told))
    return found


def head_place(layer: int, head: int) -> str:
    """What results call a head."""
    return f"layer {layer}, head {head}"


@torch.no_grad()
def _read(model: SequenceModel, tokens: Tokens, places: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Floats]:
    """(layer, point) -> what stood there, all rows, float64."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with contextlib.ExitStack() as stack:
        told = {(layer, point): stack.enter_context(recording(model, [point], [layer])) for layer, point in places}
        for first in range(0, len(tokens.ids), ROWS_AT_ONCE):
            model(input_ids=torch.from_numpy(tokens.ids[first : first + ROWS_AT_ONCE]).to(device))
    model.train(was_training)
    return {place: torch.cat(readings[place]).double().cpu().numpy() for place, readings in told.items()}


@contextlib.contextmanager
def _signs(model: SequenceModel) -> Iterator[dict[int, list[Tensor]]]:
    """While inside, layer -> the projections whose sign a signed Mamba-2's decay has, one a call; they are no tap."""
    found: dict[int, list[Tensor]] = {}
    handles = [
        block.mixing.sign_proj.register_forward_hook(
            lambda _module, _given, out, layer=layer: found.setdefault(layer, []).append(out.detach())
        )
        for layer, block in enumerate(model.blocks)
        if hasattr(block.mixing, "sign_proj")
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _distribution(beta: Floats, told: dict[str, Any]) -> list[Result]:
    """Mean, share above ``REFLECTS`` and percentiles of beta [B, T], nan where it doesn't count."""
    above = np.where(np.isnan(beta), np.nan, beta > REFLECTS)
    mean = measured("beta", beta, **told)
    levels = np.nanpercentile(beta, PERCENTILES)
    return [
        mean,
        measured("share of beta above 1.9", above, unit="share", **told),
        *(
            Result(metric="percentile of beta", value=float(level), at=float(at), count=mean.count, **told)
            for at, level in zip(PERCENTILES, levels, strict=True)
        ),
    ]


def _key_space(keys: Floats, inside: NDArray[np.bool_], layer: int, head: int, which: str) -> KeySpace:
    """keys [B, T, K] where ``inside`` [B, T]. Sequences are resampled through their sums and outer products."""
    kept = np.where(inside[..., None], keys, 0.0)
    counts, sums = inside.sum(axis=1).astype(float), kept.sum(axis=1)
    products = np.einsum("btk,btl->bkl", kept, kept)
    generator = np.random.default_rng(0)
    drawn = [np.arange(len(keys)), *generator.integers(len(keys), size=(RESAMPLES, len(keys)))]
    weights = np.array([np.bincount(rows, minlength=len(keys)) for rows in drawn], dtype=float)
    weights = weights[weights @ counts > 1]  # a resample may hold none of the sequences with such keys
    total = (weights @ counts)[:, None]
    mean = weights @ sums / total
    covariance = np.einsum("rb,bkl->rkl", weights, products) / total[:, :, None] - mean[:, :, None] * mean[:, None, :]
    variances = np.clip(np.linalg.eigvalsh(covariance)[:, ::-1], 0.0, None)
    whole = variances.sum(axis=1, keepdims=True)
    shares = np.where(whole > CONSTANT, variances / np.maximum(whole, CONSTANT), 0.0)
    reached = np.cumsum(shares, axis=1)
    components = {}
    for share in SHARES:
        needed = np.where(whole[:, 0] > CONSTANT, (reached < share - 1e-9).sum(axis=1) + 1, 0)
        low, high = np.percentile(needed[1:], [2.5, 97.5]) if len(keys) > 1 else (np.nan, np.nan)
        components[share] = (int(needed[0]), float(low), float(high))
    squares = float((shares[0] ** 2).sum())
    return KeySpace(
        layer=layer,
        head=head,
        which=which,
        shares=shares[0],
        count=int(inside.sum()),
        components=components,
        effective=1.0 / squares if squares else 0.0,
    )


def _class(word: str, variables: Sequence[str]) -> str:
    """The class of a word of a task's vocabulary, values aside."""
    if word.startswith(">>> ") and len(word) > 4:
        return "whole commands"
    if word in (">>> ", "... "):
        return "prompts"
    if word in variables:
        return "names"
    if word == "\n":
        return "line ends"
    return "operators" if re.fullmatch(r"[=<,]", word) else "other words"


def _numbered(told: NDArray[np.str_], real: NDArray[np.bool_], names: Sequence[str]) -> Ints:
    return np.where(real, np.searchsorted(np.array(names), told), -1)
