"""The keys that a model is made with, one record a model: names, types and defaults, without torch.

Names and defaults are flash-linear-attention's where it has the model. ``trace_mine.train.models.config`` turns them
into transformers' configurations, and ``trace_mine.train.settings`` checks ``--set model.KEY=VALUE`` against them
before anything of torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKeys:
    """Keys of all models.

    ``hidden_size``: width of the residual stream. ``intermediate_size``: width of the gated MLP; None: fla's rule
    (hidden_size * hidden_ratio * 2 / 3, rounded up to a multiple of 256); 0: no MLP. ``initializer_range`` None:
    torch's own initialisation of linear layers, which small models learn state tracking from sooner than from
    N(0, 0.02). ``embedding_range`` None: as ``initializer_range``. ``state_norms``: see ``trace_mine.train.rescaling``.
    """

    # extra and strict: a key that no field has, and 1 for True or "8" for 8, are the caller's mistakes
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    vocab_size: int = 32_000
    hidden_size: int = 64
    num_hidden_layers: int = 1
    num_heads: int = 2
    hidden_ratio: float | None = 4
    intermediate_size: int | None = None
    hidden_act: str = "swish"
    norm_eps: float = 1e-6
    initializer_range: float | None = 0.02
    embedding_range: float | None = None
    state_norms: Mapping[str, object] | None = None
    max_position_embeddings: int = 2_048
    tie_word_embeddings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaNetKeys(ModelKeys):
    """Delta rule. ``allow_neg_eigval``: eigenvalues in [-1, 1] instead of [0, 1]."""

    expand_k: float = 1.0
    expand_v: float = 1.0
    use_gate: bool = False
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4
    use_beta: bool = True
    qk_norm: str = "l2"
    qk_activation: str = "silu"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenormedDeltaNetKeys(DeltaNetKeys):
    """Delta rule whose state has a learnt norm every ``renorm_every`` steps."""

    renorm_every: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNetKeys(ModelKeys):
    """Gated delta rule; heads are ``head_dim`` wide (keys) and ``head_dim * expand_v`` (values)."""

    expand_v: float = 1.0
    head_dim: int = 32
    num_v_heads: int | None = None
    use_gate: bool = True
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaProductKeys(ModelKeys):
    """``num_householder`` delta-rule updates a token.

    fla's layer and configuration disagree in their defaults of ``use_output_gate``, ``use_forget_gate`` and
    ``allow_neg_eigval``: all three are keys here, so that a checkpoint says which it was.
    """

    expand_v: float = 1.0
    head_dim: int = 32
    num_v_heads: int | None = None
    use_short_conv: bool = True
    conv_size: int = 4
    use_output_gate: bool = True
    use_forget_gate: bool = False
    allow_neg_eigval: bool = True
    num_householder: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2Keys(ModelKeys):
    """State-space duality; ``signed``: the decay has a sign from the input (fla has no such key: off there).
    ``num_heads`` follows from ``expand * hidden_size / head_dim``.
    """

    head_dim: int = 32
    state_size: int = 32
    expand: int = 2
    n_groups: int = 1
    conv_kernel: int = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    A_init_range: tuple[float, float] = (1, 16)
    dt_min: float = 0.001
    dt_max: float = 0.1
    dt_init_floor: float = 1e-4
    dt_limit: tuple[float, float] = (0.0, float("inf"))
    rmsnorm: bool = True
    norm_before_gate: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerKeys(ModelKeys):
    """Causal attention with rotary positions; keys of fla's ``transformer``."""

    rope_theta: float = 10_000.0
    qkv_bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMKeys(ModelKeys):
    """torch's LSTM in a residual block; ``forget_bias`` is added to the forget gate's bias at the start."""

    forget_bias: float = 1.0
    intermediate_size: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GRUKeys(ModelKeys):
    """torch's GRU in a residual block."""

    intermediate_size: int | None = 0


KEYS: dict[str, type[ModelKeys]] = {
    "transformer": TransformerKeys,
    "delta_net": DeltaNetKeys,
    "renormed_delta_net": RenormedDeltaNetKeys,
    "gated_delta_net": GatedDeltaNetKeys,
    "delta_product": DeltaProductKeys,
    "mamba2": Mamba2Keys,
    "lstm": LSTMKeys,
    "gru": GRUKeys,
}
"""Name of a model to its keys; a test holds it to the registry of models."""


def defaults(keys: type[ModelKeys]) -> dict[str, object]:
    """Key to default, all of them."""
    return {field.name: field.default for field in fields(keys)}


def own_defaults(keys: type[ModelKeys]) -> dict[str, object]:
    """Key to default of those that aren't keys of all models, or have another default there."""
    common = defaults(ModelKeys)
    return {key: value for key, value in defaults(keys).items() if key not in common or common[key] != value}
