"""The keys that a model is made with, one record for each model: names, types and defaults, without torch.

Names and defaults are flash-linear-attention's (fla's) where it has the model, so a key that looks odd here is one that
fla's ``config.json`` has. ``config`` turns them into transformers' configurations and checks how they fit together;
``trace_mine.train.settings`` checks ``--set model.KEY=VALUE`` against the types before anything of torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKeys:
    """Keys of all models.

    Attributes:
        vocab_size: tokens; the tokenizer decides it in a run.
        hidden_size: width D of the residual stream.
        num_hidden_layers, num_heads: L and H.
        intermediate_size: width of the gated MLP; 0 for none; None for fla's rule, hidden_size * hidden_ratio * 2 / 3
            rounded up to a multiple of 256.
        norm_eps: added to the mean square in RMS norms.
        initializer_range: standard deviation of linear layers and embeddings at the start; None leaves torch's own
            initialisation, from which small models learn state tracking sooner than from N(0, 0.02).
        embedding_range: standard deviation of the embeddings at the start; None means ``initializer_range``.
        state_norms: what ``trace_mine.train.rescaling.calibrate`` measured.
        tie_word_embeddings: the embedding is also the map from hidden to logits.
        attn: layers of attention among recurrent ones, as ``attention_layers`` has it; None for none.
    """

    # forbid and strict: a key that no field has, 1 for True and "8" for 8 are the caller's mistakes
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    vocab_size: int = 32_000
    hidden_size: int = 64
    num_hidden_layers: int = 1
    num_heads: int = 2
    # Defaults are those of small models here; names and the rule behind None are fla's.
    hidden_ratio: float | None = 4
    intermediate_size: int | None = None
    hidden_act: str = "swish"
    norm_eps: float = 1e-6
    initializer_range: float | None = 0.02
    embedding_range: float | None = None
    state_norms: Mapping[str, object] | None = None
    max_position_embeddings: int = 2_048
    tie_word_embeddings: bool = False
    attn: Mapping[str, object] | list[Mapping[str, object]] | None = None

    def __post_init__(self) -> None:
        # config.SequenceConfig.check has the same rule, for folders that others wrote; here it answers --set at once,
        # before torch is imported.
        for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_heads"):
            if getattr(self, key) < 1:
                raise ValueError(f"expected {key} to be a positive whole number, got {getattr(self, key)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaNetKeys(ModelKeys):
    """Keys of DeltaNet.

    Attributes:
        expand_k, expand_v: widths of all keys and of all values together, as multiples of ``hidden_size``.
        use_gate: gate the output of the heads.
        use_short_conv, conv_size: convolve q, k and v over this many time steps.
        allow_neg_eigval: double beta, so that transitions have eigenvalues in [-1, 1] instead of [0, 1].
        use_beta: False makes beta 1 everywhere.
    """

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
    """Keys of DeltaNet with a renormalised state: it is rescaled after every ``renorm_every`` time steps."""

    renorm_every: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNetKeys(ModelKeys):
    """Keys of Gated DeltaNet. As in DeltaNet, but that heads have a width of their own, whatever ``hidden_size`` is.

    Attributes:
        head_dim: width K of a head's keys; its values are ``head_dim * expand_v`` wide.
        num_v_heads: heads of values, a multiple of ``num_heads`` (None: as many); several share a head of keys.
    """

    expand_v: float = 1.0
    head_dim: int = 32
    num_v_heads: int | None = None
    use_gate: bool = True
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaProductKeys(ModelKeys):
    """Keys of DeltaProduct: ``num_householder`` delta-rule updates a token, with a decay if ``use_forget_gate``.

    fla's layer and its configuration disagree in the defaults of ``use_output_gate``, ``use_forget_gate`` and
    ``allow_neg_eigval``. All three are keys here and always written, so that a checkpoint says which it has.
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
class KimiDeltaKeys(ModelKeys):
    """Keys of Kimi Delta Attention (KDA). As in Gated DeltaNet, but that outputs are always gated.

    Attributes:
        safe_gate, lower_bound: bound the logarithm of the decay from below; fla's kernels then take it as such.
    """

    expand_v: float = 1.0
    head_dim: int = 32
    num_v_heads: int | None = None
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4
    safe_gate: bool = False
    lower_bound: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet2Keys(ModelKeys):
    """Keys of Gated DeltaNet-2, as in KDA; ``allow_neg_eigval`` doubles the gates of erasing."""

    expand_v: float = 1.0
    head_dim: int = 32
    num_v_heads: int | None = None
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RWKV7Keys(ModelKeys):
    """Keys of RWKV-7; ``allow_neg_eigval`` doubles what is erased, as fla's form has not.

    Attributes:
        decay_low_rank_dim, a_low_rank_dim, gate_low_rank_dim: ranks of the maps to decays, rates of erasing and gates.
    """

    decay_low_rank_dim: int = 16
    a_low_rank_dim: int = 16
    gate_low_rank_dim: int = 32
    allow_neg_eigval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2Keys(ModelKeys):
    """Keys of Mamba-2; ``num_heads`` follows from ``expand * hidden_size / head_dim``.

    Attributes:
        state_size: width N of B and C, the keys and queries of the recurrence.
        n_groups: heads of B and C, which the heads share.
        A_init_range, dt_min, dt_max, dt_init_floor: ranges that A and the bias of the time step are drawn from.
        dt_limit: range that time steps are clamped to.
        signed: give the decay a sign that depends on the input, for eigenvalues in [-1, 1]; fla has no such key.
    """

    head_dim: int = 32
    state_size: int = 32
    expand: int = 2
    n_groups: int = 1
    conv_kernel: int = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    # the ranges that Mamba-2 was published with
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
    """Keys of the Transformer, named as in fla's: base of the rotary positions, and biases of q, k and v."""

    rope_theta: float = 10_000.0
    qkv_bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PathAttentionKeys(ModelKeys):
    """Keys of PaTH attention.

    Attributes:
        num_kv_heads: None or ``num_heads``; heads of queries that share one of keys are not here.
        use_forget_gate: scores of old keys fall by a gate of each step that depends on its input.
        use_low_rank_w: make w through 32 channels.
        use_w_shortconv, conv_size: convolve w over this many time steps. fla's model has 3 alone.
        allow_neg_eigval: double beta, so that a key can be reflected; fla always does.
    """

    num_kv_heads: int | None = None
    use_forget_gate: bool = False
    use_low_rank_w: bool = True
    use_w_shortconv: bool = True
    conv_size: int = 3
    allow_neg_eigval: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMKeys(ModelKeys):
    """Keys of the LSTM. ``forget_bias`` is added to the forget gate's bias at the start; no MLP by default."""

    forget_bias: float = 1.0
    intermediate_size: int | None = 0  # a recurrent layer is as large as a mixer with its MLP


