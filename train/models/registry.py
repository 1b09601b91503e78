"""The registry of models, and how a checkpoint becomes a model again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from trace_mine.train.models import config as configs
from trace_mine.train.models.delta_net import DeltaNet, RenormedDeltaNet
from trace_mine.train.models.delta_product import DeltaProduct
from trace_mine.train.models.gated_delta_net import GatedDeltaNet
from trace_mine.train.models.language_model import MambaBlock, SequenceModel
from trace_mine.train.models.layers import Mixer
from trace_mine.train.models.mamba2 import Mamba2
from trace_mine.train.models.recurrent import GRU, LSTM
from trace_mine.train.models.transformer import Attention


class DeltaNetForCausalLM(SequenceModel):
    """DeltaNet."""

    config_class: type[configs.SequenceConfig] = configs.DeltaNetConfig
    mixer_class: ClassVar[type[Mixer]] = DeltaNet


class RenormedDeltaNetForCausalLM(SequenceModel):
    """DeltaNet with a renormalised state."""

    config_class: type[configs.SequenceConfig] = configs.RenormedDeltaNetConfig
    mixer_class: ClassVar[type[Mixer]] = RenormedDeltaNet


class GatedDeltaNetForCausalLM(SequenceModel):
    """Gated DeltaNet."""

    config_class: type[configs.SequenceConfig] = configs.GatedDeltaNetConfig
    mixer_class: ClassVar[type[Mixer]] = GatedDeltaNet


class GatedDeltaProductForCausalLM(SequenceModel):
    """DeltaProduct."""

    config_class: type[configs.SequenceConfig] = configs.DeltaProductConfig
    mixer_class: ClassVar[type[Mixer]] = DeltaProduct


class Mamba2ForCausalLM(SequenceModel):
    """Mamba-2."""

    config_class: type[configs.SequenceConfig] = configs.Mamba2Config
    base_model_prefix: str = "backbone"
    mixer_class: ClassVar[type[Mixer]] = Mamba2
    block_class: ClassVar[type[Any]] = MambaBlock
    last_norm: ClassVar[str] = "norm_f"
    _tied_weights_keys: Any = {"lm_head.weight": "backbone.embeddings.weight"}  # noqa: RUF012


class TransformerForCausalLM(SequenceModel):
    """Transformer."""

    config_class: type[configs.SequenceConfig] = configs.TransformerConfig
    mixer_class: ClassVar[type[Mixer]] = Attention


class LSTMForCausalLM(SequenceModel):
    """LSTM."""

    config_class: type[configs.SequenceConfig] = configs.LSTMConfig
    mixer_class: ClassVar[type[Mixer]] = LSTM


class GRUForCausalLM(SequenceModel):
    """GRU."""

    config_class: type[configs.SequenceConfig] = configs.GRUConfig
    mixer_class: ClassVar[type[Mixer]] = GRU


MODELS: dict[str, type[SequenceModel]] = {
    "transformer": TransformerForCausalLM,
    "delta_net": DeltaNetForCausalLM,
    "renormed_delta_net": RenormedDeltaNetForCausalLM,
    "gated_delta_net": GatedDeltaNetForCausalLM,
    "delta_product": GatedDeltaProductForCausalLM,
    "mamba2": Mamba2ForCausalLM,
    "lstm": LSTMForCausalLM,
    "gru": GRUForCausalLM,
}
"""Name to class. A test holds every member to the same contract."""


def make_model(name: str, **keys: Any) -> SequenceModel:
    """A model with fresh parameters (from torch's global generator).

    Raises:
        ValueError: the name or a key is unknown, or the numbers don't fit together.
    """
    if name not in MODELS:
        raise ValueError(f"expected a model among {', '.join(MODELS)}, got {name!r}")
    config_class = MODELS[name].config_class
    known = {**configs.COMMON, **config_class.own, "tie_word_embeddings": False}
    for key in keys:
        if key not in known:
            raise ValueError(f"expected a key of {name} ({', '.join(sorted(known))}), got {key!r}")
    return MODELS[name](config_class(**keys))


def load_model(folder: str | Path) -> SequenceModel:
    """The model of a folder with ``config.json`` and ``model.safetensors``: ours, or fla's where fla has the model.

    Raises:
        ValueError: the folder has no model, one of a type that isn't in the registry, or weights that aren't all its.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise ValueError(f"expected a folder with config.json and model.safetensors, got {path}; name a finished run")
    kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
    for model in MODELS.values():
        if model.config_class.model_type == kind:
            config = model.config_class.from_pretrained(path)
            return whole(model.from_pretrained(path, config=config, output_loading_info=True), path)
    raise ValueError(f"expected a model type of {', '.join(MODELS)}, got {kind!r} in {path / 'config.json'}")


def whole(loaded: Any, path: Path) -> SequenceModel:
    """The model of transformers' (model, report), where every weight was there and fits.

    Raises:
        ValueError: one didn't; transformers would go on with a fresh one in its place.
    """
    model, report = loaded
    for what in ("missing_keys", "unexpected_keys", "error_msgs"):
        if report[what]:
            told = sorted(report[what])[:3]
            raise ValueError(f"expected the weights of {type(model).__name__} in {path}, got {what}: {told}")
    found: SequenceModel = model
    return found


def register_auto_classes() -> list[str]:
    """Lets AutoConfig and AutoModelForCausalLM open folders of our models in this process; the model types that they
    learnt.

    Not mamba2: transformers has a model of this type with a config of other keys, which goes on being opened as that.
    ``load_model`` opens ours.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto import configuration_auto

    learnt = []
    for model in MODELS.values():
        config = model.config_class
        if config.model_type not in configuration_auto.CONFIG_MAPPING_NAMES:  # type: ignore[attr-defined]
            AutoConfig.register(config.model_type, config, exist_ok=True)  # fla's, where it was imported
            AutoModelForCausalLM.register(config, model, exist_ok=True)
            learnt.append(config.model_type)
    return learnt
