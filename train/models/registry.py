"""The registry of models by name: new models, and models loaded from checkpoints.

The classes here only put a config and a mixer together, under the names that flash-linear-attention (fla) gives its
classes: ``config.json`` has them in ``architectures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from trace_mine.tracer.bounded import DamagedFile, read_json
from trace_mine.train.models import config as configs
from trace_mine.train.models.delta_net import DeltaNet, RenormedDeltaNet
from trace_mine.train.models.delta_product import DeltaProduct
from trace_mine.train.models.gated_delta_net import GatedDeltaNet
from trace_mine.train.models.gated_delta_net_2 import GatedDeltaNet2
from trace_mine.train.models.kimi_delta import KimiDelta
from trace_mine.train.models.language_model import AnyBlock, MambaBlock, SequenceModel
from trace_mine.train.models.layers import Mixer
from trace_mine.train.models.mamba2 import Mamba2
from trace_mine.train.models.path_attention import PathAttention
from trace_mine.train.models.pd_ssm import PDSSM
from trace_mine.train.models.recurrent import GRU, LSTM
from trace_mine.train.models.rwkv7 import RWKV7
from trace_mine.train.models.slstm import SLSTM
from trace_mine.train.models.tensors import read_tensors
from trace_mine.train.models.transformer import Attention


class DeltaNetForCausalLM(SequenceModel):
    """A language model of DeltaNet layers."""

    config_class: type[configs.SequenceConfig] = configs.DeltaNetConfig
    mixer_class: ClassVar[type[Mixer]] = DeltaNet


class RenormedDeltaNetForCausalLM(SequenceModel):
    """A language model of DeltaNet layers whose state is renormed."""

    config_class: type[configs.SequenceConfig] = configs.RenormedDeltaNetConfig
    mixer_class: ClassVar[type[Mixer]] = RenormedDeltaNet


class GatedDeltaNetForCausalLM(SequenceModel):
    """A language model of Gated DeltaNet layers."""

    config_class: type[configs.SequenceConfig] = configs.GatedDeltaNetConfig
    mixer_class: ClassVar[type[Mixer]] = GatedDeltaNet


class GatedDeltaProductForCausalLM(SequenceModel):
    """A language model of DeltaProduct layers."""

    config_class: type[configs.SequenceConfig] = configs.DeltaProductConfig
    mixer_class: ClassVar[type[Mixer]] = DeltaProduct


class KDAForCausalLM(SequenceModel):
    """A language model of layers of Kimi Delta Attention."""

    config_class: type[configs.SequenceConfig] = configs.KimiDeltaConfig
    mixer_class: ClassVar[type[Mixer]] = KimiDelta


class GatedDeltaNet2ForCausalLM(SequenceModel):
    """A language model of Gated DeltaNet-2 layers."""

    config_class: type[configs.SequenceConfig] = configs.GatedDeltaNet2Config
    mixer_class: ClassVar[type[Mixer]] = GatedDeltaNet2


class RWKV7MixerForCausalLM(SequenceModel):
    """A language model whose layers mix over time as RWKV-7's do."""

    config_class: type[configs.SequenceConfig] = configs.RWKV7Config
    mixer_class: ClassVar[type[Mixer]] = RWKV7


class Mamba2ForCausalLM(SequenceModel):
    """A language model of Mamba-2 layers; fla gives its parameters other names than the others'."""

    config_class: type[configs.SequenceConfig] = configs.Mamba2Config
    base_model_prefix: str = "backbone"
    mixer_class: ClassVar[type[Mixer]] = Mamba2
    block_class: ClassVar[type[AnyBlock]] = MambaBlock
    last_norm: ClassVar[str] = "norm_f"
    _tied_weights_keys: Any = {"lm_head.weight": "backbone.embeddings.weight"}  # noqa: RUF012


class TransformerForCausalLM(SequenceModel):
    """A language model of attention layers."""

    config_class: type[configs.SequenceConfig] = configs.TransformerConfig
    mixer_class: ClassVar[type[Mixer]] = Attention


class PaTHAttentionForCausalLM(SequenceModel):
    """A language model of layers of PaTH attention."""

    config_class: type[configs.SequenceConfig] = configs.PathAttentionConfig
    mixer_class: ClassVar[type[Mixer]] = PathAttention


class PDSSMForCausalLM(SequenceModel):
    """A language model of PD-SSM layers."""

    config_class: type[configs.SequenceConfig] = configs.PDSSMConfig
    mixer_class: ClassVar[type[Mixer]] = PDSSM


class SLSTMForCausalLM(SequenceModel):
    """A language model of sLSTM layers."""

    config_class: type[configs.SequenceConfig] = configs.SLSTMConfig
    mixer_class: ClassVar[type[Mixer]] = SLSTM


class LSTMForCausalLM(SequenceModel):
    """A language model of LSTM layers."""

    config_class: type[configs.SequenceConfig] = configs.LSTMConfig
    mixer_class: ClassVar[type[Mixer]] = LSTM


class GRUForCausalLM(SequenceModel):
    """A language model of GRU layers."""

    config_class: type[configs.SequenceConfig] = configs.GRUConfig
    mixer_class: ClassVar[type[Mixer]] = GRU


