"""``load_model`` and ``load_tokenizer``: what ``trace-train`` left in a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from trace_mine.train.models.language_model import SequenceModel


def load_model(run: str | os.PathLike[str]) -> SequenceModel:
    """The trained model of a run folder, or of one of its checkpoints, on the CPU.

    ``model(input_ids)`` gives ``logits`` [batch, time, vocabulary]; it is a transformers model, so that ``generate``
    and ``save_pretrained`` are there.

    Raises:
        ValueError: the folder has no model, or one that isn't ours.
        ImportError: the extra [train] is not installed.

    >>> import torch, trace_mine
    >>> model = trace_mine.load_model("runs/quick")
    >>> tokenizer = trace_mine.load_tokenizer("runs/quick")
    >>> ids = torch.tensor([tokenizer.encode(">>> a, b = b, a\\n")])
    >>> model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    True
    """
    _check_extra()
    from trace_mine.train.models.registry import load_model as load

    return load(Path(run))


def load_tokenizer(run: str | os.PathLike[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of a run folder, or of a folder that ``trace-tokenize fit`` wrote.

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

    folder = Path(run)
    loaded: PreTrainedTokenizerFast = load(folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder)
    return loaded


def _check_extra() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as missing:
        raise ImportError(f"expected the extra [train], got {missing}; pip install 'trace-mine[train]'") from missing
