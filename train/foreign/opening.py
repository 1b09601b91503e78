"""Other people's models: opened from a folder, with LoRA on them if wanted, and saved so that theirs open them again.

Folders may be anybody's: nothing is downloaded, no code of a folder's own runs, and weights that are pickles are
refused.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from trace_mine.tracer.bounded import DamagedFile, check_regular, read_json
from trace_mine.train.models.keys import ForeignKeys

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER = "adapter"
"""Folder of a run with LoRA's own weights, as ``peft`` saves them."""
SAFELY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Open the tokenizer of a model's folder; where it has no padding, the end of text pads.

    Raises:
        ValueError: there is no such folder, or no tokenizer in it that tells which characters a token stands for.
    """
    from transformers import AutoTokenizer

    if not (folder / "config.json").exists():
        raise ValueError(f"expected a local folder with config.json, got {folder}; save_pretrained the model there")
    check_regular(folder)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **SAFELY)
    except Exception as error:  # transformers and tokenizers raise kinds of their own
        why = " ".join(str(error).split())
        raise DamagedFile(f"expected a tokenizer in {folder}, got: {why:.300}; save_pretrained it there") from None
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(f"expected a tokenizer with padding or an end of text, got neither in {folder}; give one")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def open_model(folder: Path) -> PreTrainedModel:
    """Open a causal language model in fp32, one of ours too: a finished run is a folder like others.

    Raises:
        DamagedFile: there is none, or its weights are not safetensors.
    """
    from transformers import AutoModelForCausalLM

    from trace_mine.train.models.registry import load_model

    # Ours alone write this key; by its type alone our mamba2 would be opened as transformers' own, whose keys differ.
    if "state_norms" in read_json(folder / "config.json"):
        return load_model(folder)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, **SAFELY
        )
    except Exception as error:
        why = " ".join(str(error).split())
        raise DamagedFile(
            f"expected a causal language model (safetensors) in {folder}, got: {why:.300}; save_pretrained it there"
        ) from None
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # out of the memory map: see SequenceModel.from_pretrained
    return model


def with_lora(model: PreTrainedModel, keys: ForeignKeys) -> PeftModel:
    """Put LoRA on a model's linear layers: their weights stay, and low-rank updates are trained.

    Raises:
        ValueError: the model has none of the layers named.
    """
    from peft import LoraConfig, get_peft_model

    targets: str | list[str] = [name for name in keys.lora_targets.split(",") if name] or "all-linear"
    config = LoraConfig(
        r=keys.lora_rank,
        lora_alpha=keys.lora_alpha,
        lora_dropout=keys.lora_dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    return cast("PeftModel", get_peft_model(model, config))


def check_lora() -> None:
    """Check that ``peft`` is there.

    Raises:
        ValueError: it isn't.
    """
    if importlib.util.find_spec("peft") is None:
        raise ValueError("expected the extra [lora] for LoRA, got none; pip install 'trace-mine[lora]'")


def load_checkpoint(path: Path, keys: ForeignKeys) -> PreTrainedModel | PeftModel:
    """Open a checkpoint of a run: a whole model, or LoRA's weights, which go on the model that the run began with.

    Raises:
        DamagedFile: it can't be read.
    """
    if not keys.lora_rank:
        return open_model(path)
    from peft import PeftModel

    base = open_model(Path(keys.path))
    try:
        model = PeftModel.from_pretrained(base, str(path), is_trainable=True)
    except Exception as error:
        why = " ".join(str(error).split())
        raise DamagedFile(f"expected LoRA's weights in {path}, got: {why:.300}") from None
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
    return model


def save_finished(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Any:
    """Save a trained model as a folder that plain transformers opens, and LoRA's own weights beside it.

    Returns the plain model: with LoRA its updates are added to the weights.
    """
    plain: Any = model  # peft's classes and transformers' have no common base
    if hasattr(plain, "merge_and_unload"):
        plain.save_pretrained(str(folder / ADAPTER))
        path = folder / ADAPTER / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        # No folder of the machine. After saving: by a name peft would ask the Hub for a model that is called so.
        config["base_model_name_or_path"] = Path(config["base_model_name_or_path"] or "").name
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / ADAPTER / "README.md").unlink(missing_ok=True)  # a form to fill in, with that folder
        plain = plain.merge_and_unload()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return plain