MODELS: dict[str, type[SequenceModel]] = {
    "transformer": TransformerForCausalLM,
    "path_attention": PaTHAttentionForCausalLM,
    "delta_net": DeltaNetForCausalLM,
    "renormed_delta_net": RenormedDeltaNetForCausalLM,
    "gated_delta_net": GatedDeltaNetForCausalLM,
    "delta_product": GatedDeltaProductForCausalLM,
    "kimi_delta": KDAForCausalLM,
    "gated_delta_net_2": GatedDeltaNet2ForCausalLM,
    "rwkv7": RWKV7MixerForCausalLM,
    "mamba2": Mamba2ForCausalLM,
    "pd_ssm": PDSSMForCausalLM,
    "slstm": SLSTMForCausalLM,
    "lstm": LSTMForCausalLM,
    "gru": GRUForCausalLM,
}
"""Name -> class. A test checks that forward, pieces and steps agree for each of them."""


def make_model(name: str, **keys: Any) -> SequenceModel:  # Any: the types are those of each key
    """Make a model whose first weights are drawn from torch's global generator.

    >>> make_model("delta_net", vocab_size=32, hidden_size=64, intermediate_size=128).config.num_heads
    2

    Args:
        name: a name in ``MODELS``.
        keys: keys of the model (``keys.KEYS[name]``); others have their defaults.

    Raises:
        ValueError: the name or a key is unknown, or the values don't fit together.
    """
    if name not in MODELS:
        raise ValueError(f"expected a model among {', '.join(MODELS)}, got {name!r}")
    config_class = MODELS[name].config_class
    known = {**configs.COMMON, **config_class.own, "tie_word_embeddings": False}
    # A config keeps keys that it doesn't know, for fla's sake: a misspelt one would do nothing.
    for key in keys:
        if key not in known:
            raise ValueError(f"expected a key of {name} ({', '.join(sorted(known))}), got {key!r}")
    return MODELS[name](config_class(**keys))


def load_model(folder: str | Path) -> SequenceModel:
    """Load the model of a folder with ``config.json`` and ``model.safetensors``, written here or by fla, on the CPU.

    Nothing else of the folder is read. Each tensor is compared with the config before memory is taken for it, so that a
    config of other sizes takes none.

    Raises:
        DamagedFile: the folder has no model, or one of a type that isn't in the registry; or weights are missing, left
            over, or of the wrong shape; or a file is damaged.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise DamagedFile(f"expected a folder with config.json and model.safetensors, got {path}; name a finished run")
    # Not by AutoConfig: it would need our classes registered, and has another class for mamba2.
    record = read_json(path / "config.json")
    kind = record.get("model_type")
    for model in MODELS.values():
        if model.config_class.model_type == kind:
            break
    else:
        raise DamagedFile(f"expected a model type of {', '.join(MODELS)}, got {kind!r:.60} in {path / 'config.json'}")
    tensors = read_tensors(path / "model.safetensors")
    loaded = _empty(model, len(tensors), path)
    _check_weights(loaded, tensors, path)
    loaded.load_state_dict(tensors, strict=False, assign=True)
    loaded.tie_weights()
    loaded.eval()
    return loaded


def _empty(model: type[SequenceModel], num_tensors: int, path: Path) -> SequenceModel:
    """Make the model of a config without memory for its weights.

    Raises:
        DamagedFile: the config can't be one of this model, or has more layers than there are tensors.
    """
    try:
        # of this one file, which was read before in bounds; from_pretrained would open others that it names
        config = model.config_class.from_json_file(path / "config.json")
        if config.num_hidden_layers > num_tensors:
            raise ValueError(f"{config.num_hidden_layers} layers, and {num_tensors} tensors")
        with torch.device("meta"):
            return model(config)
    except Exception as error:  # of values of any type, in code of transformers and torch
        why = " ".join(str(error).split())
        raise DamagedFile(f"expected a config of {model.__name__} in {path / 'config.json'}, got: {why:.300}") from None


def _check_weights(model: SequenceModel, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that the tensors are the model's weights, all of them and no others, each in its shape.

    Raises:
        DamagedFile: a weight is missing, left over, or doesn't fit.
    """
    weights = model.state_dict()
    tied = set(model._tied_weights_keys) if model.config.tie_word_embeddings else set()
    for problem, names in (
        ("missing_keys", set(weights) - set(tensors) - tied),
        ("unexpected_keys", set(tensors) - set(weights)),
        ("mismatched_keys", {name for name in {*weights} & {*tensors} if weights[name].shape != tensors[name].shape}),
        ("types of numbers", {name for name, tensor in tensors.items() if not tensor.is_floating_point()}),
    ):
        if names:
            first_names = sorted(names)[:3]
            raise DamagedFile(f"expected the weights of {type(model).__name__} in {path}, got {problem}: {first_names}")


def register_auto_classes() -> list[str]:
    """Make AutoConfig and AutoModelForCausalLM open folders of our models in this process.

    Not those of Mamba-2: transformers has a model of that type with other keys, which stays what it is. ``load_model``
    opens ours, and so does ``AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)``.

    Returns:
        the model types that were registered.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto import configuration_auto

    registered = []
    for model in MODELS.values():
        config = model.config_class
        if config.model_type not in configuration_auto.CONFIG_MAPPING_NAMES:  # type: ignore[attr-defined]
            AutoConfig.register(config.model_type, config, exist_ok=True)  # fla may have registered its own before
            AutoModelForCausalLM.register(config, model, exist_ok=True)
            registered.append(config.model_type)
    return registered
