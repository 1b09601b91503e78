"""Configurations in transformers' form, one class for each model; ``keys`` has their keys with types and defaults.

A ``config.json`` that flash-linear-attention (fla) wrote loads here, and one written here loads there: keys that a
class doesn't know are kept and written again, and values that mean a form of the model that is not here (``FORMS``:
other activations) are refused. ``initializer_range`` None, ``embedding_range`` and ``state_norms``
are ours alone.
"""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PretrainedConfig

from trace_mine.train.models import keys
from trace_mine.train.models.attention_layers import AttentionSpec, attention_specs

COMMON: dict[str, object] = {
    key: default for key, default in keys.defaults(keys.ModelKeys).items() if key != "tie_word_embeddings"
}
"""Keys of all models -> their defaults, without ``tie_word_embeddings``, which transformers itself sets."""

FORMS: dict[str, tuple[object, ...]] = {
    "hidden_act": ("swish", "silu"),
    "output_gate_activation": ("swish", "silu"),
    "attnres_block_size": (None,),
}
"""Keys of fla's -> the values that are implemented here. Others mean another model, and are refused."""


class SequenceConfig(PretrainedConfig):
    """The configuration of any model; its keys, given by name, are attributes.

    ``own`` has the keys of a subclass that aren't keys of all models, with their defaults. ``mixes`` says if some of
    its layers may be attention (``attn``).

    Raises:
        ValueError: a number is out of range, widths don't divide into heads, or a form is asked for that is not here.
    """

    model_type = "trace_sequence"
    # what ``Trainer.predict`` leaves out of predictions: the logits stay
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "hidden_states", "hidden", "carry"]
    own: ClassVar[dict[str, object]] = {}
    mixes: ClassVar[bool] = True

    def __init_subclass__(cls, **options: object) -> None:
        # transformers makes a dataclass of each subclass. To one without an __init__ of its own it gives the
        # dataclass's, which knows nothing of ``own``.
        if "__init__" not in cls.__dict__:

            def __init__(self: SequenceConfig, **values: Any) -> None:  # Any: the types are those of each key
                super(cls, self).__init__(**values)

            cls.__init__ = __init__  # type: ignore[method-assign]
        super().__init_subclass__(**options)

    def __init__(self, **values: Any) -> None:
        # Ours first: the rest, transformers' own keys and those that no class knows, is PretrainedConfig's, which keeps
        # and writes them.
        for key, default in {**COMMON, **self.own}.items():
            setattr(self, key, values.pop(key, default))
        tied = values.pop("tie_word_embeddings", False)
        super().__init__(**values)
        self.tie_word_embeddings = tied  # after: PretrainedConfig sets it to its own default
        self.check()

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = "AutoConfig") -> None:
        """Do nothing: transformers would mark the class, and then copy our source files into each folder it saves."""

    def check(self) -> None:
        """Check that the values fit together. Subclasses extend it.

        Raises:
            ValueError: they don't.
        """
        for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_heads"):
            if not isinstance(getattr(self, key), int) or getattr(self, key) < 1:
                raise ValueError(f"expected {key} to be a positive whole number, got {getattr(self, key)!r}")
        for key, forms in FORMS.items():
            if getattr(self, key, forms[0]) not in forms:
                raise ValueError(f"expected {key} to be {' or '.join(map(repr, forms))}, got {getattr(self, key)!r}")
        if self.attn is not None and not self.mixes:
            raise ValueError(f"expected no attn in a config of {self.model_type}, got {self.attn!r:.60}; leave it out")
        self.attention_layers()

    def attention_layers(self) -> dict[int, AttentionSpec]:
        """Return layer -> its attention, of the layers that have one among recurrent ones.

        Raises:
            ValueError: as ``attention_specs``.
        """
        return attention_specs(self.attn, self.num_hidden_layers, self.hidden_size)

    @property
    def mlp_size(self) -> int:
        """The width of the gated MLP; 0 means that there is none."""
        if self.intermediate_size is not None:
            return int(self.intermediate_size)
        # fla's rule: hidden_size * hidden_ratio * 2 / 3, rounded up to a multiple of 256. For small models that is
        # several times the width asked for: give intermediate_size.
        return 256 * ((int(self.hidden_size * (self.hidden_ratio or 4) * 2 / 3) + 255) // 256)


class DeltaNetConfig(SequenceConfig):
    """The configuration of DeltaNet."""

    model_type = "delta_net"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.DeltaNetKeys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads divide the widths of keys and values, and q and k are l2-normed."""
        super().check()
        for key in ("expand_k", "expand_v"):
            # expand_k may be a fraction such as 0.75, whose product is a float
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
    """The configuration of DeltaNet with a renormalised state; fla has no such model."""

    model_type = "renormed_delta_net"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.RenormedDeltaNetKeys)


class GatedDeltaNetConfig(SequenceConfig):
    """The configuration of Gated DeltaNet; ``model_type`` is spelt as fla spells it."""

    model_type = "gated_deltanet"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.GatedDeltaNetKeys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads of keys divide heads of values, and these have a whole width."""
        super().check()
        if self.num_v_heads is not None and self.num_v_heads % self.num_heads:
            raise ValueError(f"expected num_v_heads to be a multiple of {self.num_heads}, got {self.num_v_heads}")
        if self.head_dim * self.expand_v != int(self.head_dim * self.expand_v):
            raise ValueError(f"expected head_dim * expand_v to be whole, got {self.head_dim * self.expand_v}")


class DeltaProductConfig(GatedDeltaNetConfig):
    """The configuration of DeltaProduct; see ``keys.DeltaProductKeys`` for fla's defaults, which disagree."""

    model_type = "gated_deltaproduct"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.DeltaProductKeys)