@dataclass(frozen=True, slots=True, kw_only=True)
class PDSSMKeys(ModelKeys):
    """Keys of PD-SSM.

    Attributes:
        state_size: states N of a head.
        num_transitions: matrices of a head's dictionary, of whose mixtures maps of states are made.
        use_short_conv, conv_size: convolve what a layer sees over this many time steps.
    """

    state_size: int = 16
    num_transitions: int = 8
    use_short_conv: bool = True
    conv_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SLSTMKeys(ModelKeys):
    """Keys of the sLSTM: input and forget gates may see a short convolution of their input."""

    use_short_conv: bool = True
    conv_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GRUKeys(ModelKeys):
    """Keys of the GRU; no MLP by default."""

    intermediate_size: int | None = 0


KEYS: dict[str, type[ModelKeys]] = {
    "transformer": TransformerKeys,
    "path_attention": PathAttentionKeys,
    "delta_net": DeltaNetKeys,
    "renormed_delta_net": RenormedDeltaNetKeys,
    "gated_delta_net": GatedDeltaNetKeys,
    "delta_product": DeltaProductKeys,
    "kimi_delta": KimiDeltaKeys,
    "gated_delta_net_2": GatedDeltaNet2Keys,
    "rwkv7": RWKV7Keys,
    "mamba2": Mamba2Keys,
    "pd_ssm": PDSSMKeys,
    "slstm": SLSTMKeys,
    "lstm": LSTMKeys,
    "gru": GRUKeys,
}
"""Name of a model -> the record of its keys. A test compares it with the registry of models, which needs torch."""


FOREIGN = "hf"
"""Name, in settings, of a model that isn't of the registry: any causal language model of a local folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeys:
    """Keys of a model of others.

    Attributes:
        path: its folder, with config, weights (safetensors) and tokenizer.
        lora_rank: rank of LoRA's updates; 0 trains all weights.
        lora_alpha: updates are multiplied by ``lora_alpha / lora_rank``.
        lora_dropout: of what goes into the updates, in training.
        lora_targets: ends of the names of the layers that are updated, by commas; "" for all linear ones.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    path: str = ""
    lora_rank: int = 0
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_targets: str = ""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("expected the folder of a model, got none; give --hf PATH")
        if self.lora_rank < 0 or not 0 <= self.lora_dropout < 1 or not self.lora_alpha > 0:
            raise ValueError(
                "expected lora_rank >= 0, lora_alpha > 0 and lora_dropout from 0 to below 1, got "
                f"{self.lora_rank}, {self.lora_alpha} and {self.lora_dropout}"
            )


AnyKeys = ModelKeys | ForeignKeys
"""Keys of a model in settings."""


def defaults(keys: type[ModelKeys]) -> dict[str, object]:
    """Return key -> default of all keys of a model.

    >>> defaults(RenormedDeltaNetKeys)["renorm_every"]
    16
    """
    return {field.name: field.default for field in fields(keys)}


def own_defaults(keys: type[ModelKeys]) -> dict[str, object]:
    """Return key -> default of the keys that ``ModelKeys`` lacks, or that have another default there."""
    common = defaults(ModelKeys)
    return {key: value for key, value in defaults(keys).items() if key not in common or common[key] != value}
