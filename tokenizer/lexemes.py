"""The ``python`` kind: word-level over Python's lexemes, with byte fallback; lossless for any text.

Lexemes are split by a regular expression and looked up whole; what isn't in the vocabulary falls to its UTF-8 bytes.
Digits are single outside names, so that numbers have places. Built of ``tokenizers``' own parts (a BPE without merges
is a dictionary with byte fallback), hence as fast as they are and readable by AutoTokenizer without our code.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mine.tokenizer.names import BUILTINS, KEYWORDS, SYMBOLS

LEXEME = (
    r"(?:>>> |\.\.\. )|\r?\n|\d|[^\W\d]\w*|\*\*=|//=|>>=|<<=|!=|==|<=|>=|->|:=|\*\*|//|<<|>>|[+\-*/%&|^@]=|\.\.\."
    r"| {8}| {4}| {2}|[^\S\r\n]|[^\w\s]"
)
SPECIALS = ("<pad>", "<bos>", "<eos>")
"""Ids 0, 1, 2. In a text these strings are text: they never become these ids."""

_lexeme = re.compile(LEXEME)
_plain = re.compile(r"[\x20-\x7e\n]*")


def fit_python(texts: Iterable[str], *, vocab_size: int = 8_192, min_count: int = 3) -> Any:
    """A ``PreTrainedTokenizerFast`` with the most frequent lexemes of the texts, seen at least ``min_count`` times.

    Keywords, builtins, bytes and digits are always in. The same texts give the same ids: ties go by the word.

    Raises:
        ValueError: ``vocab_size`` has no room for what is always in.
    """
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        refuse_surrogates(text)
        counts.update(_lexeme.findall(text))
    ranked = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
    return python_tokenizer([*SYMBOLS, *KEYWORDS, *BUILTINS, *ranked], vocab_size)


def refuse_surrogates(text: str) -> None:
    """Raises ValueError where the text has a lone surrogate, which no UTF-8 can say."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"expected text without lone surrogates, got one at {error.start}; replace it") from None


def fallen_to_bytes(tokenizer: Any, texts: Iterable[str]) -> int:
    """Tokens that are single bytes of lexemes which the vocabulary lacks."""
    from tokenizers import pre_tokenizers

    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary = tokenizer.get_vocab()
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(_lexeme.findall(text))
    return sum(
        count * len(word.encode())
        for word, count in counts.items()
        if "".join(piece for piece, _ in as_bytes.pre_tokenize_str(word)) not in vocabulary
    )


def python_tokenizer(words: Iterable[str], vocab_size: int) -> Any:
    """The tokenizer with these words, in this order, as far as there is room."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False)
    vocabulary: dict[str, int] = {}
    always = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *"0123456789"]
    for token in always:
        vocabulary.setdefault(token, len(vocabulary))
    if vocab_size < len(vocabulary) + 200:
        raise ValueError(f"expected vocab_size of at least {len(vocabulary) + 200}, got {vocab_size}")
    for word in words:
        if len(vocabulary) >= vocab_size:
            break
        vocabulary.setdefault("".join(piece for piece, _ in as_bytes.pre_tokenize_str(word)), len(vocabulary))
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True, unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LEXEME), "isolated"), as_bytes])
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=SPECIALS[0],
        bos_token=SPECIALS[1],
        eos_token=SPECIALS[2],
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_max_length=1 << 30,
    )


class PlainTable:
    """The ids of plain texts (printable ASCII and line ends), where Python's own regular expressions split as
    ``tokenizers``' do: four times as fast, and held to it by a test.
    """

    def __init__(self, vocabulary: dict[str, int], letters: dict[str, int]) -> None:
        self.ids: dict[str, int] = {}
        for token, number in vocabulary.items():
            told = bytes(letters[letter] for letter in token if letter in letters)
            if len(told) == len(token) and told.isascii():
                self.ids[told.decode()] = number

    def encode(self, text: str) -> NDArray[np.int32] | None:
        """The ids, or None where the text isn't plain."""
        if _plain.fullmatch(text) is None:
            return None
        found = list(map(self.ids.get, _lexeme.findall(text)))
        if None in found:
            known, words = self.ids, _lexeme.findall(text)
            found = []
            for word in words:
                number = known.get(word)
                found += [known[letter] for letter in word] if number is None else [number]
        return np.array(found, dtype=np.int32)


def plain_table(tokenizer: Any) -> PlainTable | None:
    """The tokenizer's table, made once; None where it isn't of the ``python`` kind."""
    if not hasattr(tokenizer, "_plain_table"):
        from tokenizers import pre_tokenizers

        state = json.loads(tokenizer.backend_tokenizer.to_str())
        split = [part.get("pattern") for part in (state["pre_tokenizer"] or {}).get("pretokenizers", ())]
        table = None
        if split[:1] == [{"Regex": LEXEME}]:
            as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            letters = {as_bytes.pre_tokenize_str(chr(code))[0][0]: code for code in range(128)}
            special = set(tokenizer.all_special_ids)
            words = {token: n for token, n in tokenizer.get_vocab().items() if n not in special}
            table = PlainTable(words, letters)
        tokenizer._plain_table = table
    return tokenizer._plain_table  # type: ignore[no-any-return]