class KimiDeltaConfig(GatedDeltaNetConfig):
    """The configuration of Kimi Delta Attention; ``model_type`` is fla's."""

    model_type = "kda"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.KimiDeltaKeys)

    def check(self) -> None:
        """See ``GatedDeltaNetConfig.check``: the bound of decays is given with ``safe_gate``, and negative."""
        super().check()
        if self.safe_gate != (self.lower_bound is not None) or (self.lower_bound or -1) >= 0:
            raise ValueError(
                f"expected safe_gate with a negative lower_bound, or neither, got {self.safe_gate} and "
                f"{self.lower_bound}; give both, such as true and -5"
            )


class GatedDeltaNet2Config(GatedDeltaNetConfig):
    """The configuration of Gated DeltaNet-2; fla has the layer, but no such model."""

    model_type = "trace_gated_deltanet_2"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.GatedDeltaNet2Keys)


class RWKV7Config(SequenceConfig):
    """The configuration of RWKV-7's time mixing in our blocks; fla's model of that type has others."""

    model_type = "trace_rwkv7"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.RWKV7Keys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads divide the width, and ranks are positive."""
        super().check()
        if self.hidden_size % self.num_heads or self.hidden_size == self.num_heads:
            raise ValueError(
                f"expected hidden_size to be a larger multiple of num_heads={self.num_heads}, got {self.hidden_size}"
            )
        for key in ("decay_low_rank_dim", "a_low_rank_dim", "gate_low_rank_dim"):
            if getattr(self, key) < 1:
                raise ValueError(f"expected {key} to be a positive whole number, got {getattr(self, key)!r}")


class Mamba2Config(SequenceConfig):
    """The configuration of Mamba-2.

    ``num_heads`` isn't free: it is ``expand * hidden_size / head_dim``, whatever is given. transformers has a model of
    the same type with other keys; ``registry.register_auto_classes`` leaves it alone.
    """

    model_type = "mamba2"
    mixes: ClassVar[bool] = False  # the names of its blocks' parameters have no place for attention's
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.Mamba2Keys)

    def __init__(self, **values: Any) -> None:
        known: dict[str, Any] = {**COMMON, **self.own, **values}
        values["num_heads"] = int(known["hidden_size"] * known["expand"] // known["head_dim"])
        super().__init__(**values)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads divide the inner width, and groups the heads."""
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
    """The configuration of the Transformer. A type of its own: fla's class can't be made without flash-attn."""

    model_type = "trace_transformer"
    mixes: ClassVar[bool] = False
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.TransformerKeys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads have an even width, for rotary positions turn pairs."""
        super().check()
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"expected hidden_size to be a multiple of 2 * num_heads={2 * self.num_heads}, got {self.hidden_size}"
            )


class PathAttentionConfig(SequenceConfig):
    """The configuration of PaTH attention; ``model_type`` is fla's."""

    model_type = "path_attn"
    mixes: ClassVar[bool] = False
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.PathAttentionKeys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads divide the width, and each has keys of its own."""
        super().check()
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"expected hidden_size to be a multiple of num_heads={self.num_heads}, got {self.hidden_size}"
            )
        if self.num_kv_heads not in (None, self.num_heads):
            raise ValueError(f"expected num_kv_heads to be num_heads={self.num_heads}, got {self.num_kv_heads!r:.60}")


class PDSSMConfig(SequenceConfig):
    """The configuration of PD-SSM."""

    model_type = "trace_pd_ssm"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.PDSSMKeys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: there are states, and matrices to choose from."""
        super().check()
        for key in ("state_size", "num_transitions"):
            if getattr(self, key) < 1:
                raise ValueError(f"expected {key} to be a positive whole number, got {getattr(self, key)!r}")


class SLSTMConfig(SequenceConfig):
    """The configuration of the sLSTM."""

    model_type = "trace_slstm"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.SLSTMKeys)

    def check(self) -> None:
        """See ``SequenceConfig.check``: heads divide the width."""
        super().check()
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"expected hidden_size to be a multiple of num_heads={self.num_heads}, got {self.hidden_size}"
            )


class LSTMConfig(SequenceConfig):
    """The configuration of the LSTM."""

    model_type = "trace_lstm"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.LSTMKeys)


class GRUConfig(SequenceConfig):
    """The configuration of the GRU."""

    model_type = "trace_gru"
    own: ClassVar[dict[str, object]] = keys.own_defaults(keys.GRUKeys)
