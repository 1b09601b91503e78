"""The registry of kinds of tokenizers, and tokenizers on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from trace_mine.tokenizer.encoded import Row
from trace_mine.tokenizer.lexemes import fit_python
from trace_mine.tokenizer.symbols import fit_symbols
from trace_mine.tracer.bounded import DamagedFile, check_regular

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


# Both take all arguments, so that the command can call either kind alike; each ignores what it has no use for.
def _python(rows: Iterable[Row], *, vocab_size: int = 8_192, per: str = "word") -> PreTrainedTokenizerFast:
    return fit_python((row["text"] for row in rows), vocab_size=vocab_size)


def _symbols(rows: Iterable[Row], *, vocab_size: int = 8_192, per: str = "word") -> PreTrainedTokenizerFast:
    return fit_symbols(rows, per=per)


KINDS: dict[str, Callable[..., PreTrainedTokenizerFast]] = {"python": _python, "symbols": _symbols}
"""Kind -> a function (rows, vocab_size, per) that fits a tokenizer on the rows of a dataset."""


def load(folder: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a folder, without the network.

    Raises:
        ValueError: the folder has no tokenizer.json.
        DamagedFile: it has a broken one.
    """
    # transformers takes a folder that isn't there for the name of a model to download, and complains about that
    if not (Path(folder) / "tokenizer.json").exists():
        raise ValueError(f"expected a folder with tokenizer.json, got {folder}; make one with trace-tokenize fit")
    check_regular(Path(folder))
    # Not AutoTokenizer, which makes whatever class the folder names and offers to run code of its.
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # tokenizers raises Exception itself for a file that it can't read
        why = " ".join(str(error).split())
        raise DamagedFile(f"expected a tokenizer in {folder}, got: {why:.300}; fit it again") from None


def vocabulary_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash the vocabulary by SHA-256: equal hashes mean that every token has the same id.

    A run keeps the hash, so that no model is read with a vocabulary that was fitted anew.
    """
    vocabulary = tokenizer.get_vocab()
    # by id, for get_vocab's own order changes from call to call
    ordered = sorted(vocabulary, key=lambda token: vocabulary[token])
    listing = "\0".join(f"{vocabulary[token]}\0{token}" for token in ordered)
    return hashlib.sha256(listing.encode("utf-8", "surrogatepass")).hexdigest()
