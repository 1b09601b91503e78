"""The registry of kinds, and tokenizers on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from trace_mine.tokenizer.lexemes import fit_python
from trace_mine.tokenizer.symbols import fit_symbols


def _python(rows: Iterable[Any], *, vocab_size: int = 8_192, per: str = "word") -> Any:
    return fit_python((row["text"] for row in rows), vocab_size=vocab_size)


def _symbols(rows: Iterable[Any], *, vocab_size: int = 8_192, per: str = "word") -> Any:
    return fit_symbols(rows, per=per)


KINDS: dict[str, Callable[..., Any]] = {"python": _python, "symbols": _symbols}
"""Kind to (rows, vocab_size, per) -> ``PreTrainedTokenizerFast``."""


def load(folder: str | Path) -> Any:
    """The tokenizer of a folder, offline.

    Raises:
        ValueError: the folder has no tokenizer.json, or a broken one.
    """
    if not (Path(folder) / "tokenizer.json").is_file():
        raise ValueError(f"expected a folder with tokenizer.json, got {folder}; make one with trace-tokenize fit")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # tokenizers raises Exception itself for a file that it can't read
        raise ValueError(f"expected a tokenizer in {folder}, got {error}; fit it again") from None


def vocabulary_hash(tokenizer: Any) -> str:
    """SHA-256 over the tokens in the order of their ids."""
    vocabulary = tokenizer.get_vocab()
    told = "\0".join(f"{vocabulary[token]}\0{token}" for token in sorted(vocabulary, key=lambda t: vocabulary[t]))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
