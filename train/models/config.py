"""Configurations, one class a model; keys are flash-linear-attention's where it has the model.

A ``config.json`` that fla wrote loads here and one that is written here loads there: what a class doesn't know is
kept and written again, and forms that are not here (``FORMS``: hybrid attention, other activations) are refused. Three
keys are ours: ``initializer_range`` may be None (torch's own initialisation of linear layers, which small models learn
state tracking from sooner than from N(0, 0.02)), ``embedding_range`` (None: as ``initializer_range``), and
``state_norms`` (see ``trace_mine.train.rescaling``).
"""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PretrainedConfig

from trace_mine.train.models import keys

COMMON: dict[str, Any] = {
    key: default for key, default in keys.defaults(keys.ModelKeys).items() if key != "tie_word_embeddings"
}
"""Keys of all models with their defaults, but the one that transformers itself has."""

FORMS: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("swish", "silu"),
    "output_gate_activation": ("swish", "silu"),
    "attn": (None,),
    "attnres_block_size": (None,),
}
"""Keys of fla's whose other values mean another model than is here: refused, not run wrongly."""


class SequenceConfig(PretrainedConfig):
    """The configuration of any model. ``own`` are a subclass's further keys with their defaults.

    ``intermediate_size``: width of the gated MLP; None: fla's rule (hidden_size * hidden_ratio * 2 / 3, rounded up to
    a multiple of 256); 0: no MLP.

    Raises:
        ValueError: widths don't divide into heads, or a number is out of range.
    """

    model_type = "trace_sequence"
    own: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **keys: object) -> None:
        if "__init__" not in cls.__dict__:

            def __init__(self: SequenceConfig, **given: object) -> None:
                told: dict[str, Any] = given
                super(cls, self).__init__(**told)

            # transformers would put a dataclass's in its place, which knows nothing of ``own``
            cls.__init__ = __init__  # type: ignore[method-assign]
        super().__init_subclass__(**keys)

    def __init__(self, **given: object) -> None:
        rest: dict[str, Any] = given
        for key, default in {**COMMON, **self.own}.items():
            setattr(self, key, rest.pop(key, default))
        tied = rest.pop("tie_word_embeddings", False)
        super().__init__(**rest)
        self.tie_word_embeddings = tied
        self.check()

    def check(self) -> None:
        """Raises ValueError where the numbers don't fit together."""
        for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_heads"):
            if not isinstance(getattr(self, key), int) or getattr(self, key) < 1:
                raise ValueError(f"expected {key} to be a positive whole number, got {getattr(self, key)!r}")
        for key, forms in FORMS.items():
            if getattr(self, key, forms[0]) not in forms:
                raise ValueError(f"expected {key} to be {' or '.join(map(repr, forms))}, got {getattr(self, key)!r}")

    @property
    def mlp_size(self) -> int:
        """Width of the gated MLP; 0 where there is none."""
        if self.intermediate_size is not None:
            return int(self.intermediate_size)
        return 256 * ((int(self.hidden_size * (self.hidden_ratio or 4) * 2 / 3) + 255) // 256)


class DeltaNetConfig(SequenceConfig):
    """Delta rule. ``allow_neg_eigval``: eigenvalues in [-1, 1] instead of [0, 1]."""

    model_type = "delta_net"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.DeltaNetKeys)

    def check(self) -> None:
        """Raises ValueError where widths don't divide into heads or a form is asked for that is not here."""
        super().check()
        for key in ("expand_k", "expand_v"):
            width = self.hidden_size * getattr(self, key)
            if round(width) != width or round(width) % self.num_heads:
                raise ValueError(
                    f"expected hidden_size * {key} to be a multiple of num_heads={self.num_heads}, got {width:g}"
                )
        if self.qk_norm != "l2" or self.qk_activation != "silu":
            raise ValueError(
                f"expected qk_norm='l2' and qk_activation='silu', got {self.qk_norm!r} and {self.qk_activation!r}"
            )


class RenormedDeltaNetConfig(DeltaNetConfig):
    """Delta rule whose state has a learnt norm every ``renorm_every`` steps: trained in, hence nonlinear."""

    model_type = "renormed_delta_net"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.RenormedDeltaNetKeys)


class GatedDeltaNetConfig(SequenceConfig):
    """Gated delta rule; heads are ``head_dim`` wide (keys) and ``head_dim * expand_v`` (values)."""

    model_type = "gated_deltanet"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.GatedDeltaNetKeys)

    def check(self) -> None:
        """Raises ValueError where value heads don't divide into key heads."""
        super().check()
        if self.num_v_heads is not None and self.num_v_heads % self.num_heads:
            raise ValueError(f"expected num_v_heads to be a multiple of {self.num_heads}, got {self.num_v_heads}")
        if self.head_dim * self.expand_v != int(self.head_dim * self.expand_v):
            raise ValueError(f"expected head_dim * expand_v to be whole, got {self.head_dim * self.expand_v}")


class DeltaProductConfig(GatedDeltaNetConfig):
    """``num_householder`` delta-rule updates a token. fla's layer and config disagree in their defaults: all three keys
    are set here, and written.
    """

    model_type = "gated_deltaproduct"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.DeltaProductKeys)


class Mamba2Config(SequenceConfig):
    """State-space duality; ``signed``: the decay has a sign from the input (not in fla; strict fla checkpoints have it
    off). ``num_heads`` follows from ``expand * hidden_size / head_dim``.
    """

    model_type = "mamba2"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.Mamba2Keys)

    def __init__(self, **given: object) -> None:
        told: dict[str, Any] = {**COMMON, **self.own, **given}
        given["num_heads"] = int(told["hidden_size"] * told["expand"] // told["head_dim"])
        super().__init__(**given)

    def check(self) -> None:
        """Raises ValueError where widths don't divide into heads and groups."""
        super().check()
        if int(self.expand * self.hidden_size) % self.head_dim:
            raise ValueError(
                f"expected expand * hidden_size to be a multiple of head_dim={self.head_dim}, "
                f"got {self.expand * self.hidden_size}"
            )
        if self.num_heads % self.n_groups:
            raise ValueError(f"expected n_groups to divide {self.num_heads} heads, got {self.n_groups}")
        if self.norm_before_gate or not self.rmsnorm:
            raise ValueError("expected rmsnorm=True and norm_before_gate=False, the form that Mamba-2 was published in")


class TransformerConfig(SequenceConfig):
    """Causal attention with rotary positions; keys of fla's ``transformer``."""

    model_type = "trace_transformer"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.TransformerKeys)

    def check(self) -> None:
        """Raises ValueError where the width doesn't divide into heads of an even width."""
        super().check()
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"expected hidden_size to be a multiple of 2 * num_heads={2 * self.num_heads}, got {self.hidden_size}"
            )


class LSTMConfig(SequenceConfig):
    """torch's LSTM in a residual block; ``forget_bias`` is added to the forget gate's bias at the start."""

    model_type = "trace_lstm"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.LSTMKeys)


class GRUConfig(SequenceConfig):
    """torch's GRU in a residual block."""

    model_type = "trace_gru"
    own: ClassVar[dict[str, Any]] = keys.own_defaults(keys.GRUKeys)
