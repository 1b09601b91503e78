"""Run folders that ``trace-train`` wrote, opened: ``load_model``, ``load_tokenizer``, and transformers' own classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from trace_mine.train.models.language_model import SequenceModel


def load_model(run: str | os.PathLike[str]) -> SequenceModel:
    """Loads the trained model of a run folder, or of one of its checkpoints, on the CPU.

    ``model(input_ids)`` returns an output with ``logits`` [batch, time, vocabulary]. The model is a transformers model,
    with ``generate`` and ``save_pretrained``.

    Raises:
        ValueError: the folder has no model, or one of another project, or a damaged one.
        ImportError: the extra [train] is not installed.

    >>> import torch, trace_mine
    >>> model = trace_mine.load_model("runs/quick")
    >>> tokenizer = trace_mine.load_tokenizer("runs/quick")
    >>> ids = torch.tensor([tokenizer.encode(">>> a, b = b, a\\n")])
    >>> model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    True
    """
    _check_extra()
    from trace_mine.train import checkpoints, run_folder
    from trace_mine.train.models.registry import load_model as load

    folder = Path(run)
    if (folder / "final.json").exists() or checkpoints.has_seal(folder):
        run_folder.check_files(folder, "config.json", "model.safetensors")
    return load(folder)


def load_tokenizer(run: str | os.PathLike[str]) -> PreTrainedTokenizerFast:
    """Loads the tokenizer of a run folder, or of a folder that ``trace-tokenize fit`` wrote.

    Raises:
        ValueError: the folder has no tokenizer, or a broken one.
        ImportError: the extra [train] is not installed.

    >>> import trace_mine
    >>> tokenizer = trace_mine.load_tokenizer("runs/quick")
    >>> tokenizer.decode(tokenizer.encode(">>> a, b = b, a\\n"))
    '>>> a, b = b, a\\n'
    """
    _check_extra()
    from trace_mine.tokenizer.kinds import load
    from trace_mine.train import run_folder

    folder = Path(run)
    if (folder / "final.json").exists():
        run_folder.check_files(folder, "tokenizer/")
    loaded: PreTrainedTokenizerFast = load(folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder)
    return loaded


def register_auto_classes() -> list[str]:
    """Makes transformers' ``AutoConfig`` and ``AutoModelForCausalLM`` open run folders, in this process.

    Without it they take ``trust_remote_code=True``: the folder has a file that imports trace-mine. For Mamba-2 this is
    the only way, since transformers has a model of that type with other keys; ``load_model`` opens all.

    Returns:
        the types of models that were registered.

    Raises:
        ImportError: the extra [train] is not installed.

    >>> import trace_mine
    >>> from transformers import AutoModelForCausalLM
    >>> types = trace_mine.register_auto_classes()
    >>> type(AutoModelForCausalLM.from_pretrained("runs/quick")).__name__
    'DeltaNetForCausalLM'
    """
    _check_extra()
    from trace_mine.train.models.registry import register_auto_classes as register

    return register()


def _check_extra() -> None:
    """Check that torch and transformers are installed.

    Raises:
        ImportError: one of them isn't; the message says how to install it.
    """
    # Asked here, since the ImportError of a module deep in `train` would not name the extra.
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as missing:
        raise ImportError(f"expected the extra [train], got {missing}; pip install 'trace-mine[train]'") from missing
